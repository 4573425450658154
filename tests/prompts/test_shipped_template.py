"""The chat template that a tuned model ships: its prompts are those of the training, id for id."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from made_tokenizers import FAMILIES, spaced_tokenizer

from tss_lab.config import DatasetConfig
from tss_lab.data import load_examples
from tss_lab.prompts import SpecialTokens, get_template
from tss_lab.prompts.encode import PromptEncoder

TOKENIZERS = {
    **FAMILIES,
    "llama2": spaced_tokenizer(None, legacy=True),
    "mistral": spaced_tokenizer(None, legacy=False),
}
KINDS = [(name, template) for name in TOKENIZERS for template in ("alpaca", "input_first", "plain")]


def text_of(tokenizer: Any, template: str, *turns: tuple[str, str], reply_follows: bool = True) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return str(
        tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=reply_follows
        )
    )


def ids_of(tokenizer: Any, template: str, *turns: tuple[str, str]) -> list[int]:
    return list(tokenizer.encode(text_of(tokenizer, template, *turns), add_special_tokens=False))


@pytest.mark.parametrize(("name", "template"), KINDS)
def test_a_template_of_text_as_jinja(name: str, template: str) -> None:
    """The user's turn is the instruction, a system turn the input; a reply ends with the end of text."""
    tokenizer = TOKENIZERS[name]
    encoder = PromptEncoder(tokenizer, get_template(template), None)
    shipped = encoder.chat_template()
    assert shipped is not None
    for instruction, given_input in (
        ("Sit.", ""),
        ("Count\nthese. ", " 1, 2\n\n"),
        ('{{ "a" }} \\n {input}', "{% x %}"),
    ):
        before = [("system", given_input)] if given_input else []
        asked = ids_of(tokenizer, shipped, *before, ("user", instruction))
        assert asked == encoder.prompt_ids(instruction, given_input)
        prompt = text_of(tokenizer, shipped, *before, ("user", instruction))
        replied = text_of(tokenizer, shipped, *before, ("user", instruction), ("assistant", "the cat"))
        assert replied == f"{prompt}the cat{tokenizer.eos_token}"
        unbegun = text_of(tokenizer, shipped, *before, ("user", instruction), reply_follows=False)
        assert unbegun + encoder.template.response_header == prompt


@settings(deadline=None, max_examples=60)
@given(st.text(min_size=1, max_size=50), st.text(max_size=50))
def test_any_text(instruction: str, given_input: str) -> None:
    for tokenizer in (FAMILIES["gemma"], FAMILIES["qwen3"]):
        if SpecialTokens(tokenizer).spelled_in(instruction + given_input):
            return
        encoder = PromptEncoder(tokenizer, get_template("alpaca"), None)
        before = [("system", given_input)] if given_input else []
        asked = ids_of(tokenizer, str(encoder.chat_template()), *before, ("user", instruction))
        assert asked == encoder.prompt_ids(instruction, given_input)


def test_a_longer_conversation_is_read_as_the_data_set_chat_reads_it(tmp_path: Any) -> None:
    turns = [("system", "Be kind."), ("user", "Sit."), ("assistant", "Why?"), ("user", "You look tired.")]
    row = json.dumps(
        {"messages": [{"role": role, "content": text} for role, text in [*turns, ("assistant", "Thanks.")]]}
    )
    (tmp_path / "rows.jsonl").write_text(row + "\n")
    config = DatasetConfig(name="mine", reader="chat", path=str(tmp_path / "rows.jsonl"), fields={})
    (example,) = load_examples(config).examples
    encoder = PromptEncoder(FAMILIES["llama3"], get_template("alpaca"), None)
    asked = ids_of(encoder.tokenizer, str(encoder.chat_template()), *turns)
    assert asked == encoder.prompt_ids(example.instruction, example.input)


def test_what_has_no_instruction_is_refused() -> None:
    encoder = PromptEncoder(FAMILIES["gemma"], get_template("alpaca"), None)
    for turns in ([("system", "Be kind.")], [("assistant", "Hello.")]):
        with pytest.raises(TemplateError, match="the turn to answer must be the user's"):
            ids_of(encoder.tokenizer, str(encoder.chat_template()), *turns)
