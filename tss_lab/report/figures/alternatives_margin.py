"""How much better the true instruction explains the output than its best alternative."""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, categories, values
from tss_lab.report.model import RunReport

SECTION = "alternatives"
ORDER = 10
TITLE = "The true instruction against its hardest alternative"


def draw(report: RunReport, width: int) -> Drawing | None:
    likelihoods = report.likelihoods
    if likelihoods is None or likelihoods.alternative_loglik_NK.shape[1] == 0:
        return None
    true_N = likelihoods.true_mean_loglik_N
    hardest_N = likelihoods.alternative_mean_loglik_NK.max(axis=1)
    usable_N = np.isfinite(true_N) & np.isfinite(hardest_N)
    if usable_N.sum() < 2:
        return None
    margin_M = true_N[usable_N] - hardest_N[usable_N]
    reach = float(np.quantile(np.abs(margin_M), 0.99)) or 1.0
    edges = np.linspace(-reach, reach, 2 * min(16, max(5, int(np.sqrt(len(margin_M))))) + 1)
    counts = np.histogram(np.clip(margin_M, -reach, reach), edges)[0]
    sides = {"alternative fits better": Ink.REST, "true instruction fits better": Ink.ACCENT}
    rows = [
        {
            "from": float(edges[i]),
            "to": float(edges[i + 1]),
            "examples": int(count),
            "side": list(sides)[int(edges[i] + edges[i + 1] > 0)],
        }
        for i, count in enumerate(counts)
        if count
    ]
    chart = (
        alt.Chart(values(rows))
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin="binned", title="nats a token, true − hardest alternative",
                    axis=alt.Axis(grid=False, tickCount=6)),
            x2="to:Q",
            y=alt.Y("examples:Q", title="examples", axis=alt.Axis(tickCount=4, tickMinStep=1)),
            color=alt.Color("side:N", scale=categories(sides)),
        )
        .properties(height=170)
    )  # fmt: skip
    beaten = float((margin_M < 0).mean())
    caption = (
        f"For {100 * beaten:.0f} % of {len(margin_M):,} examples an alternative explains the output better than the "
        "example's own instruction. The outermost bars hold what lies beyond."
    )
    return Drawing(chart, caption, f"Histogram of margins. {caption}")
