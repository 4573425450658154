"""A run as the page's plain values: numbers become texts here, and nowhere else.

Everything in a view is text that the template escapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tss_lab.report.model import RunReport
from tss_lab.report.statistics import compare_results, effective_size
from tss_lab.report.numbers import (
    NOTHING_CHANGED,
    accuracy,
    bounds,
    item_difference,
    number,
    plus_minus,
    total_title,
)
from tss_lab.types import Estimate

Row = tuple[str, str]


@dataclass(frozen=True)
class Tile:
    """One of the few numbers at the top."""

    value: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """``columns[0]`` heads the rows; the others hold numbers, the last one texts where ``ends_in_words``."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    ends_in_words: bool = False


def tiles(report: RunReport) -> list[Tile]:
    """The run in a few numbers."""
    found = []
    if report.selection is not None:
        kept, count = report.selection.num_kept, len(report.selection.example_id_N)
        found.append(Tile(f"{kept:,} of {count:,}", "examples kept", f"{100 * kept / count:.0f} % of those scored"))
        training_weights = report.selection.weight_N[report.selection.kept_N]
        if len(training_weights) and np.ptp(training_weights) > 1e-12:
            found.append(
                Tile(number(effective_size(training_weights), 1), "effective sample size", "of the weighted examples")
            )
    found += [
        Tile(
            number(measure.difference.value, 3, signed=True),
            f"{measure.title}, change by tuning",
            f"± {number(measure.difference.standard_error, 3)} {measure.unit}; {measure.better} is better",
        )
        for measure in report.held_out[:1]
        if measure.difference is not None
    ]
    if report.zero_shot is not None and report.tuned is not None:
        total = compare_results(report.zero_shot, report.tuned)[-1]
        name = f"{total_title(report.tuned)}, change by tuning"
        if not total.gained + total.lost:
            found.append(Tile("–", name, NOTHING_CHANGED))
        else:
            error = number(total.difference.standard_error, 1)
            found.append(Tile(number(total.difference.value, 1, signed=True), name, f"± {error} percent points"))
    elif (result := report.tuned or report.zero_shot) is not None:
        note = f"± {number(result.total.standard_error, 1)} percent points"
        found.append(Tile(number(result.total.value, 1), total_title(result), note))
    return found


def what_was_run(report: RunReport) -> list[Row]:
    """The choices that make up this run."""
    settings = report.settings
    rows = [
        ("Dataset", _joined(report.dataset_name, _at(settings, "dataset", "path"))),
        ("Scored and tuned model", _joined(report.model_name, _at(settings, "model", "path"))),
        ("Method", report.method_name + _method_parameters(settings)),
        ("Kept share ρ", f"{number(report.rho, 2)} of the {_at(settings, 'budget', 'kind') or 'examples'}"),
        ("Seed", str(report.seed)),
    ]
    if report.alternatives:
        rows.insert(2, ("Alternatives", _alternatives_line(settings)))
    licence = _at(settings, "model", "licence")
    return rows + ([("Model licence", licence)] if licence else [])


def _method_parameters(settings: Mapping[str, Any]) -> str:
    method = settings.get("method") or {}
    names = {"tau": "τ", "alpha": "α", "m": "m", "kind": "kind"}
    shown = [f"{letter} = {method[name]}" for name, letter in names.items() if name in method]
    weighting = method.get("weighting") or {}
    if weighting.get("enabled"):
        low, high = weighting["clip"]
        shown += [
            f"λ = {weighting['lambda_']}",
            f"weights clipped to {low} … {high}",
            f"standardised: {weighting['standardize']}",
        ]
        shown += [f"scope: {method.get('scope')}"]
    return f" ({', '.join(shown)})" if shown else ""


def _alternatives_line(settings: Mapping[str, Any]) -> str:
    kind, count = _at(settings, "alternatives", "kind"), _at(settings, "alternatives", "k")
    generator = _at(settings, "generator", "name") if kind != "retrieved" else ""
    parts = [kind or "given", f"K = {count}" if count else "", f"by {generator}" if generator else ""]
    return ", ".join(part for part in parts if part)


def _at(settings: Mapping[str, Any], group: str, name: str) -> str:
    value = (settings.get(group) or {}).get(name)
    return "" if value is None else str(value)


def _joined(name: str, detail: str) -> str:
    return f"{name} ({detail})" if detail and detail != name else name


def data_rows(report: RunReport) -> list[Row]:
    """Counts of the data, in the order the run gives them."""
    return [(name, f"{count:,}") for name, count in report.counts.items()]


def scoring_rows(report: RunReport) -> list[Row]:
    """Counts and checks of the likelihood pass."""
    facts = report.scoring
    if facts is None:
        return []
    share = f" ({100 * facts.num_truncated / facts.num_pairs:.1f} %)" if facts.num_truncated and facts.num_pairs else ""
    rows = [
        ("Pairs of prompt and output", number(facts.num_pairs)),
        ("of these from the store", number(facts.num_from_store)),
        ("Pairs cut to the length limit", number(facts.num_truncated) + share),
        ("Output tokens scored", number(facts.num_target_tokens)),
        ("Tokens computed", number(facts.num_tokens_computed)),
        ("Teraflop", number(facts.teraflop, 2)),
        (
            "Prompt and output would merge a token",
            "–" if facts.merge_rate is None else f"{100 * facts.merge_rate:.1f} % of examples",
        ),
        ("Engine", facts.engine or "–"),
    ]
    if facts.self_check_difference is not None:
        rows.append(
            (
                "Self-check",
                f"{facts.self_check_pairs} pairs computed twice, at most {facts.self_check_difference:.1e} nats apart",
            )
        )
    return [row for row in rows if row[1] != "–"]


