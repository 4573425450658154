"""Special tokens: those that a template writes are tokens, those that data spells are text."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tss_lab.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Noncharacters of Unicode, which stand in no text: the first marks a template's tokens, the second those of data.
_WRITTEN, _SPELLED = "\U0010ffff", "\U0010fffe"


class Spelling:
    """Finds fixed strings in a text, leftmost and longest first; quick for thousands of them."""

    def __init__(self, contents: Iterable[str]):
        self.contents = [content for content in contents if content]
        self._number = {content: number for number, content in enumerate(self.contents)}
        self._lengths = sorted({len(content) for content in self.contents}, reverse=True)
        letters = "".join(sorted({re.escape(content[0]) for content in self.contents}))
        self._first_letter = re.compile(f"[{letters}]" if letters else "(?!)")

    def spans(self, text: str) -> Iterator[tuple[int, int, int]]:
        """(start, end, position in ``contents``) of each string that ``text`` holds."""
        at = 0
        while found := self._first_letter.search(text, at):
            start = found.start()
            candidates = (text[start : start + length] for length in self._lengths)
            longest = next((content for content in candidates if content in self._number), "")
            at = start + max(1, len(longest))
            if longest:
                yield start, at, self._number[longest]

    def marked(self, text: str, mark: str) -> str:
        """``text`` with each of the strings replaced by its position between two marks."""
        pieces, at = [], 0
        for start, end, number in self.spans(text):
            pieces += [text[at:start], f"{mark}{number}{mark}"]
            at = end
        return "".join([*pieces, text[at:]])


class SpecialTokens:
    """Encodes text in which a spelled special token stays text.

    Special is what the tokenizer flags so: beginning, end, padding, turn marks. Its other added tokens (runs
    of newlines, HTML tags, Qwen's ``<think>``) are vocabulary, and data may hold them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self._tokenizer = tokenizer
        self._tokens = {
            token.content: (number, token) for number, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        self._spelling = Spelling(self._tokens)
        self._unwritable: dict[str, bool] = {}

    def spelled_in(self, text: str) -> list[str]:
        """The special tokens that ``text`` spells, in order."""
        return [self._spelling.contents[number] for _, _, number in self._spelling.spans(text)]

    def encode(self, text: str) -> list[int]:
        """Ids of data alone: every special token in it is text, and none is added."""
        return list(self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def encode_around(self, render: Callable[..., str], *contents: str) -> list[int]:
        """Ids of ``render(*contents)``: what ``render`` writes may be special tokens, what it's given is text.

        The ids are those of the whole text at once, so that nothing changes for contents that spell no
        special token. Raises DataError when contents hold the two noncharacters that are used as marks.
        """
        if not any(self.spelled_in(content) for content in contents):
            return list(self._tokenizer.encode(render(*contents), add_special_tokens=False))
        if any(mark in content for content in contents for mark in (_WRITTEN, _SPELLED)):
            raise DataError("the text holds U+10FFFE or U+10FFFF, which Unicode keeps free of meaning; drop the row")
        rendered = render(*(self._spelling.marked(content, _SPELLED) for content in contents))
        text = re.sub(
            f"{_SPELLED}([0-9]+){_SPELLED}",
            lambda found: self._spelling.contents[int(found[1])],
            self._spelling.marked(rendered, _WRITTEN),
        )
        backend, stands_for = self._with_stand_ins
        return [stands_for.get(number, number) for number in backend.encode(text, add_special_tokens=False).ids]

    def check(self, *texts: str) -> None:
        """Raises DataError when a text spells a special token that this tokenizer can't write as text.

        That is so where its model of the text, and not only its list of added tokens, knows the special
        token: Unigram vocabularies do.
        """
        for content in {content for text in texts for content in self.spelled_in(text)}:
            if content not in self._unwritable:
                number = self._tokens[content][0]
                self._unwritable[content] = number in self.encode(content)
            if self._unwritable[content]:
                raise DataError(f"it spells {content}, which the tokenizer reads as its special token; drop the row")

    @cached_property
    def _with_stand_ins(self) -> tuple[Any, dict[int, int]]:
        """A copy of the tokenizer that knows special tokens by their marks alone; mark's id -> token's id."""
        from tokenizers import AddedToken

        backend = copy.deepcopy(self._tokenizer.backend_tokenizer)
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True  # the tokenizers' name for: special tokens in the text are split
        stand_ins = {
            f"{_WRITTEN}{position}{_WRITTEN}": self._tokens[content]
            for position, content in enumerate(self._spelling.contents)
        }
        backend.add_tokens(
            [
                AddedToken(name, lstrip=token.lstrip, rstrip=token.rstrip, normalized=False, special=False)
                for name, (_, token) in stand_ins.items()
            ]
        )
        return backend, {backend.token_to_id(name): number for name, (number, _) in stand_ins.items()}
