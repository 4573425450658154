"""What tuning changed, item by item."""

from __future__ import annotations

import altair as alt

from tss_lab.report.drawing import IN_LINES, Drawing, Ink, in_lines, values
from tss_lab.report.model import RunReport
from tss_lab.report.statistics import compare_results, interval
from tss_lab.report.words import confidence, number

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
        rows.append({"benchmark": in_lines(one.display_name), "value": one.difference.value, "low": low, "high": high})
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("benchmark:N", sort=[row["benchmark"] for row in rows], title=None, axis=IN_LINES)
    )
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="zero:Q")
    bars = base.mark_rule(strokeWidth=2.5, color=Ink.ACCENT).encode(
        x=alt.X("low:Q", title="tuned − zero-shot, percent points", axis=alt.Axis(tickCount=6)), x2="high:Q"
    )
    dots = base.mark_circle(size=90, opacity=1, color=Ink.ACCENT).encode(x="value:Q")
    intervals = [interval(one.difference) for one in compared]
    clear = [one.display_name for one, (low, high) in zip(compared, intervals, strict=True) if low > 0 or high < 0]
    caption = (
        "Line: 95 % interval of the paired difference; where it crosses zero, so few items can't tell the two apart. "
        + (f"Clear of zero: {', '.join(clear)}." if clear else "None is clear of zero.")
    )
    words = "; ".join(
        f"{one.display_name}: {number(one.difference.value, 1, True)} ({confidence(one.difference, 1, True)})"
        for one in compared
    )
    return Drawing((zero + bars + dots).properties(height=alt.Step(36)), caption, f"Paired differences. {words}.")
