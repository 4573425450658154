"""A page as values, as HTML, and in its file: self-contained, without scripts, readable without network."""

from __future__ import annotations

from pathlib import Path

import jinja2

from tss_lab.report.numbers import NOTHING_CHANGED, method_title, number
from tss_lab.report.parts import Page, Part, Tile
from tss_lab.report.sections import build_sections
from tss_lab.report.sections.evaluation import changes_by_tuning, results_of
from tss_lab.report.sections.weights import training_weights
from tss_lab.runs import Run, names
from tss_lab.statistics import effective_size
from tss_lab.store import write_atomic
from tss_lab.version import __version__


def write_page(run: Run) -> Path:
    """Writes ``report/index.html`` into the run's folder and returns its path. What the run didn't do is left out."""
    path = run.folder / names.REPORT / names.PAGE
    write_atomic(path, render(build_page(run)))
    return path


def build_page(run: Run) -> Page:
    """A run's page, a pure function of its folder."""
    config = run.config
    share = f" at ρ\u00a0=\u00a0{config.rho:g}" if config.method.uses_rho else ""
    subtitle = f"Run {run.name}, experiment {config.experiment_name}, seed {config.seed}."
    status = str(run.record.get("status", ""))
    if status.startswith("stopped"):
        subtitle += f" It {status}."
    started = str(run.record.get("started", "")).replace("T", " ")
    return Page(
        title=f"{method_title(config.method.name)}{share}: {config.model.name} on {config.dataset.name}",
        subtitle=subtitle,
        tiles=_tiles(run),
        sections=build_sections(run),
        footer=f"Written by tss_lab {__version__}{f' · run begun {started}' if started else ''} · {run.name}",
    )


def render(page: Page) -> str:
    """The page's HTML. A part is shown by the macro that is called as its class; every text is escaped."""
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = _kind
    css = (folder / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(page=page, css=css, version=__version__)


def _kind(part: Part) -> str:
    return type(part).__name__.lower()


def _tiles(run: Run) -> list[Tile]:
    """The run in a few numbers."""
    tiles = []
    if run.selection is not None:
        kept, count = run.selection.num_kept, len(run.selection.example_id_N)
        tiles.append(Tile(f"{kept:,} of {count:,}", "examples kept", f"{100 * kept / count:.0f} % of those scored"))
    weight_M = training_weights(run)
    if weight_M is not None:
        tiles.append(Tile(number(effective_size(weight_M), 1), "effective sample size", "of the weighted examples"))
    tiles += [
        Tile(
            number(measure.difference.value, 3, signed=True),
            f"{measure.title}, change by tuning",
            f"± {number(measure.difference.standard_error, 3)} {measure.unit}; {measure.better} is better",
        )
        for measure in run.held_out[:1]
        if measure.difference is not None
    ]
    return tiles + _evaluation_tiles(run)


def _evaluation_tiles(run: Run) -> list[Tile]:
    """The sum's change by tuning, or the sum where only one model was evaluated."""
    for total in changes_by_tuning(run)[-1:]:
        name = f"{total.display_name}, change by tuning"
        if total.is_unchanged:
            return [Tile("–", name, NOTHING_CHANGED)]
        error = f"± {number(total.difference.standard_error, 1)} percent points"
        return [Tile(number(total.difference.value, 1, signed=True), name, error)]
    return [
        Tile(number(result.total.value, 1), result.total_name,
             f"± {number(result.total.standard_error, 1)} percent points")
        for result in results_of(run).values()
    ]  # fmt: skip
