"""Benchmarks: accuracy before and after tuning, and what tuning changed item by item."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt

from tss_lab.errors import ArtifactError
from tss_lab.report.charts import IN_LINES, Drawing, Ink, categories, figure, in_lines, values
from tss_lab.report.numbers import NOTHING_CHANGED, accuracy, bounds, number, plus_minus
from tss_lab.report.paired import ItemComparison, compare_results
from tss_lab.report.parts import Column, Form, Plain, Section, Table, difference, interval, section
from tss_lab.runs import Run
from tss_lab.statistics import accuracy_interval
from tss_lab.types import BenchmarkScore, Estimate, EvaluationResult

ORDER = 80


def evaluation(run: Run) -> Section | None:
    results, compared = results_of(run), changes_by_tuning(run)
    change = "Change by tuning, paired on the same items"
    return section(
        "evaluation", "Evaluation", "Multiple choice, zero-shot, plain accuracy, run by lm-evaluation-harness.",
        [
            evaluation_table(run),
            figure("evaluation_scores", "Accuracy, zero-shot and tuned", lambda width: _accuracies(results)),
            figure("evaluation_difference", change, lambda width: _changes(compared)),
        ],
    )  # fmt: skip


def results_of(run: Run) -> dict[str, EvaluationResult]:
    """``zero-shot`` and ``tuned``, as far as they were evaluated."""
    evaluated = {"zero-shot": run.zero_shot, "tuned": run.tuned}
    return {name: found.result for name, found in evaluated.items() if found is not None}


def changes_by_tuning(run: Run) -> list[ItemComparison]:
    """Each benchmark's paired difference, and last the sum's; empty unless both models were evaluated.

    Raises ArtifactError where the two were evaluated on other items.
    """
    results = results_of(run)
    if len(results) < 2:
        return []
    try:
        return compare_results(results["zero-shot"], results["tuned"])
    except ValueError as error:
        raise ArtifactError(f"{run.folder}: {error}; run the same command again with overwrite=true") from error


def evaluation_table(run: Run) -> Table | None:
    """Accuracies in percent with standard errors; the differences are paired. The sum is last."""
    results = results_of(run)
    if not results:
        return None
    first = next(iter(results.values()))
    changes = {one.name: one for one in changes_by_tuning(run)}
    before, after = (_by_name(results.get(name)) for name in ("zero-shot", "tuned"))
    titles = {score.name: (score.display_name, score.accuracy.n) for score in first.benchmarks}
    rows = []
    for name, title in {**titles, "sum": (first.total_name, first.total.n)}.items():
        change = changes.get(name)
        rows.append([title, before.get(name), after.get(name), change, change and change.interval, change])
    columns = [
        Column("items", _ITEMS, "benchmark"),
        Column("zero-shot, %", _ACCURACY, "zero_shot"),
        Column("tuned, %", _ACCURACY, "tuned"),
        Column("difference", difference(1)),
        Column("95 % interval", interval(1), "difference"),
        Column("gained / lost", _GAINED_AND_LOST),
    ]
    caption = f"Correct answers in percent, ± standard error: {first.label}"
    return Table(caption, columns, rows, last_is_total=True, is_wide=True)


def _by_name(result: EvaluationResult | None) -> dict[str, BenchmarkScore | Estimate]:
    return {} if result is None else {**{score.name: score for score in result.benchmarks}, "sum": result.total}


def _share_or_sum(value: BenchmarkScore | Estimate) -> str:
    """A benchmark's accuracy is a share, which has Wilson's interval at its ends; the sum isn't one."""
    return accuracy(value.accuracy, 1) if isinstance(value, BenchmarkScore) else plus_minus(value, 1)


def _value_and_error(value: BenchmarkScore | Estimate) -> dict[str, Plain]:
    estimate = value.accuracy if isinstance(value, BenchmarkScore) else value
    return {"": estimate.value, "_stderr": estimate.standard_error}


