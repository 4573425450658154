"""What is compared: properties of rows, each a value a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tss_lab.audit.clusters import clusters
from tss_lab.audit.words import has_toxic_words, instruction_verb, is_refusal
from tss_lab.config import AuditConfig
from tss_lab.types import Example, FloatArray, IntArray

OTHER = "(other)"
NO = ""
"""The value of rows that aren't counted: those without a category, without a refusal."""
_NO_EMBEDDINGS = "no embeddings are at hand; audit.clusters=always makes them"


def properties(
    examples: Sequence[Example], language_N: Sequence[str], length_N: IntArray, unit: str,
    embedding_ND: FloatArray | None, config: AuditConfig, seed: int,
) -> tuple[dict[str, list[str]], dict[str, str]]:  # fmt: skip
    """Property -> its value in each of N rows; and property -> why it can't be compared.

    Values that few rows have are put together; ``NO`` stands where there is none.

    Args:
        language_N: of each row.
        length_N: of the outputs, in ``unit``.
        embedding_ND: of the instructions; None where they aren't at hand.
    """
    instructions = [one.instruction for one in examples]
    found = {
        "category": [one.category or NO for one in examples],
        "source": [one.source for one in examples],
        "output length": length_bins(length_N, unit, config.length_bins),
        "language": list(language_N),
        "instruction verb": [instruction_verb(text) for text in instructions],
        "output": ["a refusal" if is_refusal(one.output) else NO for one in examples],
        "words": [
            "toxic" if has_toxic_words(one.instruction, one.input, one.output) else NO for one in examples
        ],
    }  # fmt: skip
    left_out: dict[str, str] = {}
    if embedding_ND is None:
        left_out["instruction cluster"] = _NO_EMBEDDINGS
    else:
        found["instruction cluster"] = clusters(instructions, embedding_ND, config.num_clusters, seed)
    together = {name: put_together(values, config.most_values, config.fewest_rows) for name, values in found.items()}
    for name, values in together.items():
        if reason := _one_value_only(values):
            left_out[name] = reason
    return {name: values for name, values in together.items() if name not in left_out}, left_out


def length_bins(length_N: IntArray, unit: str, number: int) -> list[str]:
    """The quantile bin of each length, called by the shortest and the longest in it: ``12–40 tokens``."""
    inner = np.unique(np.quantile(length_N, np.linspace(0, 1, number + 1)[1:-1], method="inverted_cdf"))
    bin_N = np.searchsorted(inner, length_N, side="left")
    names = {}
    for index in np.unique(bin_N):
        mine = length_N[bin_N == index]
        span = f"{mine.min():,}" if mine.min() == mine.max() else f"{mine.min():,}–{mine.max():,}"
        names[int(index)] = f"{span} {unit}"
    return [names[int(index)] for index in bin_N]


def put_together(values: Sequence[str], most: int, fewest_rows: int) -> list[str]:
    """The ``most`` most frequent values that at least so many rows have; all others are called ``(other)``."""
    counts: Mapping[str, int] = Counter(value for value in values if value != NO)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    own = {value for value in ranked[:most] if counts[value] >= fewest_rows} | {NO}
    if len(own) == len(counts):  # one value alone keeps its name
        own = set(counts) | {NO}
    return [value if value in own else OTHER for value in values]


def _one_value_only(values: Sequence[str]) -> str | None:
    kinds = set(values)
    if kinds == {NO}:
        return "no row has one"
    return f"it is the same in all rows: {kinds.pop()}" if len(kinds) == 1 else None
