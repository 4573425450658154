"""Which kinds of task are kept."""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, values
from tss_lab.report.model import RunReport
from tss_lab.report.statistics import kept_share_by_group

SECTION = "scores"
ORDER = 40
TITLE = "Kept share by category"

MAX_CATEGORIES = 30


def draw(report: RunReport, width: int) -> Drawing | None:
    selection = report.selection
    if selection is None:
        return None
    category = {example.example_id: example.category for example in report.examples}
    category_N = np.array([category.get(example_id) or "(none)" for example_id in selection.example_id_N], dtype=object)
    shares = kept_share_by_group(category_N, selection.kept_N)
    if len(shares) < 2:
        return None
    largest = sorted(shares, key=lambda row: -row[2])[:MAX_CATEGORIES]
    shown = [row for row in shares if row in largest]
    rows = [
        {"category": name, "share": 100.0 * kept / count, "label": f"{kept} of {count}"} for name, kept, count in shown
    ]
    overall = 100.0 * float(selection.kept_N.mean())
    longest = min(100.0, 5 * np.ceil(1.05 * max(100.0 * kept / count for _, kept, count in shown) / 5))
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("category:N", sort=[row[0] for row in shown], title=None, axis=alt.Axis(labelColor=Ink.TEXT)),
        x=alt.X(
            "share:Q",
            title="kept, %",
            scale=alt.Scale(domain=[0, longest * 1.14], nice=False),
            axis=alt.Axis(tickCount=5),
        ),
    )
    bars = base.mark_bar(color=Ink.ACCENT, height=alt.RelativeBandSize(band=0.6))
    labels = base.mark_text(align="right", color=Ink.MUTED, fontSize=11).encode(
        text="label:N", x=alt.datum(longest * 1.14)
    )
    line = alt.Chart(values([{"overall": overall}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="overall:Q")
    rest = f" The {MAX_CATEGORIES} largest of {len(shares)} categories are drawn." if len(shown) < len(shares) else ""
    caption = f"Dashed: the share kept overall, {overall:.0f} %.{rest}"
    best, worst = shown[0], shown[-1]
    words = (
        f"Bars of the kept share of {len(shown)} categories, from {best[0]} ({best[1]} of {best[2]}) "
        f"to {worst[0]} ({worst[1]} of {worst[2]}). {caption}"
    )
    return Drawing((bars + labels + line).properties(height=alt.Step(22)), caption, words)
