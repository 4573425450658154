"""What the selection keeps against what it drops: shifts, the largest first, and what simple rules would have kept."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import altair as alt

from tss_lab.report.charts import IN_LINES, Drawing, Ink, categories, figure, in_lines, values
from tss_lab.report.numbers import number, percent
from tss_lab.report.parts import Column, Facts, Folded, Form, Note, Section, Shown, Table, section, share
from tss_lab.runs import Run
from tss_lab.runs.audits import Audit, Bounds, Overlap, Shift

ORDER = 35
_DRAWN, _SHOWN = 12, 15
_CLEAR, _UNCLEAR = "clear", "not clear"


def audit(run: Run) -> Section | None:
    found = run.audit
    if found is None:
        return None
    title = "The largest shifts"
    return section(
        "audit", "What the selection changes",
        "Which rows are more, and which fewer, among the kept than among the dropped.",
        [
            figure("audit_shifts", title, lambda width: _drawing(found, width)),
            shifts_table(found, _SHOWN),
            Folded(f"All {len(found.shifts)} values", [every]) if (every := shifts_table(found)) and
            len(found.shifts) > _SHOWN else None,
            Facts.known(facts(found)),
            Note(_reading(found)) if found.shifts else None,
        ],
    )  # fmt: skip


def shifts_table(audit: Audit, most: int | None = None) -> Table | None:
    """A row a value of a property; the ``most`` largest shifts, or all."""
    if not audit.shifts:
        return None
    columns = [
        Column("rows", _ROWS, "property"),
        Column("of the kept", share(1), "of_kept"),
        Column("of the dropped", share(1), "of_dropped"),
        Column("difference, points", _DIFFERENCE, "difference"),
        Column("of these kept", _KEPT, "keeps"),
        Column("p (Holm)", _P, "p_holm"),
    ]
    rows = [[one, one.of_kept, one.of_dropped, one, one, one.p_holm] for one in audit.shifts[:most]]
    overall = percent(audit.compared_kept / audit.compared, 1)
    return Table(f"Kept against dropped; the selection as a whole keeps {overall}", columns, rows, is_wide=True)


def facts(audit: Audit) -> list[tuple[str, str]]:
    """What simple rules share with the selection, and what isn't compared."""
    rows = [(f"Shared with {one.reference}", overlap_words(one, audit)) for one in audit.overlaps]
    if audit.longer is not None:
        low_high = "" if audit.longer_bounds is None else f" [{_percents(audit.longer_bounds)}]"
        rows.append(("A kept output is longer than a dropped one", f"in {percent(audit.longer)} of pairs{low_high}"))
    if audit.compared < audit.rows:
        rows.append(("Compared", f"a sample of {audit.compared:,} of {audit.rows:,} rows"))
    rows += [(f"Not compared: {name}", reason) for name, reason in audit.left_out.items()]
    return rows


def summary(run: Run) -> list[tuple[str, str]]:
    """The audit in three lines at most: what is more and what fewer among the kept, and what length explains."""
    found = run.audit
    if found is None or not found.shifts:
        return []
    sides = {"more among the kept": 1, "fewer among the kept": -1}
    rows = []
    for name, sign in sides.items():
        largest = [one for one in found.clear if sign * one.difference > 0][:2]
        if largest:
            rows.append((name, "; ".join(map(shift_words, largest))))
    if not rows:
        rows.append(("kept against dropped", "no difference that chance doesn't explain"))
    longest = found.overlaps[0]
    return [*rows, (f"shared with {longest.reference}", overlap_words(longest, found))]


def overlap_words(one: Overlap, audit: Audit) -> str:
    """``12 of 45 rows; by chance 7 (3 to 12)``."""
    low, high = one.chance
    return f"{one.shared:,} of {audit.kept:,} rows; by chance {one.expected:,.0f} ({low:,} to {high:,})"


def shift_words(one: Shift) -> str:
    """``category open_qa +12.1 points [+3.2, +21.0]``."""
    return f"{one.property} {one.value} {_points(one)} points {_points_between(one)}"


def _points(one: Shift) -> str:
    return number(100 * one.difference, 1, signed=True)


def _points_between(one: Shift) -> str:
    low, high = (number(100 * bound, 1, signed=True) for bound in one.difference_bounds)
    return f"[{low}, {high}]"


