"""How the training weights are spread."""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, values
from tss_lab.report.model import RunReport
from tss_lab.report.statistics import effective_size

SECTION = "weights"
ORDER = 10
TITLE = "Distribution of training weights"


def draw(report: RunReport, width: int) -> Drawing | None:
    if report.selection is None:
        return None
    weight_M = report.selection.weight_N[report.selection.kept_N]
    if len(weight_M) < 2 or np.ptp(weight_M) < 1e-12:
        return None
    edges = np.histogram_bin_edges(weight_M, bins=min(30, max(8, int(np.sqrt(len(weight_M)) * 2))))
    counts = np.histogram(weight_M, edges)[0]
    rows = [
        {"from": float(edges[i]), "to": float(edges[i + 1]), "examples": int(count)}
        for i, count in enumerate(counts)
        if count
    ]
    bars = (
        alt.Chart(values(rows))
        .mark_bar(color=Ink.ACCENT, binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin="binned", title="weight (mean 1)", axis=alt.Axis(grid=False, tickCount=6)),
            x2="to:Q",
            y=alt.Y("examples:Q", axis=alt.Axis(tickCount=4, tickMinStep=1)),
        )
    )
    one = alt.Chart(values([{"one": 1.0}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="one:Q")
    caption = (
        f"{len(weight_M):,} training examples weigh as much as {effective_size(weight_M):,.1f} equal ones. "
        f"Smallest {weight_M.min():.2f}, largest {weight_M.max():.2f}; dashed: weight 1."
    )
    return Drawing((bars + one).properties(height=150), caption, f"Histogram of weights. {caption}")