_ITEMS = Form(
    lambda title: f"{title[0]} ({title[1]:,})",
    lambda title: {"": title[0], "_items": title[1]}, ("", "_items"), is_text=True,
)  # fmt: skip
_ACCURACY = Form(_share_or_sum, _value_and_error, ("", "_stderr"))
_GAINED_AND_LOST = Form(lambda change: f"{change.gained} / {change.lost}", suffixes=())


def _accuracies(results: Mapping[str, EvaluationResult]) -> Drawing | None:
    if not results:
        return None
    first = next(iter(results.values()))
    rows, words = [], []
    for name, result in results.items():
        for score in result.benchmarks:
            low, high = accuracy_interval(score.accuracy)
            rows.append(
                {"benchmark": in_lines(score.display_name), "model": name, "value": score.accuracy.value,
                 "low": low, "high": high}
            )  # fmt: skip
            words.append(f"{score.display_name}, {name}: {score.accuracy.value:.1f} %")
    order = [in_lines(score.display_name) for score in first.benchmarks]
    colours = {"zero-shot": Ink.REST, "tuned": Ink.ACCENT}
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("benchmark:N", sort=order, title=None, axis=IN_LINES),
        yOffset=alt.YOffset("model:N", sort=list(results), scale=alt.Scale(paddingOuter=0.7)),
        color=alt.Color("model:N", scale=categories(colours), sort=list(results)),
    )
    bars = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title="correct, %", axis=alt.Axis(tickCount=6)), x2="high:Q"
    )
    dots = base.mark_circle(size=90, opacity=1).encode(x="value:Q")
    chance = [{"benchmark": in_lines(score.display_name), "chance": score.chance} for score in first.benchmarks]
    ticks = (
        alt.Chart(values(chance))
        .mark_tick(color=Ink.MARK, thickness=1.5, size=36)
        .encode(x="chance:Q", y=alt.Y("benchmark:N", sort=order))
    )
    caption = f"Over {first.label}: a dot is the accuracy, a line its 95 % interval, the thin bar blind guessing."
    chart = (bars + dots + ticks).properties(height=alt.Step(20))
    return Drawing(chart, caption, f"Accuracies with intervals. {'; '.join(words)}.")


def _changes(compared: list[ItemComparison]) -> Drawing | None:
    if not compared:
        return None
    rows = []
    for one in compared:
        low, high = one.interval or (one.difference.value, one.difference.value)
        rows.append({"benchmark": in_lines(one.display_name), "value": one.difference.value, "low": low, "high": high})
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("benchmark:N", sort=[row["benchmark"] for row in rows], title=None, axis=IN_LINES)
    )
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="zero:Q")
    bars = base.mark_rule(strokeWidth=2.5, color=Ink.ACCENT).encode(
        x=alt.X("low:Q", title="tuned − zero-shot, percent points", axis=alt.Axis(tickCount=6)), x2="high:Q"
    )
    dots = base.mark_circle(size=90, opacity=1, color=Ink.ACCENT).encode(x="value:Q")
    clear = [one.display_name for one in compared if one.interval and (one.interval[0] > 0 or one.interval[1] < 0)]
    caption = (
        "Line: 95 % interval of the paired difference; where it crosses zero, so few items can't tell the two apart. "
        + (f"A dot without a line: {NOTHING_CHANGED}. " if any(one.is_unchanged for one in compared) else "")
        + (f"Clear of zero: {', '.join(clear)}." if clear else "None is clear of zero.")
    )
    words = "; ".join(f"{one.display_name}: {_change_in_words(one)}" for one in compared)
    return Drawing((zero + bars + dots).properties(height=alt.Step(36)), caption, f"Paired differences. {words}.")


def _change_in_words(one: ItemComparison) -> str:
    if one.is_unchanged:
        return NOTHING_CHANGED
    return f"{number(one.difference.value, 1, signed=True)} ({bounds(one.interval)})"