def _percents(bounds: Bounds) -> str:
    return f"{number(100 * bounds[0], 0)}, {number(100 * bounds[1], 0)}"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else number(p, 3)


def _bounds(value: Bounds) -> dict[str, float]:
    return {"_low": value[0], "_high": value[1]}


_ROWS = Form(
    lambda one: f"{one.property}: {one.value}", lambda one: {"": one.property, "_value": one.value}, ("", "_value"),
    is_text=True,
)  # fmt: skip
_DIFFERENCE = Form(
    lambda one: Shown(_points(one), _points_between(one)),
    lambda one: {"": one.difference, **_bounds(one.difference_bounds)},
    ("", "_low", "_high"),
)
_KEPT = Form(
    lambda one: Shown(
        f"{one.kept:,} of {one.kept + one.dropped:,}", f"{percent(one.keeps)} [{_percents(one.keeps_bounds)}]"
    ),
    lambda one: {"": one.keeps, **_bounds(one.keeps_bounds), "_kept": one.kept, "_dropped": one.dropped},
    ("", "_low", "_high", "_kept", "_dropped"),
)
_P = Form(_p_value)


def _reading(audit: Audit) -> str:
    ratio = audit.compared_kept / audit.compared
    needed = math.ceil((1.96 / 0.05) ** 2 * 0.25 / (ratio * (1 - ratio)))
    now = 100 * 1.96 * math.sqrt(0.25 / (audit.compared * ratio * (1 - ratio)))
    return (
        f"{len(audit.clear):,} of {len(audit.shifts):,} shifts are more than a blind draw of as many rows explains "
        "(Fisher's exact test, p below 0.05 after Holm's correction over all of them). Differences are in percentage "
        "points of the kept less of the dropped, with Newcombe's interval; “of these kept” has Wilson's. A share near "
        f"a half is uncertain by ± {number(now, 0)} points here; for ± 5 it takes {needed:,} rows at this ρ. A shift "
        "isn't a fault: it says what a model tuned on these rows will see more of. Verbs, refusals and toxic words are "
        "found by short English word lists, languages by a model that errs on lists of names."
    )


def _labels(shown: Sequence[Shift], width: int) -> list[str]:
    """What each is called beside the axis, in two lines; in full where that would call two of them the same."""
    full = [f"{one.property}: {one.value}".replace("_", " ") for one in shown]
    short = [textwrap.shorten(name, 2 * width - 2, placeholder=" …") for name in full]
    return [in_lines(name, width) for name in (short if len(set(short)) == len(short) else full)]


def _drawing(audit: Audit, width: int) -> Drawing | None:
    """A dot and its interval for each of the largest shifts."""
    shown = audit.shifts[:_DRAWN]
    if not shown:
        return None
    named = _labels(shown, 24 if width > 500 else 18)
    rows = [
        {"name": name, "points": 100 * one.difference, "low": 100 * one.difference_bounds[0],
         "high": 100 * one.difference_bounds[1], "kind": _CLEAR if one.p_holm < 0.05 else _UNCLEAR}
        for name, one in zip(named, shown, strict=True)
    ]  # fmt: skip
    axis = alt.Axis(minExtent=165 if width > 500 else 125, **IN_LINES.to_dict())  # fonts are of different widths
    colours = categories({_CLEAR: Ink.ACCENT, _UNCLEAR: Ink.REST})
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("name:N", sort=named, title=None, axis=axis), color=alt.Color("kind:N", scale=colours)
    )
    title = "points of the kept, less of the dropped"
    x = alt.X("points:Q", title=title, axis=alt.Axis(tickCount=6, format="+d"))
    spans = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    dots = base.mark_circle(size=60, opacity=1).encode(x=x)
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color=Ink.MARK, strokeDash=[4, 3]).encode(x="zero:Q")
    first = shown[0]
    caption = (
        f"The {len(shown)} largest of {len(audit.shifts)} differences, with 95 % intervals. Right of the dashed line: "
        "more among the kept. Clear: more than chance explains."
    )
    words = f"Dots with intervals. Largest: {shift_words(first)}. {caption}"
    return Drawing((zero + spans + dots).properties(height=alt.Step(36 if width > 500 else 44)), caption, words)
