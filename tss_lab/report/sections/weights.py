"""How uneven the training weights are; nothing where all are equal."""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, figure, histogram, values
from tss_lab.report.numbers import number, percent
from tss_lab.report.parts import Facts, Section, section
from tss_lab.runs import Run
from tss_lab.statistics import effective_size
from tss_lab.types import FloatArray

ORDER = 50


def weights(run: Run) -> Section | None:
    weight_M = training_weights(run)
    if weight_M is None or len(weight_M) < 2:
        return None
    rows = [
        ("Training examples", f"{len(weight_M):,}"),
        ("Effective sample size (Σw)²/Σw²", number(effective_size(weight_M), 1)),
        ("Smallest and largest weight", f"{weight_M.min():.3f} and {weight_M.max():.3f}"),
    ]
    clipped_share = run.metrics.get("selection/clipped_share")
    if clipped_share is not None:
        rows.append(("Weights at a clip bound", percent(clipped_share, 1)))
    drawn = figure("weights", "Distribution of training weights", lambda width: _histogram(weight_M))
    return section("weights", "Training weights", "Specific examples count for more in the loss.", [Facts(rows), drawn])


def training_weights(run: Run) -> FloatArray | None:
    """The kept examples' weights, (M,); None where nothing is kept or all are equal."""
    selection = run.selection
    if selection is None:
        return None
    weight_M: FloatArray = selection.weight_N[selection.kept_N]
    return weight_M if len(weight_M) and np.ptp(weight_M) > 1e-12 else None


def _histogram(weight_M: FloatArray) -> Drawing:
    edges = np.histogram_bin_edges(weight_M, bins=min(30, max(8, int(np.sqrt(len(weight_M)) * 2))))
    bars = histogram({"kept": weight_M}, {"kept": Ink.ACCENT}, edges, "weight (mean 1)", 150)
    one = alt.Chart(values([{"one": 1.0}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="one:Q")
    caption = (
        f"{len(weight_M):,} training examples weigh as much as {effective_size(weight_M):,.1f} equal ones. "
        f"Smallest {weight_M.min():.2f}, largest {weight_M.max():.2f}; dashed: weight 1."
    )
    return Drawing(bars + one, caption, f"Histogram of weights. {caption}")
