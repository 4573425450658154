"""One run on one page: self-contained HTML without scripts, readable without network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from tss_lab import __version__
from tss_lab.report import audit, view
from tss_lab.report.cards import ranked_cards
from tss_lab.report.figures import draw_figures
from tss_lab.report.model import RunReport
from tss_lab.report.glossary import READING
from tss_lab.report.numbers import method_title
from tss_lab.store import write_atomic

PAGE = "index.html"


@dataclass(frozen=True)
class Section:
    """A part of the page. ``shown`` is false where the run has nothing for it."""

    anchor: str
    title: str
    lead: str
    shown: bool


def write_report(report: RunReport, folder: Path) -> Path:
    """Writes ``index.html`` into ``folder`` and returns its path. Whatever the run didn't do is left out."""
    path = folder / PAGE
    write_atomic(path, render(report))
    return path


def render(report: RunReport) -> str:
    """The page's HTML; every text of the data is escaped by the template."""
    return from_template("page.html.j2", _page(report))


def from_template(name: str, content: Mapping[str, Any]) -> str:
    """A template of this folder, filled; whatever is filled in is escaped."""
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = (folder / "page.css").read_text(encoding="utf-8")
    return environment.get_template(name).render({"version": __version__, "css": css, **content})


def _page(report: RunReport) -> dict[str, Any]:
    started = str(report.record.get("started", "")).replace("T", " ")
    first_cards, last_cards = ranked_cards(report)
    specific = report.method_name.startswith("tss")
    first, last = ("most specific", "least specific") if specific else ("ranked first", "ranked last")
    content: dict[str, Any] = {
        "title": _title(report),
        "subtitle": f"Run {report.run_name}, experiment {report.experiment_name}, seed {report.seed}.",
        "footer": f"Written by tss_lab {__version__}{f' · run begun {started}' if started else ''} · {report.run_name}",
        "figures": draw_figures(report),
        "tiles": view.tiles(report),
        "what_was_run": view.what_was_run(report),
        "data_rows": view.data_rows(report),
        "set_aside": view.set_aside_table(report),
        "scoring_rows": view.scoring_rows(report),
        "first_cards": first_cards,
        "last_cards": last_cards,
        "first_title": f"The {len(first_cards)} {first}",
        "last_title": f"The {len(last_cards)} {last}",
        "alternatives_table": audit.sources_table(report),
        "alternatives_checks": audit.checks(report),
        "weights_rows": view.weights_rows(report),
        "training_rows": view.training_rows(report),
        "held_out": view.held_out_table(report),
        "evaluation": view.evaluation_table(report),
        "costs": view.costs_table(report),
        "provenance": view.provenance_rows(report.record),
        "settings": _as_yaml(report.settings),
        "reading": READING,
    }
    content["sections"] = [section for section in _sections(report, content) if section.shown]
    return content


def _title(report: RunReport) -> str:
    share = f"ρ\u00a0=\u00a0{report.rho:g}"
    return f"{method_title(report.method_name)} at {share}: {report.model_name} on {report.dataset_name}"


def _as_yaml(settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    plain = json.loads(json.dumps(settings, default=str))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _sections(report: RunReport, content: Mapping[str, Any]) -> list[Section]:
    figures = content["figures"]
    return [
        Section(
            "run",
            "What was run",
            "The choices of this run, what became of the data, and how the likelihoods were computed.",
            True,
        ),
        Section(
            "scores",
            "Scores",
            "Every scored example got one number; the ranking by it decides what is kept.",
            bool(figures.get("scores")),
        ),
        Section(
            "examples",
            "First and last of the ranking",
            "Open an example for its texts and for how likely its output is under each instruction.",
            bool(content["first_cards"]),
        ),
        Section(
            "alternatives",
            "Alternative instructions",
            "The score is only as good as the instructions it is held against.",
            content["alternatives_table"] is not None or bool(figures.get("alternatives")),
        ),
        Section(
            "weights",
            "Training weights",
            "Specific examples count for more in the loss.",
            bool(content["weights_rows"]),
        ),
        Section("training", "Training", "Fine-tuning on what was kept.", report.training is not None),
        Section(
            "held-out",
            "Held-out examples",
            "Examples that no method could select, before and after tuning (no end token). Differences are paired.",
            content["held_out"] is not None,
        ),
        Section(
            "evaluation",
            "Evaluation",
            "Multiple choice, zero-shot, plain accuracy, run by lm-evaluation-harness.",
            content["evaluation"] is not None,
        ),
        Section("provenance", "Provenance", "What made these numbers.", bool(report.record) or bool(report.settings)),
        Section("reading", "How to read this", "Words and signs on this page.", True),
    ]
