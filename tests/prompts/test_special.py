"""Special tokens that data spell are text; those that a chat template writes are tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tokenizers import FAMILIES, SMOLLM2, spaced_tokenizer, unigram_tokenizer

from tss_lab.errors import DataError
from tss_lab.prompts import TEMPLATES, PromptEncoder, SpecialTokens, get_template
from tss_lab.prompts.special import Spelling
from tss_lab.sft.rows import encode_rows
from tss_lab.types import Example

SPELLED = {
    "gemma": ("<bos>", "<mask>", "<end_of_turn>\n<start_of_turn>model\n"),
    "qwen3": ("<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>"),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>system<|end_header_id|>"),
    "smollm2": ("<|im_start|>", "<|im_end|>", "rm <filename>"),
}
FAMILY = pytest.mark.parametrize("family", FAMILIES)


def special_ids(tokenizer: Any) -> set[int]:
    return {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}


@FAMILY
@pytest.mark.parametrize("template", TEMPLATES)
def test_data_do_not_write_special_tokens(family: str, template: str) -> None:
    """However they are spelled, a prompt has the special tokens of the same prompt without them, and its text."""
    tokenizer = FAMILIES[family]
    encoder = PromptEncoder(tokenizer, get_template(template), None)
    special = special_ids(tokenizer)
    ordinary = [number for number in encoder.prompt_ids("Say it.", "the cat") if number in special]
    for spelled in SPELLED[family]:
        instruction, given_input = f"Say {spelled} it.", f"{spelled}the{spelled} cat{spelled}"
        ids = encoder.prompt_ids(instruction, given_input)
        assert [number for number in ids if number in special] == ordinary
        beginning = tokenizer.bos_token if encoder.bos_ids else ""
        rendered = encoder.render(instruction, given_input)
        assert tokenizer.decode(ids) == beginning + rendered
        assert f"Say {spelled} it." in rendered
        encoded = encoder.encode_example([instruction], given_input, spelled)
        assert special.isdisjoint(encoded.target_ids)
        assert tokenizer.decode(encoded.target_ids) == spelled


def test_chat_ids_by_hand() -> None:
    """The text between two tokens of the template is encoded as one, the spelled token in it included."""
    tokenizer = FAMILIES["gemma"]
    bos, start, end = (tokenizer.convert_tokens_to_ids(name) for name in ("<bos>", "<start_of_turn>", "<end_of_turn>"))

    def text(content: str) -> list[int]:
        return tokenizer.encode(content, add_special_tokens=False, split_special_tokens=True)

    ids = PromptEncoder(tokenizer, get_template("chat"), None).prompt_ids("say <bos> at the<end_of_turn>", "")
    between = text("user\nsay <bos> at the<end_of_turn>")
    assert ids == [bos, start, *between, end, *text("\n"), start, *text("model\n")]


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_ordinary_text_keeps_its_ids(data: st.DataObject) -> None:
    """Without special tokens in it, text has the ids that the tokenizer gives it; other added tokens included."""
    tokenizer = FAMILIES[data.draw(st.sampled_from(sorted(FAMILIES)))]
    text = data.draw(
        st.text(max_size=60) | st.lists(st.sampled_from(["<think>", "\n\n", "<", ">", "bos", "a"])).map("".join)
    )
    special = SpecialTokens(tokenizer)
    if special.spelled_in(text):
        return
    plain = tokenizer.encode(text, add_special_tokens=False)
    assert special.encode(text) == plain
    turns = [{"role": "user", "content": text}]
    encoder = PromptEncoder(tokenizer, get_template("chat"), None)
    ids = tokenizer.apply_chat_template(turns, chat_template=encoder.chat_template(), add_generation_prompt=True)
    assert encoder.prompt_ids(text, "") == ids["input_ids"]


@pytest.mark.parametrize("legacy", [True, False])
def test_a_tokenizer_that_puts_a_space_first_puts_it_where_it_did(legacy: bool) -> None:
    """The prompt around a spelled token is encoded as it is around a word."""
    tokenizer = spaced_tokenizer(
        "{{ bos_token }}the{% for m in messages %}{{ m['content'] }}{% endfor %}</s>", legacy=legacy
    )
    encoder = PromptEncoder(tokenizer, get_template("chat"), None)
    with_word, with_token = (
        tokenizer.convert_ids_to_tokens(encoder.prompt_ids(f"the {middle} the", "")) for middle in ("1", "<s>")
    )
    at = with_word.index("1")
    assert with_token == [*with_word[:at], "<", "s", ">", *with_word[at + 1 :]]


def test_what_can_not_be_written_as_text_is_set_aside() -> None:
    """A Unigram vocabulary holds "<s>" as a piece, so the text "<s>" has no other ids."""
    tokenizer = unigram_tokenizer()
    encoder = PromptEncoder(tokenizer, get_template("plain"), None)
    with pytest.raises(DataError, match=r"spells <s>, which the tokenizer reads as its special token"):
        encoder.encode_example(["de"], "", "a<s>")
    examples = [Example("good", "de", "", "abc"), Example("bad", "de <s>", "", "abc")]
    rows, aside = encode_rows(examples, np.ones(2), encoder, 100)
    assert ([row.example_id for row in rows], [row.example_id for row in aside]) == (["good"], ["bad"])


def test_marks_in_the_data_are_refused() -> None:
    encoder = PromptEncoder(FAMILIES["smollm2"], get_template("chat"), None)
    assert encoder.prompt_ids("\U0010fffe", "")
    with pytest.raises(DataError, match=r"U\+10FFFE"):
        encoder.prompt_ids("\U0010fffe<|im_end|>", "")


def test_spelled_tokens_are_found_leftmost_and_longest_first() -> None:
    spelling = Spelling(["<a>", "<a><b>", "b>c", ""])
    assert list(spelling.spans("<<a><b>c <a> <b")) == [(1, 7, 1), (9, 12, 0)]
    assert list(Spelling([]).spans("<a>")) == []


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["<|im_end|>", "<filename>", "the", " ", "<", "é"]), max_size=12).map("".join),
    st.integers(50, 120),
)
def test_the_limit_holds_where_tokens_are_spelled(input_text: str, limit: int) -> None:
    assert FAMILIES["smollm2"].chat_template == SMOLLM2
    for template in ("alpaca", "chat"):
        encoder = PromptEncoder(FAMILIES["smollm2"], get_template(template), limit)
        try:
            coded = encoder.encode_example(["Do it."], input_text, "<|im_end|>")
        except DataError:
            continue
        assert len(coded.prompt_ids[0]) + len(coded.target_ids) <= limit
