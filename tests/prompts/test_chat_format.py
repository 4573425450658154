"""One chat format for scoring, training and generation, in the styles of four families."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from made_tokenizers import FAMILIES, byte_tokenizer

from tss_lab.alternatives.generators.base import Request
from tss_lab.alternatives.generators.transformers import TransformersGenerator
from tss_lab.config import GeneratorConfig, ModelConfig
from tss_lab.errors import ConfigError
from tss_lab.models import LocalModel
from tss_lab.prompts import ChatFormat, PromptEncoder, get_template
from tss_lab.sft.rows import encode_rows
from tss_lab.types import Example

ASKED = {
    "gemma": "<bos><start_of_turn>user\nSit.<end_of_turn>\n",
    "qwen3": "<|im_start|>user\nSit.<|im_end|>\n",
    "llama3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nSit.<|eot_id|>"
    ),
    "smollm2": ("<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n<|im_start|>user\nSit.<|im_end|>\n"),
}
BEGUN = {
    "gemma": "<start_of_turn>model\n",
    "qwen3": "<|im_start|>assistant\n<think>\n\n</think>\n\n",  # it answers without thoughts
    "llama3": "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "smollm2": "<|im_start|>assistant\n",
}
ENDS = {"gemma": "<end_of_turn>", "qwen3": "<|im_end|>", "llama3": "<|eot_id|>", "smollm2": "<|im_end|>"}
FAMILY = pytest.mark.parametrize("family", FAMILIES)


def encoder_of(family: str) -> PromptEncoder:
    return PromptEncoder(FAMILIES[family], get_template("chat"), None)


@FAMILY
def test_with_and_without_the_reply_begun(family: str) -> None:
    chat = ChatFormat(FAMILIES[family])
    assert chat.render([("user", "Sit.")], reply_follows=False) == ASKED[family]
    assert chat.render([("user", "Sit.")]) == ASKED[family] + BEGUN[family]


@FAMILY
def test_scoring_training_and_generation_meet_the_same_ids(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those are the ids of the rendered text, as transformers encodes it, the beginning token once."""
    import tss_lab.alternatives.generators.transformers as room

    tokenizer = FAMILIES[family]
    wanted = tokenizer.encode(ASKED[family] + BEGUN[family], add_special_tokens=False)
    encoder = encoder_of(family)
    assert encoder.prompt_ids("Sit.", "") == wanted
    assert wanted.count(tokenizer.convert_tokens_to_ids("<bos>")) == (1 if family == "gemma" else 0)
    row = encode_rows([Example("a", "Sit.", "", "the cat")], np.ones(1), encoder, 200)[0][0]
    assert row.prompt_ids == wanted
    monkeypatch.setattr(room, "resolve_model", lambda *_: LocalModel("made", tmp_path, "", "", ""))
    monkeypatch.setattr(room, "load_tokenizer", lambda _: tokenizer)
    config = GeneratorConfig(name="made", kind="transformers", model=ModelConfig(name="made", path="made"))
    generator = TransformersGenerator(config, tmp_path)
    request = Request(Example("a", "", "", ""), 0, (("user", "Sit."),))
    assert generator.render(request) == ASKED[family] + BEGUN[family]
    assert generator._chat.prompt_ids(request.turns) == wanted


@FAMILY
def test_a_training_target_ends_as_the_template_ends_a_turn(family: str) -> None:
    """Whatever the tokenizer's end of text is; under the other templates it is that."""
    tokenizer = FAMILIES[family]
    example = Example("a", "Sit.", "on the mat", "the cat")
    for template, end in (("chat", ENDS[family]), ("alpaca", tokenizer.eos_token)):
        encoder = PromptEncoder(tokenizer, get_template(template), None)
        row = encode_rows([example], np.ones(1), encoder, 400)[0][0]
        assert row.target_ids == [*encoder.encode("the cat"), tokenizer.convert_tokens_to_ids(end)]


def test_an_end_of_several_tokens_has_its_place() -> None:
    """The template breaks the line before its end: both are learned, and both fit into the limit."""
    template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}\n<end>\n{% endfor %}"
    tokenizer = byte_tokenizer(["<eos>", "<end>"], None, "<eos>", template, begins=False)
    encoder = PromptEncoder(tokenizer, get_template("chat"), None)
    end = [*tokenizer.encode("\n"), tokenizer.convert_tokens_to_ids("<end>")]
    assert encoder.end_ids() == end
    example = Example("a", "Sit.", "", "the cat sat on the mat")
    whole = encode_rows([example], np.ones(1), encoder, 400)[0][0]
    assert whole.target_ids[-2:] == end
    for limit in range(len(whole.prompt_ids) + 4, len(whole.prompt_ids) + len(whole.target_ids) + 1):
        row = encode_rows([example], np.ones(1), encoder, limit)[0][0]
        assert len(row.prompt_ids) + len(row.target_ids) <= limit
        assert row.truncated == (row.target_ids[-2:] != end)


def test_a_template_without_an_end_takes_the_tokenizers() -> None:
    template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}\n{% endfor %}"
    tokenizer = byte_tokenizer(["<eos>"], None, "<eos>", template, begins=False)
    encoder = PromptEncoder(tokenizer, get_template("chat"), None)
    assert encoder.end_ids() == [*tokenizer.encode("\n"), tokenizer.eos_token_id]
    tokenizer.eos_token = None
    for name in ("chat", "alpaca"):
        with pytest.raises(ConfigError, match="no end-of-text token"):
            PromptEncoder(tokenizer, get_template(name), None).end_ids()


def test_a_beginning_that_the_template_forgets_is_put_first() -> None:
    template = "  {% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    tokenizer = byte_tokenizer(["<s>", "<eos>"], "<s>", "<eos>", template, begins=True)
    chat = ChatFormat(tokenizer)
    assert chat.render([("user", "Sit.")]) == "<s>[user]Sit."
    assert chat.prompt_ids([("user", "<s>")]).count(tokenizer.bos_token_id) == 1


@FAMILY
def test_the_format_of_a_format_is_itself(family: str) -> None:
    """A tuned model's folder ships it; who takes that model next gets the same prompts."""
    tokenizer = copy.deepcopy(FAMILIES[family])
    tokenizer.chat_template = ChatFormat(tokenizer).template
    assert ChatFormat(tokenizer).template == tokenizer.chat_template
    turns = [{"role": "user", "content": "Sit."}]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert rendered == ASKED[family] + BEGUN[family]


def test_a_system_turn_where_the_template_has_none() -> None:
    text = ChatFormat(FAMILIES["gemma"]).render([("system", "Be kind."), ("user", "Sit.")], reply_follows=False)
    assert text == "<bos><start_of_turn>user\nBe kind.\n\nSit.<end_of_turn>\n"
