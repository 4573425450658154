"""Rows that stand in the data more than once, word for word or nearly."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from tss_lab.runs.findings import Figures, Finding
from tss_lab.types import Example

SHINGLE_WORDS = 3
_SIGNATURE, _BANDS = 128, 32
"""Numbers a signature, and the bands of which one must agree: two texts of similarity 0.5 are compared with a
probability of 0.87, of 0.8 with one that is 1 to seven digits (1 − (1 − s⁴)³²). The comparison is exact."""
_FEW = 0.01
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Rows:
    """A data set's rows, and how alike two of them must be to count as near-duplicates."""

    examples: Sequence[Example]
    held_out: Sequence[Example]
    num_dropped: int
    """Exact copies that the data check set aside."""
    similarity: float
    """Jaccard similarity of their sets of three-word sequences, in (0, 1]."""

    @cached_property
    def same(self) -> list[list[Example]]:
        """Groups of examples whose words are the same: case, punctuation and white space aside."""
        groups: dict[tuple[str, ...], list[Example]] = defaultdict(list)
        for example in self.examples:
            groups[tuple(words(text_of(example)))].append(example)
        return [group for group in groups.values() if len(group) > 1]

    @cached_property
    def near(self) -> list[tuple[int, int, float]]:
        """(first, second, similarity) of near-duplicates among examples, then held-out ones, same words left out."""
        everything = (*self.examples, *self.held_out)
        rests = [words(f"{one.input} {one.output}") for one in everything]
        return find_near_duplicates([words(text_of(one)) for one in everything], rests, self.similarity)


def text_of(example: Example) -> str:
    """Instruction, input and output as one text."""
    return " ".join(part for part in (example.instruction, example.input, example.output) if part)


def words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation."""
    return text.lower().translate(_PUNCTUATION).split()


def find_near_duplicates(
    texts_N: Sequence[Sequence[str]], rests_N: Sequence[Sequence[str]], similarity: float
) -> list[tuple[int, int, float]]:
    """Pairs of rows that are at least so similar and not the same: (earlier, later, similarity).

    MinHash finds candidates, whose Jaccard similarity over three-word sequences is then computed: that of the rows, or
    of what they hold besides their instruction, whichever is smaller. A task's long instruction, which its rows share,
    makes no duplicates of them.

    Args:
        texts_N: the words of each row.
        rests_N: those of its input and output.
    """
    found = []
    sides = tuple(zip(texts_N, rests_N, strict=True))
    for later, candidates in enumerate(map(set.intersection, _alike(texts_N), _alike(rests_N))):
        for earlier in sorted(candidates):
            alike = min(map(jaccard, sides[earlier], sides[later]))
            if alike >= similarity and texts_N[earlier] != texts_N[later]:
                found.append((earlier, later, alike))
    return found


def _alike(texts_N: Iterable[Sequence[str]]) -> Iterator[set[int]]:
    """For each text the earlier ones that are likely to be similar."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=0.5, num_perm=_SIGNATURE, num_bands=_BANDS)
    for number, text in enumerate(texts_N):
        signature = RMinHash(num_perm=_SIGNATURE, seed=0)
        signature.update(sorted(_shingles(text)))
        yield set(index.query(signature))
        index.insert(number, signature)


def jaccard(first: Sequence[str], second: Sequence[str]) -> float:
    """The three-word sequences that two texts share, over all that they hold."""
    mine, others = _shingles(first), _shingles(second)
    return len(mine & others) / len(mine | others)


def _shingles(text: Sequence[str]) -> set[str]:
    last = max(1, len(text) - SHINGLE_WORDS + 1)
    return {" ".join(text[start : start + SHINGLE_WORDS]) for start in range(last)}


def duplicates(rows: Rows) -> Finding:
    """Rows whose words are those of an earlier row."""
    repeated = [example for group in rows.same for example in group[1:]]
    text = f"{len(repeated):,} of {len(rows.examples):,} rows say word for word what an earlier one says"
    if rows.num_dropped:
        text += f"; {rows.num_dropped:,} exact copies were set aside before"
    figures: Figures = {
        "rows": len(repeated), "examples": len(rows.examples), "set_aside": rows.num_dropped,
        "example_ids": _ids(repeated),
    }  # fmt: skip
    if not repeated:
        return Finding("duplicates", "ok", text, "", figures)
    return Finding("duplicates", "warning", text, "drop them: each counts as often as it stands there", figures)


def near_duplicates(rows: Rows) -> Finding:
    """Rows that differ from an earlier row in a few words."""
    count = len(rows.examples)
    pairs = [(first, second) for first, second, _ in rows.near if second < count]
    again = sorted({second for _, second in pairs})
    share = len(again) / max(1, count)
    text = f"{len(again):,} of {count:,} rows differ from an earlier one in a few words"
    figures: Figures = {
        "rows": len(again), "examples": count, "share": share, "similarity": rows.similarity,
        "example_ids": _ids(rows.examples[index] for index in again),
    }  # fmt: skip
    if share <= _FEW:
        return Finding("near_duplicates", "ok", text, "", figures)
    first, second = pairs[0]
    text += f" (such as {shown(rows.examples[first])} and {shown(rows.examples[second])})"
    return Finding("near_duplicates", "warning", text, "keep one of each group; doctor.json names them", figures)


def held_out_copies(rows: Rows) -> Finding:
    """Held-out rows that stand, nearly or word for word, among those to choose from."""
    if not rows.held_out:
        return Finding("held_out_copies", "skipped", "no row is held out")
    count = len(rows.examples)
    known = {tuple(words(text_of(example))) for example in rows.examples}
    leaked = {index for index, one in enumerate(rows.held_out) if tuple(words(text_of(one))) in known}
    leaked |= {second - count for first, second, _ in rows.near if first < count <= second}
    text = f"{len(leaked):,} of {len(rows.held_out):,} held-out rows stand, nearly or fully, among those to choose from"
    figures: Figures = {
        "rows": len(leaked), "held_out": len(rows.held_out),
        "example_ids": _ids(rows.held_out[index] for index in sorted(leaked)),
    }  # fmt: skip
    if not leaked:
        return Finding("held_out_copies", "ok", text, "", figures)
    remedy = "drop the copies: held-out measures would tell what was learnt by heart"
    return Finding("held_out_copies", "failure" if len(leaked) > _FEW * len(rows.held_out) else "warning", text, remedy,
                   figures)  # fmt: skip


def _ids(examples: Iterable[Example]) -> list[str]:
    return [example.example_id for example in examples]


def shown(example: Example) -> str:
    """An example's id and how its instruction begins."""
    return f"{example.example_id} “{example.instruction[:40].strip()}{'…' if len(example.instruction) > 40 else ''}”"


CHECKS = (duplicates, near_duplicates, held_out_copies)
