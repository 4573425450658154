"""The tuned model's folder: how to prompt it, where it ends, and a card whose every line holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tokenizers import AddedToken
from training import as_local_model, make_examples, make_sft, train

from tss_lab.models import LocalModel, load_model, load_tokenizer
from tss_lab.prompts import ChatFormat, PromptEncoder, get_template
from tss_lab.sft.card import card_text, printable
from tss_lab.sft.sample import MAX_NEW_TOKENS, OutputSample, examples_to_show, greedy_outputs
from tss_lab.types import Example

CHAT = (
    "{{ bos_token }}{% for m in messages %}<u>{{ m['content'] }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)
CARD = {"base_model": "someone/tiny", "dataset": "someone/some-data", "method": "tss"}


def base_with(folder: Path, source: Path, chat_template: str, special: str) -> Path:
    """A copy of a tiny model with a chat template and one more special token."""
    model, tokenizer = load_model(source), load_tokenizer(source)
    tokenizer.add_special_tokens({"additional_special_tokens": [special]})
    tokenizer.chat_template = chat_template
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plain_greedy(folder: Path, ids: list[int], ends: list[int], count: int) -> str:
    """Word for word what greedy decoding is, one whole forward pass a token."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    written: list[int] = []
    for _ in range(count):
        with torch.no_grad():
            token = int(model(torch.tensor([ids + written])).logits[0, -1].argmax())
        if token in ends:
            break
        written.append(token)
    return str(tokenizer.decode(written, skip_special_tokens=True))


def snippet(card: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    return str(code)


def front_matter(card: str) -> dict[str, Any]:
    _, block, _ = card.split("---\n", 2)
    return dict(yaml.safe_load(block))


def messages_of(code: str) -> list[dict[str, str]]:
    """What the snippet asks, read out of it."""
    scope: dict[str, Any] = {}
    exec(code[code.index("messages = [") : code.index("inputs =")], scope)
    return list(scope["messages"])


@pytest.fixture(scope="module", params=["alpaca", "chat"])
def tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_llama_folder: Path) -> Any:
    """(encoder, base, folder of the tuned model)"""
    base = base_with(tmp_path_factory.mktemp("base"), tiny_llama_folder, CHAT, "<end>")
    encoder = PromptEncoder(load_tokenizer(base), get_template(request.param), 1024)
    result = train(base, tmp_path_factory.mktemp("run"), make_sft(max_steps=6), encoder=encoder, card=CARD)
    return encoder, base, result.model_folder


def test_its_chat_template_gives_the_prompts_of_the_training(tuned: Any) -> None:
    encoder, base, folder = tuned
    tokenizer = load_tokenizer(folder)
    if encoder.template.chat:
        assert tokenizer.chat_template == ChatFormat(encoder.tokenizer).template
        turns = [("user", "List red\n\ncat mat")]
    else:
        turns = [("system", "cat mat"), ("user", "List red")]
    messages = [{"role": role, "content": content} for role, content in turns]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert ids == encoder.prompt_ids("List red", "cat mat")
    assert ids.count(tokenizer.bos_token_id) == 1
    assert encoder.tokenizer.chat_template == load_tokenizer(base).chat_template == CHAT


def test_generation_ends_where_the_targets_did(tuned: Any) -> None:
    """``<end>`` under the chat template, the end of text under Alpaca's."""
    encoder, _, folder = tuned
    end = encoder.tokenizer.convert_tokens_to_ids("<end>" if encoder.template.chat else "<eos>")
    known = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    assert known[0] == end == encoder.end_ids()[-1]
    assert encoder.tokenizer.eos_token_id in known
    assert load_model(folder).generation_config.eos_token_id == known


