"""What words tell of a row: the instruction's verb, a refusal, toxic words. The lists stand in ``words.yaml``."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_BEGINNING = 200  # characters of an output in which a refusal stands
NO_VERB = "(none)"


def instruction_verb(instruction: str) -> str:
    """The first verb of the instruction that the list has, or its question word if that comes first; else ``(none)``.

    A word after one of ``before_nouns`` ("a list", "the following answer") isn't taken for a verb. ``is``, ``can`` and
    their like count only as the first word.
    """
    words: list[str] = _WORD.findall(_plain(instruction))
    verbs, questions = _words("verbs"), _words("questions")
    if words and words[0] in _words("auxiliaries"):
        return words[0]
    for before, word in zip(["", *words], words, strict=False):
        if word in questions or (word in verbs and before not in _words("before_nouns")):
            return word
    return NO_VERB


def is_refusal(output: str) -> bool:
    """Whether the output begins by declining, in one of the listed phrases."""
    return _phrases("refusals").search(_plain(output[:_BEGINNING])) is not None


def has_toxic_words(*texts: str) -> bool:
    """Whether one of the texts holds a listed word of profanity, insult or threat."""
    return any(_phrases("toxic").search(_plain(text)) for text in texts)


def _plain(text: str) -> str:
    return text.replace("’", "'").lower()


@functools.cache
def _lists() -> dict[str, list[str]]:
    lists: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"))
    return lists


@functools.cache
def _words(name: str) -> frozenset[str]:
    return frozenset(_lists()[name])


@functools.cache
def _phrases(name: str) -> re.Pattern[str]:
    listed: Sequence[str] = sorted(_lists()[name], key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, listed))})(?!\w)")
