"""What tuning changed, item by item."""

from __future__ import annotations

import altair as alt

from tss_lab.report.drawing import Drawing, Ink, values
from tss_lab.report.model import RunReport
from tss_lab.report.statistics import compare_results, interval

SECTION = "evaluation"
ORDER = 20
TITLE = "Change by tuning, paired on the same items"


def draw(report: RunReport, width: int) -> Drawing | None:
    if report.zero_shot is None or report.tuned is None:
        return None
    compared = compare_results(report.zero_shot, report.tuned)
    rows = []
    for one in compared:
        low, high = interval(one.difference)
        rows.append({"benchmark": one.display_name, "value": one.difference.value, "low": low, "high": high})
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("benchmark:N", sort=[row["benchmark"] for row in rows], title=None, axis=alt.Axis(labelColor=Ink.TEXT))
    )
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="zero:Q")
    bars = base.mark_rule(strokeWidth=2.5, color=Ink.ACCENT).encode(
        x=alt.X("low:Q", title="tuned − zero-shot, percent points", axis=alt.Axis(tickCount=6)), x2="high:Q"
    )
    dots = base.mark_circle(size=90, opacity=1, color=Ink.ACCENT).encode(x="value:Q")
    clear = [row["benchmark"] for row in rows if row["low"] > 0 or row["high"] < 0]
    caption = (
        "Line: 95 % interval of the paired difference; where it crosses zero, this many items can't tell the two apart. "
        + (f"Clear of zero: {', '.join(map(str, clear))}." if clear else "None is clear of zero.")
    )
    words = "; ".join(f"{row['benchmark']}: {row['value']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})" for row in rows)
    return Drawing((zero + bars + dots).properties(height=alt.Step(34)), caption, f"Paired differences. {words}.")
