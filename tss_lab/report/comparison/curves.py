"""The sum of accuracies, or the held-out loss, over ρ: a curve a method (the form of the paper's Figure 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from tss_lab.report.comparison.names import PAPER_METHODS
from tss_lab.report.comparison.rows import Pair, Row
from tss_lab.report.charts import NARROW, WIDE, Drawing, Ink, categories, values
from tss_lab.report.figures import Figure, as_figure
from tss_lab.report.seeds import SeedMean
from tss_lab.report.numbers import number, total_title

_COLOUR = dict(zip(PAPER_METHODS, (0, 1, 2, 3, 3, 4, 4), strict=True))
"""One colour a family; the weighted variant of a method is dashed."""
_SOLID, _DASHED, _DOTTED = [1, 0], [6, 3], [2, 3]
_APART = 0.008
"""Curves stand so far apart in ρ that their error bars don't hide one another."""


def curve_figures(pairs: Sequence[Pair]) -> list[Figure]:
    """A figure a pair that has a method with something to show."""
    figures = []
    for index, pair in enumerate(pairs):
        wide, narrow = _draw(pair, WIDE), _draw(pair, NARROW)
        if wide is not None and narrow is not None:
            figures.append(as_figure(f"curves-{index}", "curves", pair.title, wide, narrow))
    return figures


def measure_of(pair: Pair) -> str:
    """``sum`` where a tuned model was evaluated, otherwise ``nll``."""
    return "sum" if any(row.accuracies for row in [*pair.full, *pair.methods]) else "nll"


def _mean(row: Row, what: str) -> SeedMean | None:
    return row.accuracies.get("sum") if what == "sum" else row.held_out.get(what)


def _draw(pair: Pair, width: int) -> Drawing | None:
    what = measure_of(pair)
    curves: dict[str, list[tuple[Row, SeedMean]]] = {}
    for row in pair.methods:
        mean = _mean(row, what)
        if mean is not None:
            curves.setdefault(row.label, []).append((row, mean))
    if not curves:
        return None
    colours, dashes = _styles({label: points[0][0] for label, points in curves.items()})
    rows: list[dict[str, Any]] = []
    for index, (label, points) in enumerate(curves.items()):
        shift = (index - (len(curves) - 1) / 2) * _APART
        for row, mean in points:
            half = mean.spread if mean.num_seeds > 1 else mean.item_error
            half = half if math.isfinite(half) else 0.0
            rows.append({"rho": (row.rho or 0.0) + shift, "value": mean.value, "method": label,
                         "low": mean.value - half, "high": mean.value + half})  # fmt: skip
    title = [_title(pair), "percent points"] if what == "sum" else ["held-out loss,", "nats a token"]
    shares = sorted({row.rho or 0.0 for row in pair.methods})
    legend = alt.Legend(columns=4 if width >= WIDE else 2, symbolType="stroke", symbolSize=250)
    base = alt.Chart(values(rows)).encode(
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
    return Drawing(chart, _caption(pair, what, curves), _alt_text(", ".join(title), curves))


def _styles(first_rows: dict[str, Row]) -> tuple[dict[str, str], dict[str, list[int]]]:
    colours: dict[str, str] = {}
    dashes: dict[str, list[int]] = {}
    for label, row in first_rows.items():
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
        mean = _mean(row, what) if row is not None else None
        if mean is None:
            continue
        level = alt.Chart(values([{"level": mean.value, "name": name}]))
        lines.append(level.mark_rule(color=Ink.MARK, strokeDash=dash, strokeWidth=1.3).encode(y="level:Q"))
        lines.append(level.mark_text(color=Ink.MARK, dy=-6, x=0.5 * width).encode(y="level:Q", text="name:N"))
    return lines


def _title(pair: Pair) -> str:
    result = next(iter(next(row for row in [*pair.full, *pair.methods] if row.results).results.values()))
    return total_title(result)


def _caption(pair: Pair, what: str, curves: dict[str, list[tuple[Row, SeedMean]]]) -> str:
    means = [mean for points in curves.values() for _, mean in points]
    several = [mean for mean in means if mean.num_seeds > 1]
    single = len(means) - len(several)
    bars = "Bars: ± one standard deviation over seeds" if several else "Bars: ± one standard error over the items"
    if several and single:
        bars += "; over the items where there is one seed"
    if not several:
        bars += " (one seed each, so what another seed would give is not in them)"
    text = f"{bars}. Points of equal ρ are drawn a little apart."
    if what == "nll":
        text = f"Nothing was evaluated on benchmarks, so this is the loss on held-out examples; lower is better. {text}"
    return text


def _alt_text(title: str, curves: dict[str, list[tuple[Row, SeedMean]]]) -> str:
    parts = [
        f"{label}: " + ", ".join(f"{number(mean.value, 2)} at ρ {row.rho:g}" for row, mean in points)
        for label, points in curves.items()
    ]
    return f"{title} over the kept share, a line a method. {'; '.join(parts)}."
