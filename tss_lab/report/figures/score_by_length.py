"""Does the score follow the output's length? Summed log-likelihood differences tend to."""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.statistics import spearman
from tss_lab.report.charts import Drawing, Ink, categories, values
from tss_lab.report.model import RunReport
from tss_lab.report.numbers import number

SECTION = "scores"
ORDER = 30
TITLE = "Score against the output's length"

MAX_DOTS = 1500


def draw(report: RunReport, width: int) -> Drawing | None:
    selection, likelihoods = report.selection, report.likelihoods
    if selection is None or likelihoods is None:
        return None
    length = dict(zip(likelihoods.example_id_N.tolist(), likelihoods.num_target_tokens_N.tolist(), strict=True))
    length_N = np.array([length.get(example_id, 0) for example_id in selection.example_id_N])
    usable = np.flatnonzero((length_N > 0) & np.isfinite(selection.score_N))
    if len(usable) < 8 or np.ptp(selection.score_N[usable]) == 0:
        return None
    correlation = spearman(selection.score_N[usable], length_N[usable])
    drawn = usable[np.linspace(0, len(usable) - 1, min(len(usable), MAX_DOTS)).astype(int)]
    rows = [
        {
            "tokens": int(length_N[i]),
            "score": float(selection.score_N[i]),
            "part": "kept" if selection.kept_N[i] else "left out",
        }
        for i in drawn
    ]
    chart = (
        alt.Chart(values(rows))
        .mark_circle(size=26, opacity=0.7)
        .encode(
            x=alt.X("tokens:Q", scale=alt.Scale(type="log", nice=False), title="tokens of the output (log scale)",
                    axis=alt.Axis(grid=False, tickCount=5, format="~s")),
            y=alt.Y("score:Q", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
            color=alt.Color("part:N", scale=categories({"kept": Ink.ACCENT, "left out": Ink.REST})),
        )
        .properties(height=220)
    )  # fmt: skip
    sampled = f" {len(drawn):,} of {len(usable):,} examples are drawn." if len(drawn) < len(usable) else ""
    caption = (
        f"Rank correlation {number(correlation, 2, signed=True)}. "
        f"Far from zero, the selection is in part a selection by length.{sampled}"
    )
    return Drawing(chart, caption, f"Scatter plot of score against output length. {caption}")
