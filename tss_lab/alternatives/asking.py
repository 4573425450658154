"""How a generator is asked: which requests an example still needs, and what its replies amount to.

Both are pure functions of the replies so far, so that an interrupted run goes on as if nothing had
happened. Replies come in rounds: a round is asked as a whole and recorded as a whole.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tss_lab.alternatives import texts
from tss_lab.alternatives.clean import CLEANING_VERSION, Cleaner, fold, lines_of
from tss_lab.alternatives.generators.base import Request, Turn
from tss_lab.config import GeneratorConfig
from tss_lab.types import Example


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A reply as the store keeps it: its round, the K wanted then, and how many lines it was asked for."""

    sample: int
    round: int
    round_size: int
    wanted: int
    asked_for: int
    text: str
    finished: bool
    refused: str | None


@dataclass(frozen=True, slots=True)
class Round:
    """What to ask for an example next: ``size`` requests in all, of which ``requests`` have no reply yet."""

    number: int
    size: int
    asked_for: int
    requests: list[Request]


@dataclass(frozen=True)
class Asking:
    """The form of asking that a generator's config chose."""

    config: GeneratorConfig
    max_words: int

    @property
    def by_line(self) -> bool:
        return self.config.ask == "line_by_line" and not self.replayed

    @property
    def replayed(self) -> bool:
        """Every reply is the example's whole list out of a file; asking again brings nothing new."""
        return self.config.kind == "replay"

    def identity(self) -> dict[str, Any]:
        """Every text that is sent, and the rules by which replies become alternatives."""
        return {
            "ask": self.config.ask,
            "texts": _texts(self.config.ask),
            "max_input_characters": self.config.max_input_characters,
            "cleaning_version": CLEANING_VERSION,
            "max_words": self.max_words,
            **({"whole_lists": True} if self.replayed else {}),
        }

    def next_round(self, example: Example, replies: Sequence[StoredReply], k: int) -> Round | None:
        """The example's next round; None when it has K alternatives, its tries are used up, or it was refused."""
        number = max((reply.round for reply in replies), default=-1)
        started = [reply for reply in replies if reply.round == number]
        if started and len(started) < started[0].round_size:
            return self._rest_of_round(example, replies, started)
        missing = k - len(self.clean(example, replies).accepted)
        if missing <= 0 or any(reply.refused is not None for reply in replies) or (self.replayed and replies):
            return None
        first = max((reply.sample for reply in replies), default=-1) + 1
        if self.by_line:
            size = min(missing, k * (1 + self.config.retries) - len(replies))
            requests = [self.line_request(example, sample) for sample in range(first, first + size)]
            return Round(number + 1, size, 1, requests) if requests else None
        tries = sum(reply.wanted >= k for reply in replies)
        if tries > self.config.retries:
            return None
        return Round(number + 1, 1, missing, [self.list_request(example, first, missing)])

    def _rest_of_round(self, example: Example, replies: Sequence[StoredReply], started: Sequence[StoredReply]) -> Round:
        """A round of lines that was interrupted: the requests without a reply."""
        number, size = started[0].round, started[0].round_size
        first = max((reply.sample for reply in replies if reply.round < number), default=-1) + 1
        samples = sorted(set(range(first, first + size)) - {reply.sample for reply in started})
        return Round(number, size, 1, [self.line_request(example, sample) for sample in samples])

    def clean(self, example: Example, replies: Sequence[StoredReply]) -> Cleaner:
        """All clean alternatives of the replies, in the order of their requests."""
        cleaner = Cleaner(
            example.instruction, self.max_words, _lines_of_requests() if self.config.ask != "plain" else ()
        )
        for reply in sorted(replies, key=lambda reply: reply.sample):
            if reply.refused is not None:
                cleaner.rejected["request refused"] += 1
                continue
            items = lines_of(reply.text, one_line=self.by_line, finished=reply.finished)
            if not items:
                cleaner.rejected["no complete line" if self.by_line else "no numbered list"] += 1
            for item in items if self.replayed else items[: reply.asked_for]:
                cleaner.offer(item)
        return cleaner

    def num_asked_for(self, reply: StoredReply) -> int:
        """Lines that the reply should have; of a file's list, those that it has."""
        return len(lines_of(reply.text, one_line=False, finished=True)) if self.replayed else reply.asked_for

    def list_request(self, example: Example, sample: int, k: int) -> Request:
        """Asks for k alternatives at once, by the paper's prompt."""
        has_input = bool(example.input)
        system = (texts.PAPER_WITH_INPUT if has_input else texts.PAPER_WITHOUT_INPUT).replace("{k}", str(k))
        turns: list[Turn] = [("system", system)]
        if self.config.ask in ("examples", "begun"):
            for given, lines in texts.EXAMPLES_WITH_INPUT if has_input else texts.EXAMPLES_WITHOUT_INPUT:
                numbered = "\n".join(f"{number}. {line}" for number, line in enumerate(lines[:k], start=1))
                turns += [("user", _user(given, has_input)), ("assistant", numbered)]
        turns.append(("user", _user(self._given(example), has_input)))
        return Request(example, sample, tuple(turns), begun="1." if self.config.ask == "begun" else "")

    def line_request(self, example: Example, sample: int) -> Request:
        """Asks for one alternative, begun in a way of its own for each of the example's requests."""
        has_input = bool(example.input)
        turns: list[Turn] = [("system", texts.LINE_WITH_INPUT if has_input else texts.LINE_WITHOUT_INPUT)]
        for given, line in texts.LINE_EXAMPLES_WITH_INPUT if has_input else texts.LINE_EXAMPLES_WITHOUT_INPUT:
            turns += [("user", _user(given, has_input)), ("assistant", line)]
        turns.append(("user", _user(self._given(example), has_input)))
        beginnings = list(texts.BEGINNINGS_WITH_INPUT if has_input else texts.BEGINNINGS_WITHOUT_INPUT)
        random.Random(f"{self.config.seed}\0{example.example_id}").shuffle(beginnings)
        return Request(example, sample, tuple(turns), begun=beginnings[sample % len(beginnings)], one_line=True)

    def is_cut(self, example: Example) -> bool:
        """Whether the generator sees only the beginning of the input (or of the instruction)."""
        return len(example.input or example.instruction) > self.config.max_input_characters

    def _given(self, example: Example) -> str:
        return (example.input or example.instruction)[: self.config.max_input_characters]


