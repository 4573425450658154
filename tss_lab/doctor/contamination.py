"""Benchmark items inside the data: whoever trains on them measures memory.

The usual measure: an item and a row that share a sequence of 13 words, in small letters and without punctuation
(Brown et al. 2020, appendix C; lm-evaluation-harness). An item's texts are its question, and the question followed by
each choice; a text that is shorter than that can't be found.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tss_lab.doctor.copies import shown, text_of, words
from tss_lab.evaluation.items import BenchmarkItem
from tss_lab.runs.findings import Figures, Finding
from tss_lab.types import Example

_MOST_SHOWN = 2


@dataclass(frozen=True)
class Overlap:
    """An item that shares words with a row; ``whole``: one of the item's texts stands there from end to end."""

    item: BenchmarkItem
    example: Example
    whole: bool


@dataclass(frozen=True)
class Items:
    """The items of an evaluation, and where they stand among the examples."""

    num: int
    num_too_short: int
    """Items without a text of ``ngram`` words."""
    num_examples: int
    ngram: int
    overlaps: Sequence[Overlap]


def find_items(items: Sequence[BenchmarkItem], examples: Sequence[Example], ngram: int) -> Items:
    """Looks for every item in every example."""
    hashes = {hash(gram) for item in items for text in _texts(item) for gram in ngrams(text, ngram)}
    holders: dict[str, set[int]] = defaultdict(set)  # the examples that hold a sequence of some item
    for index, example in enumerate(examples):
        for gram in ngrams(words(text_of(example)), ngram):
            if hash(gram) in hashes:
                holders[gram].add(index)
    overlaps, too_short = [], 0
    for item in items:
        texts = [grams for text in _texts(item) if (grams := list(ngrams(text, ngram)))]
        too_short += not texts
        touched = {index for grams in texts for gram in grams for index in holders.get(gram, ())}
        for index in sorted(touched):
            whole = any(all(index in holders.get(gram, ()) for gram in grams) for grams in texts)
            overlaps.append(Overlap(item, examples[index], whole))
    return Items(len(items), too_short, len(examples), ngram, overlaps)


def ngrams(text: Sequence[str], size: int) -> Iterator[str]:
    """Every sequence of ``size`` words."""
    return (" ".join(text[start : start + size]) for start in range(len(text) - size + 1))


def _texts(item: BenchmarkItem) -> Iterator[list[str]]:
    question = words(item.question)
    yield question
    for choice in item.choices:
        yield question + words(choice)


def benchmark_items(items: Items) -> Finding:
    """Items that stand in the data, whole or in part."""
    rows = list(dict.fromkeys(one.example.example_id for one in items.overlaps))
    touched = {one.item.place: one.item.benchmark for one in items.overlaps}
    whole = {one.item.place for one in items.overlaps if one.whole}
    figures: Figures = {
        "items": items.num, "items_sharing_words": len(touched), "items_whole": len(whole),
        "items_too_short": items.num_too_short, "ngram": items.ngram, "examples": items.num_examples,
        "example_ids": rows,
    }  # fmt: skip
    if not touched:
        text = (
            f"none of {items.num:,} items shares {items.ngram} words in a row with any of {items.num_examples:,} rows"
        )
        if items.num_too_short:
            text += f" ({items.num_too_short:,} items are too short to be found)"
        return Finding("benchmark_items", "ok", text, "", figures)
    of = ", ".join(f"{name} {count:,}" for name, count in Counter(touched.values()).most_common())
    worst = sorted(items.overlaps, key=lambda one: not one.whole)[:_MOST_SHOWN]
    text = (
        f"items that share {items.ngram} words in a row with the data: {len(touched):,} of {items.num:,} ({of}), "
        f"{len(whole):,} of them whole, in {len(rows):,} of {items.num_examples:,} rows; such as "
        + ", ".join(f"{one.item.place}, in {shown(one.example)}" for one in worst)
    )
    remedy = "drop these rows (doctor.json names them), or report the benchmarks without these items"
    return Finding("benchmark_items", "failure" if whole else "warning", text, remedy, figures)


CHECKS = (benchmark_items,)
