"""How the scores are spread, and which part of them is kept."""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, categories, values
from tss_lab.report.model import RunReport
from tss_lab.report.numbers import number

SECTION = "scores"
ORDER = 10
TITLE = "Distribution of scores"


def draw(report: RunReport, width: int) -> Drawing | None:
    selection = report.selection
    if selection is None:
        return None
    finite_N = np.isfinite(selection.score_N)
    score_M, kept_M = selection.score_N[finite_N], selection.kept_N[finite_N]
    if len(score_M) < 2 or np.ptp(score_M) == 0:
        return None
    edges = np.histogram_bin_edges(score_M, bins=min(40, max(8, int(np.sqrt(len(score_M)) * 2))))
    counts = {"kept": np.histogram(score_M[kept_M], edges)[0], "left out": np.histogram(score_M[~kept_M], edges)[0]}
    rows = [
        {"from": float(edges[i]), "to": float(edges[i + 1]), "part": part, "order": order, "examples": int(count[i])}
        for order, (part, count) in enumerate(counts.items())
        for i in range(len(edges) - 1)
        if count[i]
    ]
    chart = (
        alt.Chart(values(rows))
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin="binned", title="score", axis=alt.Axis(grid=False, tickCount=6)),
            x2="to:Q",
            y=alt.Y("examples:Q", stack="zero", title="examples", axis=alt.Axis(tickCount=4, tickMinStep=1)),
            color=alt.Color("part:N", scale=categories({"kept": Ink.ACCENT, "left out": Ink.REST}), sort=None),
            order="order:Q",
        )
        .properties(height=200)
    )
    low, middle, high = np.quantile(score_M, [0.05, 0.5, 0.95])
    not_finite = int((~finite_N).sum())
    caption = (
        f"{len(score_M):,} examples, {int(kept_M.sum()):,} kept. Median {number(middle, 2)}; nine in ten lie between "
        f"{number(low, 2)} and {number(high, 2)}."
        + (f" {not_finite:,} without a finite score are not drawn." if not_finite else "")
    )
    return Drawing(chart, caption, f"Histogram of scores. {caption}")
