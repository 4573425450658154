"""What tuning changed, item by item."""

from __future__ import annotations

import altair as alt

from tss_lab.report.charts import IN_LINES, Drawing, Ink, in_lines, values
from tss_lab.report.model import RunReport
from tss_lab.report.statistics import compare_results
from tss_lab.report.numbers import NOTHING_CHANGED, bounds, number, total_title

SECTION = "evaluation"
ORDER = 20
TITLE = "Change by tuning, paired on the same items"


def draw(report: RunReport, width: int) -> Drawing | None:
    if report.zero_shot is None or report.tuned is None:
        return None
    compared = compare_results(report.zero_shot, report.tuned)
    titles = {one.name: total_title(report.tuned) if one.name == "sum" else one.display_name for one in compared}
    rows = []
    for one in compared:
        low, high = one.interval or (one.difference.value, one.difference.value)
        rows.append({"benchmark": in_lines(titles[one.name]), "value": one.difference.value, "low": low, "high": high})
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("benchmark:N", sort=[row["benchmark"] for row in rows], title=None, axis=IN_LINES)
    )
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="zero:Q")
    bars = base.mark_rule(strokeWidth=2.5, color=Ink.ACCENT).encode(
        x=alt.X("low:Q", title="tuned − zero-shot, percent points", axis=alt.Axis(tickCount=6)), x2="high:Q"
    )
    dots = base.mark_circle(size=90, opacity=1, color=Ink.ACCENT).encode(x="value:Q")
    clear = [titles[one.name] for one in compared if one.interval and (one.interval[0] > 0 or one.interval[1] < 0)]
    unchanged = any(not one.gained + one.lost for one in compared)
    caption = (
        "Line: 95 % interval of the paired difference; where it crosses zero, so few items can't tell the two apart. "
        + (f"A dot without a line: {NOTHING_CHANGED}. " if unchanged else "")
        + (f"Clear of zero: {', '.join(clear)}." if clear else "None is clear of zero.")
    )
    words = "; ".join(
        f"{titles[one.name]}: "
        + (
            f"{number(one.difference.value, 1, True)} ({bounds(one.interval)})"
            if one.gained + one.lost
            else NOTHING_CHANGED
        )
        for one in compared
    )
    return Drawing((zero + bars + dots).properties(height=alt.Step(36)), caption, f"Paired differences. {words}.")
