"""The in-process generator on tiny models: against transformers' own generation, and seeded per request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.alternatives.conftest import example
from tss_lab.alternatives.asking import Asking
from tss_lab.alternatives.generator import Request
from tss_lab.alternatives.transformers_generator import TransformersGenerator, _batches, sample
from tss_lab.config import GeneratorConfig, ModelConfig
from tss_lab.errors import ConfigError, GeneratorError

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}" + TEMPLATE
FolderOf = Callable[[str], Path]


@pytest.fixture
def chat_folder(tiny_model_folder: FolderOf, tmp_path: Path) -> Callable[..., Path]:
    """``chat_folder("llama")``: a tiny model whose tokenizer has a chat template."""

    def make(name: str, template: str = TEMPLATE) -> Path:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = tmp_path / name
        source = tiny_model_folder(name)
        AutoModelForCausalLM.from_pretrained(source).save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(source)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
        return folder

    return make


def generator(folder: Path, cache: Path, **changes: Any) -> TransformersGenerator:
    settings: dict[str, Any] = {
        "name": "tiny", "kind": "transformers", "model": ModelConfig(name="tiny", path=str(folder)),
        "ask": "line_by_line", "max_new_tokens": 12, "device": "cpu",
    }  # fmt: skip
    return TransformersGenerator(GeneratorConfig.model_validate({**settings, **changes}), cache)


def requests(ask: str = "line_by_line", num: int = 5) -> list[Request]:
    asking = Asking(GeneratorConfig(name="x", kind="transformers", ask=ask), 25)  # type: ignore[arg-type]
    rounds = [asking.next_round(example(number, input="word " * (3 * number)), [], 3) for number in range(num)]
    return [request for found in rounds if found for request in found.requests]


def replies(made: TransformersGenerator, asked: list[Request]) -> dict[tuple[str, int], str]:
    found = [reply for batch in made.ask(asked) for reply in batch]
    assert len(found) == len(asked)
    return {(reply.request.example.example_id, reply.request.sample): reply.text for reply in found}


@pytest.mark.parametrize("name", ["llama", "gemma3", "qwen3"])
@pytest.mark.parametrize("ask", ["line_by_line", "begun"])
def test_at_temperature_0_it_writes_what_transformers_generate_writes(
    chat_folder: Callable[..., Path], tmp_path: Path, name: str, ask: str
) -> None:
    """Shared prompts, padding, begun replies and dropped rows change nothing, sliding window included."""
    made = generator(chat_folder(name), tmp_path, temperature=0.0, ask=ask, batch_size=7)
    ours = replies(made, requests(ask))
    model, tokenizer = made._model(), made._tokenizer
    for request in requests(ask):
        ids = tokenizer.encode(made.render(replace(request, begun="")), add_special_tokens=False)
        ids += tokenizer.encode(request.begun, add_special_tokens=False)
        row = torch.tensor([ids])
        out = model.generate(
            row, attention_mask=torch.ones_like(row), do_sample=False, max_new_tokens=12, min_new_tokens=None,
            eos_token_id=sorted(made._end_tokens(model)), pad_token_id=0,
        )  # fmt: skip
        theirs = out[0, len(ids) :].tolist()
        theirs = theirs[
            : next((at for at, token in enumerate(theirs) if token in made._end_tokens(model)), len(theirs))
        ]
        text = request.begun + tokenizer.decode(theirs, skip_special_tokens=True)
        mine = ours[request.example.example_id, request.sample]
        assert mine == (text.split("\n")[0] if request.one_line else text)


def test_a_reply_depends_on_its_request_alone(chat_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = chat_folder("llama")
    asked = requests()
    together = replies(generator(folder, tmp_path, batch_size=64), asked)
    apart = replies(generator(folder, tmp_path, batch_size=1), asked[::-1])
    assert together == apart
    assert len(set(together.values())) == len(together)
    assert replies(generator(folder, tmp_path, seed=1), asked) != together


def test_a_template_without_system_turns_gets_it_with_the_user_turn(
    chat_folder: Callable[..., Path], tmp_path: Path
) -> None:
    text = generator(chat_folder("llama", NO_SYSTEM), tmp_path).render(requests()[0])
    assert text.startswith("<bos><user>\nWrite one new task instruction")
    assert "\n\nOriginal instruction:" in text


def test_models_that_can_not_be_asked(
    tiny_llama_folder: Path, chat_folder: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no chat template, so it is no instruct model"):
        generator(tiny_llama_folder, tmp_path)
    with pytest.raises(ConfigError, match=r"has no model"):
        generator(tiny_llama_folder, tmp_path, model=None)
    long = Request(example(1), 0, (("user", "word " * 2000),))
    with pytest.raises(GeneratorError, match=r"lower generator.max_input_characters"):
        list(generator(chat_folder("llama"), tmp_path).ask([long]))


def test_the_identity_is_what_determines_the_replies(chat_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = chat_folder("llama")
    identity = generator(folder, tmp_path).identity()
    assert generator(folder, tmp_path, batch_size=3, retries=9, device="cpu").identity() == identity
    for changes in ({"temperature": 0.1}, {"top_p": 0.5}, {"max_new_tokens": 3}, {"seed": 1}, {"dtype": "bfloat16"}):
        assert generator(folder, tmp_path, **changes).identity() != identity


def test_batches_are_cut_in_a_fixed_order_and_keep_examples_whole() -> None:
    asked = requests(num=6)
    batches = list(_batches(asked, 4))
    names = [{request.example.example_id for request in batch} for batch in batches]
    assert all(not one & other for at, one in enumerate(names) for other in names[:at])
    # What is left after the first batch is cut as before: a resumed run repeats the batches.
    rest = [request for request in asked if request.example.example_id not in names[0]]
    assert list(_batches(rest, 4)) == batches[1:]


def test_sampling_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(5, 1)
    draws = torch.tensor([0.0, 0.49, 0.51, 0.79, 0.99])
    assert sample(logits, draws, 1.0, 1.0).tolist() == [0, 0, 1, 1, 3]
    # The nucleus of 0.8 is the first two: 5/8 and 3/8 of the draws.
    assert sample(logits, torch.tensor([0.0, 0.62, 0.63, 0.79, 0.999]), 1.0, 0.8).tolist() == [0, 0, 1, 1, 1]
    # A temperature of 1/2 squares the odds: 0.25 to 0.09 to 0.0225 to 0.0025, together 0.365.
    assert sample(logits, torch.tensor([0.68, 0.69, 0.93, 0.94, 0.999]), 0.5, 1.0).tolist() == [0, 1, 1, 2, 3]
    assert sample(logits, draws, 0.0, 1.0).tolist() == [0] * 5
    assert sample(logits, draws, 1.0, 1e-9).tolist() == [0] * 5


def test_a_nucleus_beyond_the_candidates_is_sorted_in_full() -> None:
    flat = torch.zeros(1, 5000)
    tokens = {int(sample(flat, torch.tensor([draw]), 1.0, 1.0)) for draw in torch.linspace(0, 0.999, 200).tolist()}
    assert len(tokens) == 200
