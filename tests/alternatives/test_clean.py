"""Replies to clean alternatives, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.alternatives.conftest import example, generator_config
from tss_lab.alternatives.asking import Asking, StoredReply
from tss_lab.alternatives.clean import Cleaner, first_sentence, fold, lines_of, unquoted


def cleaned(*lines: str, instruction: str = "Say it.", max_words: int = 25) -> Cleaner:
    cleaner = Cleaner(instruction, max_words)
    for line in lines:
        cleaner.offer(line)
    return cleaner


def test_a_numbered_list_is_taken_apart() -> None:
    reply = (
        "Here you go:\n1. First one.\n 2) Second one.\n**3.** Third one.\n\n(4) not this form\n5: fifth\ntrailing talk"
    )
    assert lines_of(reply, one_line=False, finished=True) == [
        "First one.",
        "Second one.",
        "Third one.",
        "not this form",
        "fifth",
    ]


def test_nonsense_gives_nothing() -> None:
    for reply in ("", "I can't help with that.", "- a\n- b", "<html>502</html>", "\n\n", "1.\n2.\n"):
        assert lines_of(reply, one_line=False, finished=True) == []
    assert lines_of("\n \n", one_line=True, finished=True) == []


@pytest.mark.parametrize("letter", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_a_reply_breaks_its_lines_at_line_feeds_and_nowhere_else(letter: str) -> None:
    reply = f"1. Sort the{letter}list.\r\n2. Count{letter} it."
    items = lines_of(reply, one_line=False, finished=True)
    assert items == [f"Sort the{letter}list.", f"Count{letter} it."]
    assert cleaned(*items).accepted == ["Sort the list.", "Count it."]
    assert lines_of(f"Name{letter}it.\nmore", one_line=True, finished=True) == [f"Name{letter}it."]


def test_a_last_line_that_was_cut_off_is_dropped() -> None:
    assert lines_of("1. Whole one.\n2. Cut in the mid", one_line=False, finished=False) == ["Whole one."]
    assert lines_of("1. Whole one.\n2. Whole too.", one_line=False, finished=False) == ["Whole one.", "Whole too."]
    assert lines_of("Cut in the mid", one_line=True, finished=False) == []
    assert lines_of("Done\nmore that was cut", one_line=True, finished=False) == ["Done"]


def test_a_thought_is_no_part_of_the_reply() -> None:
    assert lines_of("<think>1. Not this.</think>\n1. But this.", one_line=False, finished=True) == ["But this."]
    assert lines_of("<think>1. Never closed.", one_line=False, finished=True) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("List them. Then sort them.", "List them."),
        ("Use fruits, e.g. Apples, in a list.", "Use fruits, e.g. Apples, in a list."),
        ("Write about J. K. Rowling. Be brief.", "Write about J. K. Rowling."),
        ("Round 3.5 up.", "Round 3.5 up."),
        ("Who said “No!” Explain.", "Who said “No!”"),
        ("no end at all", "no end at all"),
    ],
)
def test_the_first_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_what_is_kept_is_stripped_and_what_falls_is_counted() -> None:
    cleaner = cleaned(
        '1. "List the items."', "list THE items", "Say  it!", "Summarize", "word " * 26, "Rewrite this as:",
        "a\x00b c d", "**Name it.** And more.", "Count to " + "ten " * 23,
    )  # fmt: skip
    assert cleaner.accepted == ["List the items.", "Name it.", ("Count to " + "ten " * 23).strip()]
    assert dict(cleaner.rejected) == {
        "duplicate of another alternative": 1, "the instruction itself": 1, "fewer than two words": 1,
        "more than 25 words": 1, "no complete sentence": 1, "unreadable characters": 1,
    }  # fmt: skip
    assert cleaner.shortened == 1


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ('"List them."', "List them."),
        ("“**List them.**”", "List them."),
        ('"List them.', "List them."),
        ('Simplify this: "The stars shine."', 'Simplify this: "The stars shine."'),
        ('"Yes" or "no"', '"Yes" or "no"'),
        ("'Tis a task", "Tis a task"),
        ('"', ""),
        ("", ""),
    ],
)
def test_quotation_marks_fall_around_the_whole_only(text: str, bare: str) -> None:
    assert unquoted(text) == bare


def test_what_the_request_said_does_not_come_back() -> None:
    cleaner = Cleaner("Say it.", 25, {fold("Sort the items in order.")})
    assert not cleaner.offer("Sort the items, in order!")


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), max_size=8))
def test_whatever_comes_what_is_kept_keeps_the_rules(lines: list[str]) -> None:
    cleaner = cleaned(*lines, max_words=5)
    folded = [fold(text) for text in cleaner.accepted]
    assert len(set(folded)) == len(folded)
    assert fold("Say it.") not in folded
    assert all(len(fold(text).split()) >= 2 for text in cleaner.accepted)
    assert all(len(text.split()) <= 5 and text == text.strip() for text in cleaner.accepted)
    assert len(cleaner.accepted) + sum(cleaner.rejected.values()) == len(lines)


def test_a_beginning_with_nothing_after_it_is_no_alternative() -> None:
    asking = Asking(generator_config(ask="line_by_line"), 25)
    replies = [
        StoredReply(at, 0, 2, 2, 1, text, True, None) for at, text in enumerate(["Discuss whether.", "Discuss it."])
    ]
    cleaner = asking.clean(example(0), replies)
    assert cleaner.accepted == ["Discuss it."]
    assert dict(cleaner.rejected) == {"copied from the request": 1}
