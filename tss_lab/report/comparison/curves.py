"""The sum of accuracies, or the held-out loss, over ρ: a curve a method (the form of the paper's Figure 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt

from tss_lab.report.charts import WIDE, Drawing, Figure, Ink, categories, figure, values
from tss_lab.report.comparison.rows import PAPER_METHODS, Pair, Row
from tss_lab.report.numbers import number

_COLOUR = dict(zip(PAPER_METHODS, (0, 1, 2, 3, 3, 4, 4), strict=True))
"""One colour a family; the weighted variant of a method is dashed."""
_SOLID, _DASHED, _DOTTED = [1, 0], [6, 3], [2, 3]
_APART = 0.008
"""Curves stand so far apart in ρ that their error bars don't hide one another."""


def curve_figures(pairs: Sequence[Pair]) -> list[Figure]:
    """A figure a pair that has a method with something to show."""
    drawn = [figure(f"curves-{index}", pair.title, partial(_draw, pair)) for index, pair in enumerate(pairs)]
    return [one for one in drawn if one is not None]


def _draw(pair: Pair, width: int) -> Drawing | None:
    evaluated = next((result for row in [*pair.full, *pair.methods] for result in row.results.values()), None)
    what = "sum" if evaluated is not None else "nll"
    curves: dict[str, list[Row]] = {}
    for row in pair.methods:
        if what in row.means:
            curves.setdefault(row.label, []).append(row)
    if not curves:
        return None
    title = [evaluated.total_name, "percent points"] if evaluated else ["held-out loss,", "nats a token"]
    colours, dashes = _styles(curves)
    shares = sorted({row.rho or 0.0 for row in pair.methods})
    legend = alt.Legend(columns=4 if width >= WIDE else 2, symbolType="stroke", symbolSize=250)
    base = alt.Chart(values(_points(curves, what))).encode(
        x=alt.X("rho:Q", title="kept share ρ", scale=alt.Scale(domain=[0.0, 1.04]),
                axis=alt.Axis(values=shares, grid=False, labelExpr="format(datum.value, '.3~f')")),
        color=alt.Color("method:N", scale=categories(colours), sort=list(colours), legend=legend),
    )  # fmt: skip
    dash = alt.StrokeDash("method:N", scale=alt.Scale(domain=list(dashes), range=list(dashes.values())), legend=None)
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6))
    layers = [
        base.mark_rule(strokeWidth=1.3, opacity=0.75).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_line(strokeWidth=2.2).encode(y=y, strokeDash=dash),
        base.mark_circle(size=46, opacity=1).encode(y=y),
        *_references(pair, what, width),
    ]
    chart = alt.layer(*layers).properties(height=300)
    return Drawing(chart, _caption(curves, what), _alt_text(", ".join(title), curves, what))


def _points(curves: Mapping[str, Sequence[Row]], what: str) -> list[dict[str, Any]]:
    points = []
    for index, (label, rows) in enumerate(curves.items()):
        shift = (index - (len(curves) - 1) / 2) * _APART
        for row in rows:
            mean = row.means[what]
            half = mean.spread if mean.num_seeds > 1 else mean.item_error
            half = half if math.isfinite(half) else 0.0
            points.append({"rho": (row.rho or 0.0) + shift, "value": mean.value, "method": label,
                           "low": mean.value - half, "high": mean.value + half})  # fmt: skip
    return points


def _styles(curves: Mapping[str, Sequence[Row]]) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Colour and dash of each curve, no two the same."""
    colours: dict[str, str] = {}
    dashes: dict[str, list[int]] = {}
    for label, (row, *_) in curves.items():
        dashes[label] = _DASHED if row.method.endswith("_exp") else _SOLID
        wanted = Ink.SERIES[_COLOUR.get(row.method, len(Ink.SERIES) - 1)]
        twins = [other for other, colour in colours.items() if colour == wanted and dashes[other] == dashes[label]]
        free = [colour for colour in Ink.SERIES if colour not in colours.values()]
        colours[label] = free[-1] if twins and free else wanted
        if twins and not free:
            dashes[label] = [1 + len(twins), 2]
    return colours, dashes


def _references(pair: Pair, what: str, width: int) -> list[alt.Chart]:
    """Level lines: all of the data, and the untuned model."""
    lines = []
    named = [("all of the data", pair.full[0] if pair.full else None, _DASHED), ("zero-shot", pair.zero_shot, _DOTTED)]
    for name, row, dash in named:
        if row is None or what not in row.means:
            continue
        level = alt.Chart(values([{"level": row.means[what].value, "name": name}]))
        lines.append(level.mark_rule(color=Ink.MARK, strokeDash=dash, strokeWidth=1.3).encode(y="level:Q"))
        lines.append(level.mark_text(color=Ink.MARK, dy=-6, x=0.5 * width).encode(y="level:Q", text="name:N"))
    return lines


def _caption(curves: Mapping[str, Sequence[Row]], what: str) -> str:
    single = [row.means[what].num_seeds == 1 for rows in curves.values() for row in rows]
    if all(single):
        bars = "± one standard error over the items (one seed each, so what another seed would give is not in them)"
    else:
        bars = "± one standard deviation over seeds" + "; over the items where there is one seed" * any(single)
    loss = "Nothing was evaluated on benchmarks, so this is the loss on held-out examples; lower is better. "
    return f"{loss if what == 'nll' else ''}Bars: {bars}. Points of equal ρ are drawn a little apart."


def _alt_text(title: str, curves: Mapping[str, Sequence[Row]], what: str) -> str:
    parts = [
        f"{label}: " + ", ".join(f"{number(row.means[what].value, 2)} at ρ {row.rho:g}" for row in rows)
        for label, rows in curves.items()
    ]
    return f"{title} over the kept share, a line a method. {'; '.join(parts)}."
