"""One file a figure; each module in this folder is one, and there is no list to add it to.

A figure's module has

- ``SECTION``: the page's section it stands in (scores, alternatives, weights, training, held_out, evaluation),
- ``ORDER``: its place there,
- ``TITLE``: its heading,
- ``draw(report, width) -> Drawing | None``: None where the run has nothing to show.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from tss_lab.report.charts import NARROW, WIDE, Drawing, to_svg
from tss_lab.report.model import RunReport


@dataclass(frozen=True)
class Figure:
    """A figure as the page shows it: the same drawing for a desk and for a phone."""

    name: str
    section: str
    title: str
    caption: str
    alt_text: str
    wide_svg: str
    narrow_svg: str


def draw_figures(report: RunReport) -> dict[str, list[Figure]]:
    """Section -> its figures in order."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    drawn: dict[str, list[Figure]] = {}
    for module in sorted(modules, key=lambda module: (module.ORDER, module.__name__)):
        name = module.__name__.rpartition(".")[2]
        draw: Callable[[RunReport, int], Drawing | None] = module.draw
        wide, narrow = draw(report, WIDE), draw(report, NARROW)
        if wide is None or narrow is None:
            continue
        drawn.setdefault(module.SECTION, []).append(as_figure(name, module.SECTION, module.TITLE, wide, narrow))
    return drawn


def as_figure(name: str, section: str, title: str, wide: Drawing, narrow: Drawing) -> Figure:
    """A drawing in both widths; ``name`` is unique on its page."""
    svgs = to_svg(wide.chart, WIDE, f"{name}-wide"), to_svg(narrow.chart, NARROW, f"{name}-narrow")
    return Figure(name, section, title, wide.caption, wide.alt_text, *svgs)
