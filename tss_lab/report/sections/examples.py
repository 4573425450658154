"""The examples that are ranked first and last, each with its alternatives and their log-likelihoods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tss_lab.report.numbers import number, place
from tss_lab.report.parts import Card, Cards, PromptRow, Section, section
from tss_lab.report.sections.weights import training_weights
from tss_lab.runs import Run
from tss_lab.types import Alternative, Example, FloatArray

ORDER = 30

_NUM_CARDS = 10
_MAX_CHARACTERS = 2000


def examples(run: Run) -> Section | None:
    first, last = ranked_cards(run)
    is_specificity = run.config.method.name.startswith("tss")
    best, worst = ("most specific", "least specific") if is_specificity else ("ranked first", "ranked last")
    return section(
        "examples", "First and last of the ranking",
        "Open an example for its texts and for how likely its output is under each instruction.",
        [Cards(f"The {len(cards)} {which}", cards) for which, cards in ((best, first), (worst, last)) if cards],
    )  # fmt: skip


def ranked_cards(run: Run) -> tuple[list[Card], list[Card]]:
    """The first and the last of the ranking; the last one comes first in its list. They never overlap."""
    selection = run.selection
    if selection is None or not run.examples:
        return [], []
    order = np.argsort(selection.rank_N, kind="stable")
    count = min(_NUM_CARDS, len(order) // 2)
    wanted = [int(i) for i in (*order[:count], *order[::-1][:count])]
    by_id = {one.example_id: one for one in run.examples}
    others: dict[str, list[Alternative]] = {str(selection.example_id_N[i]): [] for i in wanted}
    for one in run.alternatives:
        if one.example_id in others:
            others[one.example_id].append(one)
    cards = []
    for i in wanted:
        name = str(selection.example_id_N[i])
        cards.append(_card(run, i, by_id[name], sorted(others[name], key=lambda one: one.alternative_index)))
    return cards[:count], cards[count:]


def _card(run: Run, i: int, example: Example, alternatives: Sequence[Alternative]) -> Card:
    """The ``i``-th row of the selection."""
    selection = run.selection
    assert selection is not None
    is_kept = bool(selection.kept_N[i])
    weight = number(float(selection.weight_N[i]), 2) if is_kept and training_weights(run) is not None else ""
    tokens = run.num_target_tokens.get(example.example_id)
    row = run.row_numbers.get(example.example_id)
    about = [
        f"row {row:,}" if row else "", example.category, f"{tokens:,} tokens" if tokens else "",
        f"weight {weight}" if weight else "",
    ]  # fmt: skip
    truth, why = str(example.extra.get("specificity", "")), str(example.extra.get("why", ""))
    texts = {"Instruction": example.instruction, "Input": example.input, "Output": example.output}
    return Card(
        place=place(int(selection.rank_N[i])),
        score=number(float(selection.score_N[i]), 2, signed=True),
        is_kept=is_kept,
        about=" · ".join(one for one in about if one),
        note=f"Written as {truth}{f': {why}' if why else '.'}" if truth else "",
        texts={name: _cut(text) for name, text in texts.items() if text},
        prompts=_prompt_rows(run, example.example_id, alternatives),
    )


def _prompt_rows(run: Run, example_id: str, alternatives: Sequence[Alternative]) -> list[PromptRow]:
    """The example's own instruction, then its alternatives, with the output's log-likelihood under each."""
    likelihoods = run.likelihoods
    if likelihoods is None or example_id not in likelihoods.example_id_N:
        return []
    n = int(np.flatnonzero(likelihoods.example_id_N == example_id)[0])
    true = float(likelihoods.true_loglik_N[n])
    scored = alternatives[: likelihoods.num_alternatives_N[n]]
    value_K = likelihoods.alternative_loglik_NK[n, : len(scored)]
    own, *places = _places(np.concatenate([[true], value_K]))
    rows = [PromptRow("the example's own instruction", "", number(true, 1), "", own, True)]
    for one, value, where in zip(scored, value_K.tolist(), places, strict=True):
        difference = number(value - true, 1, signed=True)
        rows.append(PromptRow(_cut(one.instruction), one.source, number(value, 1), difference, where, False))
    return rows


def _places(loglik_P: FloatArray) -> list[float | None]:
    """Where each stands between the least and the most likely, in percent of a track with a margin; None: nowhere."""
    finite_P = np.isfinite(loglik_P)
    low = float(loglik_P[finite_P].min(initial=np.inf))
    reach = float(loglik_P[finite_P].max(initial=-np.inf)) - low
    if not reach > 0:
        return [None] * len(loglik_P)
    return [
        round(4 + 92 * (value - low) / reach, 1) if is_finite else None
        for value, is_finite in zip(loglik_P.tolist(), finite_P.tolist(), strict=True)
    ]


def _cut(text: str) -> str:
    if len(text) <= _MAX_CHARACTERS:
        return text
    return f"{text[:_MAX_CHARACTERS]} … ({len(text) - _MAX_CHARACTERS:,} more characters)"