def _user(given: str, has_input: bool) -> str:
    if has_input:
        return texts.USER_WITH_INPUT.replace("{input_text}", given)
    return texts.USER_WITHOUT_INPUT.replace("{original_instruction}", given)


@functools.cache
def _lines_of_requests() -> frozenset[str]:
    lists = (*texts.EXAMPLES_WITH_INPUT, *texts.EXAMPLES_WITHOUT_INPUT)
    single = (*texts.LINE_EXAMPLES_WITH_INPUT, *texts.LINE_EXAMPLES_WITHOUT_INPUT)
    worked = [*(line for _, lines in lists for line in lines), *(line for _, line in single)]
    beginnings = (*texts.BEGINNINGS_WITH_INPUT, *texts.BEGINNINGS_WITHOUT_INPUT)
    return frozenset(fold(line) for line in (*worked, *beginnings))


def _texts(ask: str) -> dict[str, Any]:
    """Whatever can be sent under this form of asking."""
    user = [texts.USER_WITH_INPUT, texts.USER_WITHOUT_INPUT]
    if ask == "line_by_line":
        return {
            "system": [texts.LINE_WITH_INPUT, texts.LINE_WITHOUT_INPUT],
            "user": user,
            "examples": [list(pair) for pair in (*texts.LINE_EXAMPLES_WITH_INPUT, *texts.LINE_EXAMPLES_WITHOUT_INPUT)],
            "beginnings": [list(texts.BEGINNINGS_WITH_INPUT), list(texts.BEGINNINGS_WITHOUT_INPUT)],
            "begin_with": texts.BEGIN_WITH,
        }
    paper = {"system": [texts.PAPER_WITH_INPUT, texts.PAPER_WITHOUT_INPUT], "user": user}
    if ask == "plain":
        return paper
    worked = (*texts.EXAMPLES_WITH_INPUT, *texts.EXAMPLES_WITHOUT_INPUT)
    return {**paper, "examples": [[given, list(lines)] for given, lines in worked]}
