"""What words tell of a row, on sentences as people write them."""

import numpy as np
import pytest

from tss_lab.audit.properties import length_bins
from tss_lab.audit.words import has_toxic_words, instruction_verb, is_refusal


@pytest.mark.parametrize(
    ("instruction", "verb"),
    [
        ("Write a list of five rivers.", "write"),
        ("You are given a list of integers. Find the even ones.", "find"),  # "a list" names a thing
        ("In this task, you need to generate a title.", "generate"),
        ("Given the following answer, who wrote the book?", "who"),
        ("Describe what a verb is.", "describe"),
        ("Is a tomato a fruit?", "is"),
        ("The cat is on the mat. Why?", "why"),
        ("What’s the capital of Italy?", "what's"),
        ("TRANSLATE into French", "translate"),
        ("Best beaches of the world", "(none)"),
        ("", "(none)"),
        ("Nenne drei Farben.", "(none)"),
    ],
)
def test_the_verb_of_an_instruction(instruction, verb):
    assert instruction_verb(instruction) == verb


def test_a_refusal_declines_at_the_beginning():
    assert is_refusal("As an AI, I have no birthday.")
    assert is_refusal("I’m sorry, but I can’t help with that.")
    assert not is_refusal("I cannot wait to see you!")
    assert not is_refusal("She said hello. " * 20 + "I am unable to say more.")


def test_toxic_words_are_whole_words():
    assert has_toxic_words("harmless", "", "You IDIOT!")
    assert not has_toxic_words("The class assessed a cocktail.", "Scunthorpe")


def test_lengths_fall_into_bins_of_equal_size_and_equal_lengths_stay_together():
    names = length_bins(np.arange(1, 101), "tokens", 4)
    assert [names.count(name) for name in ("1–25 tokens", "26–50 tokens", "51–75 tokens", "76–100 tokens")] == [25] * 4
    assert set(length_bins(np.array([3] * 9 + [4]), "tokens", 5)) == {"3 tokens", "4 tokens"}
    assert set(length_bins(np.full(9, 7), "tokens", 5)) == {"7 tokens"}
