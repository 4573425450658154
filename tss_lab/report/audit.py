"""The alternatives under scrutiny: where they come from, and what is wrong with them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from tss_lab.report.model import RunReport
from tss_lab.report.view import Row, Table
from tss_lab.report.numbers import number

_NOT_A_LETTER = re.compile(r"[\W_]+")


def sources_table(report: RunReport) -> Table | None:
    """Where the alternatives come from."""
    if not report.alternatives:
        return None
    rows = []
    for source in sorted({one.source for one in report.alternatives}):
        mine = [one for one in report.alternatives if one.source == source]
        words = np.array([len(one.instruction.split()) for one in mine])
        similar = [one.similarity for one in mine if one.similarity is not None]
        rows.append(
            [source, f"{len(mine):,}", f"{len({one.example_id for one in mine}):,}",
             number(float(words.mean()), 1), str(words.max()),
             number(float(np.median(similar)), 2) if similar else "–", number(max(similar), 2) if similar else "–"]
        )  # fmt: skip
    return Table(
        "Alternatives by source",
        ["source", "alternatives", "examples", "mean words", "most words", "median similarity", "highest similarity"],
        rows,
    )


def checks(report: RunReport) -> list[Row]:
    """What should be nearly nothing: copies of the true instruction, repeated and overlong ones."""
    if not report.alternatives:
        return []
    true = {example.example_id: _folded(example.instruction) for example in report.examples}
    folded = [(one.example_id, _folded(one.instruction)) for one in report.alternatives]
    copies = sum(text == true.get(example_id) for example_id, text in folded)
    repeated = len(folded) - len(set(folded))
    across = Counter(text for _, text in folded)
    commonest, times = across.most_common(1)[0]
    each = Counter(one.example_id for one in report.alternatives)
    without = len({example.example_id for example in report.examples} - set(each)) if report.examples else 0
    spread = sorted((Counter(each.values()) + Counter({0: without})).items(), reverse=True)
    return [
        ("Alternatives an example has", ", ".join(f"{k} ({n:,} examples)" for k, n in spread)),
        ("Copies of the example's own instruction", f"{copies:,}"),
        ("Repeated within an example", f"{repeated:,}"),
        ("Distinct instructions among all alternatives", f"{100 * len(across) / len(report.alternatives):.0f} %"),
        ("The most frequent one", f"“{commonest}”, {times:,} times"),
        *((name, str(value)) for name, value in report.generation.items()),
    ]


def _folded(text: str) -> str:
    return _NOT_A_LETTER.sub(" ", text.casefold()).strip()
