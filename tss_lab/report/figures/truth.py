"""Where the rows know their truth: do specific rows get higher ranks than generic ones?"""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, categories, values
from tss_lab.report.model import RunReport
from tss_lab.report.statistics import auc, interval

SECTION = "scores"
ORDER = 20
TITLE = "Score against the known truth"

KNOWN = ("specific", "generic")
MAX_DOTS = 400


def draw(report: RunReport, width: int) -> Drawing | None:
    selection = report.selection
    if selection is None:
        return None
    truth = {example.example_id: str(example.extra.get("specificity", "")) for example in report.examples}
    truth_N = np.array([truth.get(example_id, "") for example_id in selection.example_id_N], dtype=object)
    usable_N = np.isin(truth_N, KNOWN) & np.isfinite(selection.score_N)
    score_M, truth_M = selection.score_N[usable_N], truth_N[usable_N]
    if len(set(truth_M.tolist())) < 2 or np.ptp(score_M) == 0:
        return None
    ranking = auc(-selection.rank_N[usable_N].astype(np.float64), truth_M == KNOWN[0])
    rows = []
    for kind in KNOWN:
        mine = np.sort(score_M[truth_M == kind])
        shown = mine[np.unique(np.linspace(0, len(mine) - 1, min(len(mine), MAX_DOTS)).astype(int))]
        # The golden ratio spreads neighbours over the height without chance.
        rows += [
            {"score": float(value), "truth": f"{kind} ({len(mine)})", "spread": (index * 0.618034) % 1.0}
            for index, value in enumerate(shown)
        ]
    names = {f"{kind} ({int(np.sum(truth_M == kind))})": kind for kind in KNOWN}
    colours = categories(dict(zip(names, (Ink.ACCENT, Ink.REST), strict=True)))
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("truth:N", sort=list(names), title=None, axis=alt.Axis(labelColor=Ink.TEXT)),
        x=alt.X("score:Q", title="score", scale=alt.Scale(zero=False), axis=alt.Axis(grid=False, tickCount=6)),
    )
    dots = base.mark_circle(size=30, opacity=0.75).encode(
        yOffset=alt.YOffset("spread:Q", scale=alt.Scale(domain=[-0.4, 1.4])),
        color=alt.Color("truth:N", scale=colours, legend=None),
    )
    medians = base.mark_tick(thickness=2, size=44, color=Ink.TEXT).encode(x="median(score):Q")
    low, high = interval(ranking)
    caption = (
        f"Area under the curve of the ranking: {ranking.value:.3f} (95 % interval {low:.3f} to {min(high, 1.0):.3f}). "
        "It is the chance that a row written as specific is ranked before one written as generic; 0.5 is guessing. "
        "A dot is a row, a bar the median."
    )
    return Drawing((dots + medians).properties(height=130), caption, f"Scores of specific and generic rows. {caption}")
