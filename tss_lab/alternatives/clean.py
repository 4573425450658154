"""From a generator's reply to clean alternative instructions (docs/method.md, Alternative instructions)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

CLEANING_VERSION = 4
_NUMBERED = re.compile(r"^\s*(?:\*\*)?\(?(\d{1,3})[.):](?:\*\*)?\s+(.*)$")
_LINE_END = re.compile(r"\r\n|\n|\r")  # what models write; U+0085 and U+2028 stand inside a sentence
_NO_WORD = re.compile(r"[\W_]+")
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_MARKS = "*_` \t"
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}
_SENTENCE_END = re.compile(r"[.!?][\"'”’)\]*_]*(?=\s+[\"'“‘(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|ca|approx|no|nr|mr|mrs|ms|dr|prof|st|u\.s|u\.k|[a-z])\.$", re.IGNORECASE
)
_ENDED = re.compile(r"[.!?:…][\"'”’)\]]*$")


def fold(text: str) -> str:
    """A text without case, punctuation and white space differences, for finding duplicates."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def lines_of(text: str, *, one_line: bool, finished: bool) -> list[str]:
    """The items of a numbered list, or the one line asked for; without a last item that was cut off."""
    text = _THOUGHT.sub("", text)
    lines = [line for line in _LINE_END.split(text) if line.strip()]
    numbered = [match.group(2) for line in lines if (match := _NUMBERED.match(line))]
    items = lines[:1] if one_line else numbered
    cut_off = not finished and bool(items) and (len(lines) == 1 or not one_line)
    if cut_off and not _ENDED.search(items[-1].strip()):
        items.pop()
    return items


def unquoted(text: str) -> str:
    """Without marks of emphasis and without quotation marks around the whole."""
    text = text.strip(_MARKS)
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip(_MARKS)
    opens_only = bool(text) and text[0] in _QUOTES and _QUOTES[text[0]] not in text[1:]
    return text[1:].strip(_MARKS) if opens_only else text


def first_sentence(text: str) -> str:
    """The text up to its first sentence end; abbreviations and initials don't end one."""
    for match in _SENTENCE_END.finditer(text):
        if text[match.start()] != "." or not _ABBREVIATION.search(text[: match.start() + 1]):
            return text[: match.end()]
    return text


@dataclass
class Cleaner:
    """Takes candidate lines of one example in order and keeps the good ones, counting why others fall."""

    instruction: str
    max_words: int
    forbidden: Collection[str] = ()
    """Folded texts of the request that must not come back: worked examples' lines, bare beginnings."""
    accepted: list[str] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    shortened: int = 0
    _taken: set[str] = field(default_factory=set)

    def offer(self, line: str) -> bool:
        """Adds the line, stripped and cut to its first sentence, unless a rule speaks against it."""
        match = _NUMBERED.match(line)
        text = unquoted(" ".join((match.group(2) if match else line).split()))
        sentence = unquoted(first_sentence(text))
        reason = self._reason(sentence)
        if reason is not None:
            self.rejected[reason] += 1
            return False
        self.shortened += sentence != text
        self.accepted.append(sentence)
        self._taken.add(fold(sentence))
        return True

    def _reason(self, text: str) -> str | None:
        folded = fold(text)
        words = text.split()
        if len(folded.split()) < 2:
            return "fewer than two words"
        if len(words) > self.max_words:
            return f"more than {self.max_words} words"
        if text.endswith((":", ",", ";")):
            return "no complete sentence"
        if any(unicodedata.category(letter) in ("Cc", "Cs", "Co") or letter == "\ufffd" for letter in text):
            return "unreadable characters"
        if folded == fold(self.instruction):
            return "the instruction itself"
        if folded in self.forbidden:
            return "copied from the request"
        if folded in self._taken:
            return "duplicate of another alternative"
        return None
