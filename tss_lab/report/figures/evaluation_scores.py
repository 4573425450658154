"""Accuracy before and after tuning, with confidence intervals."""

from __future__ import annotations

import altair as alt

from tss_lab.report.charts import IN_LINES, Drawing, Ink, categories, in_lines, values
from tss_lab.report.model import RunReport
from tss_lab.report.statistics import accuracy_interval

SECTION = "evaluation"
ORDER = 10
TITLE = "Accuracy, zero-shot and tuned"


def draw(report: RunReport, width: int) -> Drawing | None:
    results = {name: result for name, result in (("zero-shot", report.zero_shot), ("tuned", report.tuned)) if result}
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
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("benchmark:N", sort=order, title=None, axis=IN_LINES),
        yOffset=alt.YOffset("model:N", sort=list(results), scale=alt.Scale(paddingOuter=0.7)),
        color=alt.Color("model:N", scale=categories({"zero-shot": Ink.REST, "tuned": Ink.ACCENT}), sort=list(results)),
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