def weights_rows(report: RunReport) -> list[Row]:
    """How uneven the training weights are; nothing where all are equal."""
    if report.selection is None:
        return []
    weight_M = report.selection.weight_N[report.selection.kept_N]
    if len(weight_M) < 2 or np.ptp(weight_M) < 1e-12:
        return []
    rows = [
        ("Training examples", f"{len(weight_M):,}"),
        ("Effective sample size (Σw)²/Σw²", number(effective_size(weight_M), 1)),
        ("Smallest and largest weight", f"{weight_M.min():.3f} and {weight_M.max():.3f}"),
    ]
    if report.clipped_share is not None:
        rows.append(("Weights at a clip bound", f"{100 * report.clipped_share:.1f} %"))
    return rows


def training_rows(report: RunReport) -> list[Row]:
    """What the tuning was."""
    training = report.training
    if training is None:
        return []
    rows = [
        ("Optimiser steps", f"{int(training.step_S[-1]) if len(training.step_S) else 0:,}"),
        ("Training examples", number(training.num_examples)),
        ("Target tokens seen", number(training.num_target_tokens)),
        *((name, str(value)) for name, value in training.facts.items()),
    ]
    return [row for row in rows if row[1] != "–"]


def held_out_table(report: RunReport) -> Table | None:
    """Held-out measures before and after tuning."""
    if not report.held_out:
        return None
    rows = [
        [f"{one.title} ({one.unit}, {one.better} is better)", plus_minus(one.before, 3), plus_minus(one.after, 3),
         plus_minus(one.difference, 3, signed=True), f"{one.before.n:,}"]
        for one in report.held_out
    ]  # fmt: skip
    return Table(
        "Held-out measures, ± standard error",
        ["measure", "before tuning", "after tuning", "difference", "examples"],
        rows,
    )


def evaluation_table(report: RunReport) -> Table | None:
    """Accuracies in percent with standard errors; the differences are paired."""
    first = report.zero_shot or report.tuned
    if first is None:
        return None
    before = _accuracies(report.zero_shot)
    after = _accuracies(report.tuned)
    compared = {}
    if report.zero_shot is not None and report.tuned is not None:
        compared = {one.name: one for one in compare_results(report.zero_shot, report.tuned)}
    names = [(score.name, score.display_name, score.accuracy.n) for score in first.benchmarks]
    rows = []
    for name, shown, count in [*names, ("sum", total_title(first), first.total.n)]:
        one = compared.get(name)
        shown_as = plus_minus if name == "sum" else accuracy
        rows.append(
            [f"{shown} ({count:,})", shown_as(before.get(name), 1), shown_as(after.get(name), 1), item_difference(one),
             bounds(one.interval) if one else "–",
             f"{one.gained} / {one.lost}" if one else "–"]
        )  # fmt: skip
    columns = ["items", "zero-shot, %", "tuned, %", "difference", "95 % interval", "gained / lost"]
    return Table(f"Correct answers in percent, ± standard error: {first.label}", columns, rows)


def _accuracies(result: Any) -> dict[str, Estimate]:
    if result is None:
        return {}
    return {score.name: score.accuracy for score in result.benchmarks} | {"sum": result.total}


def costs_table(report: RunReport) -> Table | None:
    """Seconds and memory of each step."""
    costs = report.record.get("costs")
    if not isinstance(costs, Mapping) or not costs:
        return None
    rows = [
        [
            str(step),
            number(cost.get("seconds"), 1),
            number(cost.get("cpu_seconds"), 1),
            number(cost.get("peak_memory_gib"), 2),
        ]
        for step, cost in costs.items()
    ]
    rows.append(
        [
            "together",
            *(number(sum(cost.get(name) or 0.0 for cost in costs.values()), 1) for name in ("seconds", "cpu_seconds")),
            "",
        ]
    )
    return Table("What each step cost", ["step", "seconds", "CPU seconds", "peak memory so far, GiB"], rows)


def set_aside_table(report: RunReport) -> Table | None:
    """Rows that were not used, by reason."""
    if not report.set_aside:
        return None
    reasons = Counter(one.reason for one in report.set_aside)
    rows = []
    for reason, count in reasons.most_common():
        first = next(one for one in report.set_aside if one.reason == reason)
        rows.append([reason, f"{count:,}", first.where + (f": {first.detail}" if first.detail else "")])
    return Table("Rows set aside, by reason", ["reason", "rows", "for instance"], rows, ends_in_words=True)


def provenance_rows(record: Mapping[str, Any]) -> list[Row]:
    """``run.json`` as flat rows, costs left out (they have their own table)."""
    return list(_flat({name: value for name, value in record.items() if name not in {"costs", "set_aside"}}))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} · ")
        elif value is not None and value != [] and value != "":
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            yield f"{prefix}{name}".replace("_", " "), text
