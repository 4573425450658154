"""The examples that are ranked first and last, each with its alternatives and their log-likelihoods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tss_lab.report.model import RunReport
from tss_lab.report.numbers import number

NUM_CARDS = 10
MAX_CHARACTERS = 2000


@dataclass(frozen=True)
class PromptRow:
    """One instruction for the example's output. ``place`` is its log-likelihood's position in percent."""

    instruction: str
    source: str
    loglik: str
    difference: str
    place: float | None
    is_true: bool


@dataclass(frozen=True)
class Card:
    """One example."""

    rank: int
    score: str
    kept: bool
    weight: str
    category: str
    instruction: str
    input: str
    output: str
    note: str
    prompts: Sequence[PromptRow]
    tokens: str
    example_id: str


def ranked_cards(report: RunReport) -> tuple[list[Card], list[Card]]:
    """The first and the last of the ranking; the last one comes first in its list. They never overlap."""
    if report.selection is None or not report.examples:
        return [], []
    order = np.argsort(report.selection.rank_N, kind="stable")
    count = min(NUM_CARDS, len(order) // 2)
    wanted = [int(i) for i in (*order[:count], *order[::-1][:count])]
    cards = _cards(report, wanted)
    return cards[:count], cards[count:]


def _cards(report: RunReport, wanted: list[int]) -> list[Card]:
    selection = report.selection
    assert selection is not None
    names = {str(selection.example_id_N[i]) for i in wanted}
    examples = {one.example_id: one for one in report.examples if one.example_id in names}
    weighted = bool(np.ptp(selection.weight_N[selection.kept_N]) > 1e-12) if selection.num_kept else False
    cards = []
    for i in wanted:
        name = str(selection.example_id_N[i])
        example = examples.get(name)
        if example is None:
            continue
        prompts, tokens = _prompt_rows(report, name)
        truth, why = str(example.extra.get("specificity", "")), str(example.extra.get("why", ""))
        cards.append(
            Card(
                rank=int(selection.rank_N[i]) + 1,
                score=number(float(selection.score_N[i]), 2, signed=True),
                kept=bool(selection.kept_N[i]),
                weight=number(float(selection.weight_N[i]), 2) if weighted and selection.kept_N[i] else "",
                category=example.category or "",
                instruction=_cut(example.instruction),
                input=_cut(example.input),
                output=_cut(example.output),
                note=f"Written as {truth}: {why}" if truth and why else (f"Written as {truth}." if truth else ""),
                prompts=prompts,
                tokens=tokens,
                example_id=name,
            )
        )
    return cards


def _prompt_rows(report: RunReport, example_id: str) -> tuple[list[PromptRow], str]:
    likelihoods = report.likelihoods
    if likelihoods is None:
        return [], ""
    found = np.flatnonzero(likelihoods.example_id_N == example_id)
    if not len(found):
        return [], ""
    i = int(found[0])
    true = float(likelihoods.true_loglik_N[i])
    mine = sorted(
        (one for one in report.alternatives if one.example_id == example_id), key=lambda one: one.alternative_index
    )
    values = [
        float(likelihoods.alternative_loglik_NK[i, one.alternative_index])
        if one.alternative_index < likelihoods.alternative_loglik_NK.shape[1]
        else float("nan")
        for one in mine
    ]
    finite = [value for value in (true, *values) if np.isfinite(value)]
    low, reach = (min(finite), max(finite) - min(finite)) if finite else (0.0, 0.0)

    def place(value: float) -> float | None:
        return round(4 + 92 * (value - low) / reach, 1) if reach > 0 and np.isfinite(value) else None

    rows = [PromptRow("the example's own instruction", "", number(true, 1), "", place(true), True)]
    rows += [
        PromptRow(
            _cut(one.instruction),
            one.source,
            number(value, 1),
            number(value - true, 1, signed=True),
            place(value),
            False,
        )
        for one, value in zip(mine, values, strict=True)
    ]
    return rows, f"{int(likelihoods.num_target_tokens_N[i]):,} tokens"


def _cut(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]} … ({len(text) - MAX_CHARACTERS:,} more characters)"
