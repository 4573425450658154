"""Copies: near-duplicates against a comparison of every pair."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tss_lab.doctor.copies import (
    Rows,
    duplicates,
    find_near_duplicates,
    held_out_copies,
    jaccard,
    near_duplicates,
    words,
)
from tss_lab.types import Example

LONG = "the quick brown fox jumps over the lazy dog and runs on through the wide green wood until the night falls"
NEAR = LONG.replace("falls", "comes")
"""21 words, 19 sequences of three; the last word is in one: 18 shared of 20."""


def rows(examples, held_out=(), similarity=0.8):
    def made(texts, role):
        return [Example(f"{role}{n}", "Do it.", "", text) for n, text in enumerate(texts)]

    return Rows(made(examples, "e"), made(held_out, "h"), 3, similarity)


def test_the_same_words_are_a_duplicate():
    found = duplicates(rows(["A cat, sat!", "a  cat sat", "A dog sat."]))
    assert (found.status, found.figures["rows"], found.figures["example_ids"]) == ("warning", 1, ["e1"])
    assert "3 exact copies were set aside before" in found.text
    assert duplicates(rows(["a", "b"])).status == "ok"


def test_a_changed_word_is_a_near_duplicate():
    assert find_near_duplicates([LONG.split(), NEAR.split()], [LONG.split(), NEAR.split()], 0.8) == [(0, 1, 18 / 20)]
    assert find_near_duplicates([LONG.split(), NEAR.split()], [LONG.split(), NEAR.split()], 0.95) == []
    found = near_duplicates(rows([LONG, "Something else.", NEAR]))
    assert (found.status, found.figures["example_ids"]) == ("warning", ["e2"])
    assert "e0 “Do it.” and e2 “Do it.”" in found.text
    assert near_duplicates(rows([LONG, LONG])).status == "ok"  # the same words are the other check's


def test_rows_of_one_task_are_no_duplicates_by_its_instruction():
    """A definition of 21 words over short inputs; and one input under two definitions."""
    first, second = Example("a", LONG, "red", "yes"), Example("b", LONG, "blue", "no")
    assert Rows([first, second], [], 0, 0.8).near == []
    assert Rows([first, Example("c", "Is it red? Say so.", "red", "yes")], [], 0, 0.8).near == []


def test_held_out_rows_that_can_be_learnt_by_heart():
    found = held_out_copies(rows([LONG, "A cat sat."], ["a cat sat", NEAR, "New."]))
    assert (found.status, found.figures["example_ids"]) == ("failure", ["h0", "h1"])
    assert held_out_copies(rows([LONG], ["New."])).status == "ok"
    assert held_out_copies(rows([LONG])).status == "skipped"


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(lambda row: [str(n) for n in row]), max_size=8)
)
def test_no_pair_is_missed_and_none_is_made_up(texts):
    """The same pairs as by comparing all."""
    found = {pair[:2]: pair[2] for pair in find_near_duplicates(texts, texts, 0.8)}
    for first, second in itertools.combinations(range(len(texts)), 2):
        alike = jaccard(texts[first], texts[second])
        if texts[first] != texts[second] and alike >= 0.8:
            assert found.pop((first, second)) == alike
    assert not found


def test_words_are_what_is_left_without_marks():
    assert words("It's  “Rome”, (1871)!") == ["its", "“rome”", "1871"]
