"""A sample of rows in which half of the instructions are replaced by others that don't belong to the output.

Nothing here needs a label: that a random other instruction is wrong for an output is known beforehand. Axis N: rows.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tss_lab.errors import DataError
from tss_lab.methods.order import seeded_uniform
from tss_lab.store import fingerprint
from tss_lab.types import Example

VAGUE = ("Do the task.", "Write a response.", "Answer.", "Process the following.", "Give a suitable reply.")
_ALIKE = (
    "no other instruction can be put in the place of {!r}: all of the data set's are alike; take "
    "probe.kinds=[alternative,vague,paraphrase], or a data set of several tasks"
)
_REWORDED = (
    "Please do the following: {}",
    "Here is your task. {}",
    "Your task is this: {}",
    "{} That is the task.",
    "I would like you to do this for me: {}",
)


class Kind(str, enum.Enum):
    """What a row's instruction is."""

    OWN = "own"
    """The row's own one, untouched."""
    RANDOM = "random"
    """That of another row, drawn at random."""
    NEAR = "near"
    """The nearest of the other rows' that isn't nearly the same."""
    ALTERNATIVE = "alternative"
    """One of the row's own alternatives."""
    VAGUE = "vague"
    """One that asks for nothing in particular."""
    PARAPHRASE = "paraphrase"
    """The row's own one in other words: a control, which a score must not tell apart."""

    @property
    def is_wrong(self) -> bool:
        """Whether the instruction no longer says what the output does."""
        return self not in (Kind.OWN, Kind.PARAPHRASE)


@dataclass(frozen=True)
class ProbeRow:
    """One row as it is shown to the scores.

    ``original_id`` names the row that it was made of. ``is_second`` halves the rows at random, own and replaced ones
    alike: what is chosen on the first half can be confirmed on the second.
    """

    example: Example
    kind: Kind
    original_id: str
    is_second: bool


def split(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example], set[str]]:
    """(rows that keep their instruction, rows that lose it, ids of the second half of both), by category alike."""
    position_N = seeded_uniform(np.array([one.example_id for one in examples], dtype=object), seed, "probe")
    order = sorted(range(len(examples)), key=lambda n: (examples[n].category or "", position_N[n]))
    own = [examples[n] for n in order[0::2]]
    replaced = [examples[n] for n in order[1::2]]
    second = {one.example_id for part in (own, replaced) for one in part[1::2]}
    return own, replaced, second


def refuse_alike(corpus: Sequence[Example], kinds: Sequence[Kind]) -> None:
    """Raises DataError where all instructions are one, so that no other row's can be put in its place."""
    if {Kind.RANDOM, Kind.NEAR} & set(kinds) and len({one.instruction for one in corpus}) < 2:
        raise DataError(_ALIKE.format(corpus[0].instruction[:60]))


def corrupted(
    examples: Sequence[Example],
    corpus: Sequence[Example],
    kinds: Sequence[Kind],
    seed: int,
    nearest: Callable[[Sequence[str], Sequence[str]], Mapping[str, Sequence[str]]],
    alternatives: Mapping[str, Sequence[str]],
) -> list[ProbeRow]:
    """The rows of a probe: own ones, and each of the others once a kind.

    Args:
        examples: the sample.
        corpus: rows whose instructions may be put in another's place.
        nearest: (instructions, candidates) -> for each instruction the candidates by nearness, no near-duplicates.
        alternatives: example -> its alternative instructions, for ``Kind.ALTERNATIVE``; a row without any is left out
            of that kind.

    Raises DataError where all instructions are alike, so that there is nothing to put in an instruction's place.
    """
    own, replaced, second = split(examples, seed)
    pool = sorted({one.instruction for one in corpus})
    by_nearness = nearest([one.instruction for one in replaced], pool) if Kind.NEAR in kinds else {}
    rows = [ProbeRow(one, Kind.OWN, one.example_id, one.example_id in second) for one in own]
    for kind in kinds:
        ids = np.array([one.example_id for one in replaced], dtype=object)
        drawn_N = seeded_uniform(ids, seed, f"probe {kind.value}")
        for example, number in zip(replaced, drawn_N.tolist(), strict=True):
            instruction = _other_instruction(example, kind, number, pool, by_nearness, alternatives)
            if instruction is not None:
                shown = _with_instruction(example, instruction)
                rows.append(ProbeRow(shown, kind, example.example_id, example.example_id in second))
    return rows


def _other_instruction(
    example: Example, kind: Kind, number: float, pool: Sequence[str],
    by_nearness: Mapping[str, Sequence[str]], alternatives: Mapping[str, Sequence[str]],
) -> str | None:  # fmt: skip
    """``number``, uniform in [0, 1), says which of several."""
    if kind is Kind.VAGUE:
        return VAGUE[int(number * len(VAGUE))]
    if kind is Kind.PARAPHRASE:
        return _REWORDED[int(number * len(_REWORDED))].format(example.instruction)
    if kind is Kind.ALTERNATIVE:
        mine = alternatives.get(example.example_id, ())
        return mine[int(number * len(mine))] if mine else None
    others = [text for text in pool if text != example.instruction]
    if kind is Kind.NEAR:
        others = list(by_nearness.get(example.instruction, ()))[:1]
    if not others:
        raise DataError(_ALIKE.format(example.instruction[:60]))
    return others[int(number * len(others))]


def _with_instruction(example: Example, instruction: str) -> Example:
    content = {"instruction": instruction, "input": example.input, "output": example.output}
    return replace(example, example_id=fingerprint(content)[:16], instruction=instruction)