def test_the_snippet_runs_and_prints_the_models_answer(
    tuned: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, _, folder = tuned
    code = snippet((folder / "README.md").read_text())
    monkeypatch.chdir(folder)
    exec(code, {})
    printed = capsys.readouterr().out
    asked = messages_of(code)
    ids = encoder.prompt_ids(asked[-1]["content"], asked[0]["content"] if len(asked) == 2 else "")
    ends = json.loads(Path("generation_config.json").read_text())["eos_token_id"]
    assert printed == plain_greedy(folder, ids, ends, 256) + "\n"


def test_the_card_says_what_it_is_and_what_it_writes(tuned: Any) -> None:
    encoder, base, folder = tuned
    card = (folder / "README.md").read_text()
    assert front_matter(card) == {
        "base_model": "someone/tiny", "base_model_relation": "finetune", "library_name": "transformers",
        "license": "other", "license_name": "none", "pipeline_tag": "text-generation",
        "datasets": ["someone/some-data"], "tags": ["instruction-tuning", "task-specificity", "tss_lab"],
    }  # fmt: skip
    assert "on held-out examples, which the training didn't see" in card
    for example in make_examples(6, seed=1)[:3]:
        ids = encoder.prompt_ids(example.instruction, example.input)
        for when, model in (("Before", base), ("After", folder)):
            text = printable(plain_greedy(model, ids, encoder.end_ids()[-1:], MAX_NEW_TOKENS))
            assert re.search(rf"{when}:\n\n(`{{3,}})text\n{re.escape(text)}\n\1\n", card)


def test_adapters_say_that_they_are_and_their_snippet_runs(
    tmp_path: Path, tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("peft")
    base = base_with(tmp_path / "base", tiny_llama_folder, CHAT, "<end>")
    encoder = PromptEncoder(load_tokenizer(base), get_template("chat"), 1024)
    sft = make_sft(max_steps=3, lora={"rank": 2, "merge": False})
    folder = train(base, tmp_path, sft, encoder=encoder, held_out=[]).model_folder
    card = (folder / "README.md").read_text()
    known = front_matter(card)
    assert (known["base_model"], known["base_model_relation"], known["library_name"]) == ("tiny", "adapter", "peft")
    assert "datasets" not in known
    assert "on examples of the training set" in card
    monkeypatch.chdir(folder)
    exec(snippet(card), {})
    ids = encoder.prompt_ids(messages_of(snippet(card))[-1]["content"], "")
    assert capsys.readouterr().out == plain_greedy(folder, ids, encoder.end_ids()[-1:], 256) + "\n"


def test_a_model_that_can_not_be_sampled_says_so(tiny_llama: Any) -> None:
    encoder = PromptEncoder(tiny_llama[1], get_template("alpaca"), 1024)
    base = as_local_model(Path("tiny"))
    assert "Not sampled: the model was sharded over devices" in card_text(base, {}, encoder, None, adapters=False)
    long = [Example("long", "List red " * 300, "", "red")]
    assert examples_to_show(long, encoder) == []
    none = OutputSample([], True, [], [])
    assert "every prompt is too long" in card_text(base, {}, encoder, none, adapters=False)


def test_licences_are_named_as_the_hub_names_them(tiny_llama: Any, tmp_path: Path) -> None:
    encoder = PromptEncoder(tiny_llama[1], get_template("alpaca"), 1024)
    for licence, named in (
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("Gemma Terms of Use (https://ai.google.dev/gemma/terms)", {"license": "gemma"}),
        ("Llama 3.2 Community License", {"license": "llama3.2"}),
        ("ours: see the page", {"license": "other", "license_name": "ours: see the page"}),
    ):
        base = LocalModel("tiny", tmp_path, "0" * 64, "1" * 64, licence)
        known = front_matter(card_text(base, {"base_model": str(tmp_path)}, encoder, None, adapters=False))
        assert {name: value for name, value in known.items() if name.startswith("license")} == named
        assert known["base_model"] == "tiny"  # a directory of this machine is no name on the Hub


def test_text_of_the_data_does_not_break_the_card(tiny_llama: Any) -> None:
    encoder = PromptEncoder(tiny_llama[1], get_template("alpaca"), 1024)
    example = Example("a", "```\n# Not a heading", "x" * 3000, "````")
    sample = OutputSample([example], True, ["a\x00\r\n"], ["b"])
    card = card_text(as_local_model(Path("tiny")), {"a": "b|c\n<i>"}, encoder, sample, adapters=False)
    assert "````text\n```\n# Not a heading\n````" in card
    assert "`````text\n````\n`````" in card
    assert "```text\na\\x00\\r\n\n```" in card
    assert "x" * 1000 + " […]\n" in card
    assert "| a | b\\|c &lt;i> |" in card


def test_no_template_is_better_than_a_wrong_one(tiny_llama_folder: Path) -> None:
    """This beginning token is found only between spaces, and a space would be a token of its own."""
    tokenizer = load_tokenizer(tiny_llama_folder)
    tokenizer.backend_tokenizer.add_special_tokens([AddedToken("<bos>", single_word=True, normalized=False)])
    encoder = PromptEncoder(tokenizer, get_template("alpaca"), 1024)
    assert encoder.chat_template() is None
    card = card_text(as_local_model(Path("tiny")), {}, encoder, None, adapters=False)
    assert "No chat template is shipped" in card
    assert encoder.template.with_input in card


def test_sampling_leaves_the_model_as_it_was(tiny_model: Any) -> None:
    """Prompts of different lengths go together, each as if alone; an end at once gives an empty output."""
    model, tokenizer = tiny_model
    encoder = PromptEncoder(tokenizer, get_template("alpaca"), 1024)
    own, examples = model.generation_config, make_examples(3)
    model.train()
    together = greedy_outputs(model, examples, encoder, "cpu")
    assert model.training
    assert model.generation_config is own
    model.eval()
    assert together == [greedy_outputs(model, [example], encoder, "cpu")[0] for example in examples]
