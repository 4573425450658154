"""From an altair chart to an SVG that lives inside the page: its colours are the page's, in light and dark.

Charts are drawn with the placeholder colours of ``Ink``; the SVG's placeholders then become CSS variables.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from tss_lab.types import FloatArray


class Ink:
    """Placeholder colours. Nothing is shown in these values: page.css says what they are."""

    TEXT = "#010101"
    MUTED = "#020202"
    RULE = "#030303"
    ACCENT = "#040404"
    """What is kept, tuned, specific."""
    REST = "#050505"
    """What is left out, untuned, generic."""
    MARK = "#060606"
    """A reference: the cut, chance, zero."""
    SURFACE = "#070707"
    SERIES = ("#080808", "#090909", "#0a0a0a", "#0b0b0b", "#0c0c0c", "#0d0d0d")
    """Several of a kind, told apart: curves."""


_VARIABLES = {
    Ink.TEXT: "var(--text)",
    Ink.MUTED: "var(--muted)",
    Ink.RULE: "var(--rule)",
    Ink.ACCENT: "var(--accent)",
    Ink.REST: "var(--rest)",
    Ink.MARK: "var(--mark)",
    Ink.SURFACE: "var(--surface)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(Ink.SERIES, start=1)},
}
_COLOUR = re.compile("|".join(_VARIABLES))
_ID = re.compile(r'(\bid="|url\(#|href="#)')

WIDE, NARROW = 700, 330
"""Widths in pixels, axes included: one drawing for a desk, one for a phone."""


@dataclass(frozen=True)
class Drawing:
    """A chart, the sentence under it, and what it shows in words for those who don't see it."""

    chart: alt.TopLevelMixin
    caption: str
    alt_text: str


@dataclass(frozen=True)
class Figure:
    """A figure as a page shows it: the same drawing for a desk and for a phone. ``name`` is unique on its page."""

    name: str
    title: str
    caption: str
    alt_text: str
    wide_svg: str
    narrow_svg: str


def figure(name: str, title: str, draw: Callable[[int], Drawing | None]) -> Figure | None:
    """``draw(width)`` in both widths; None where there is nothing to draw."""
    wide, narrow = draw(WIDE), draw(NARROW)
    if wide is None or narrow is None:
        return None
    svgs = to_svg(wide.chart, WIDE, f"{name}-wide"), to_svg(narrow.chart, NARROW, f"{name}-narrow")
    return Figure(name, title, wide.caption, wide.alt_text, *svgs)


def values(rows: list[dict[str, Any]]) -> alt.Data:
    """Rows inside the chart itself."""
    return alt.Data(values=rows)


def in_lines(name: str, width: int = 22) -> str:
    """A long name over several lines, for an axis with ``IN_LINES``."""
    return textwrap.fill(name, width, break_long_words=False)


IN_LINES = alt.Axis(labelColor=Ink.TEXT, labelExpr=r"split(datum.label, '\n')", labelLimit=0)


def categories(pairs: Mapping[str, str]) -> alt.Scale:
    """Category -> colour."""
    return alt.Scale(domain=list(pairs), range=list(pairs.values()))


def histogram(
    values_of: Mapping[str, FloatArray], colours: Mapping[str, str], edges: FloatArray, title: str, height: int
) -> alt.Chart:
    """How many examples of each kind lie between two edges, kinds stacked; a legend where there are several."""
    rows = [
        {"from": float(low), "to": float(high), "kind": kind, "order": order, "examples": int(count)}
        for order, (kind, values_M) in enumerate(values_of.items())
        for low, high, count in zip(edges[:-1], edges[1:], np.histogram(values_M, edges)[0], strict=True)
        if count
    ]
    legend = alt.Undefined if len(values_of) > 1 else None
    return (
        alt.Chart(values(rows))
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin="binned", title=title, axis=alt.Axis(grid=False, tickCount=6)),
            x2="to:Q",
            y=alt.Y("examples:Q", stack="zero", title="examples", axis=alt.Axis(tickCount=4, tickMinStep=1)),
            color=alt.Color("kind:N", scale=categories(colours), sort=None, legend=legend),
            order="order:Q",
        )
        .properties(height=height)
    )


def to_svg(chart: alt.TopLevelMixin, width: int, prefix: str) -> str:
    """An inline SVG, ``width`` pixels wide; ``prefix`` keeps its ids apart from other figures'."""
    axis = {
        "labelColor": Ink.MUTED, "titleColor": Ink.MUTED, "titleFontWeight": "normal", "domainColor": Ink.RULE,
        "tickColor": Ink.RULE, "gridColor": Ink.RULE, "labelFontSize": 12, "titleFontSize": 12, "gridOpacity": 0.6,
        "labelLimit": 170 if width >= WIDE else 130,
    }  # fmt: skip
    text = {"labelColor": Ink.TEXT, "titleColor": Ink.MUTED, "labelFontSize": 12, "titleFontSize": 12}
    apart = {"columnPadding": 34 if width >= WIDE else 22, "symbolStrokeWidth": 2.5}
    spec = chart.to_dict(validate=False)  # the renderer refuses what it can't draw; checking every dot takes longer
    spec |= {
        "background": "transparent",
        "padding": {"left": 4, "right": 6, "top": 2, "bottom": 2},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": {
            "font": "sans-serif",
            "view": {"stroke": None},
            "axis": axis,
            "axisX": {"labelOverlap": True, "labelSeparation": 8},
            "axisY": {"domain": False, "ticks": False},
            "legend": text | {"orient": "top", "title": None} | apart,
            "aria": False,  # the page describes the figure as a whole
            "header": text | {"labelFontWeight": "normal"},
            "text": {"color": Ink.TEXT, "fontSize": 12},
        },
    }
    if "width" not in spec:
        spec["width"] = width
    svg = str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    svg = _ID.sub(rf"\g<1>{prefix}-", svg)
    return _COLOUR.sub(lambda match: _VARIABLES[match.group()], svg)
