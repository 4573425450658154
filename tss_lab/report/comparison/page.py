"""The comparison on one page, in files, and in short on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from tss_lab import __version__
from tss_lab.report.comparison import view
from tss_lab.report.comparison.compare import Comparison
from tss_lab.report.comparison.curves import curve_figures
from tss_lab.report.comparison.files import as_csv, as_json
from tss_lab.report.comparison.folders import COMPARISON
from tss_lab.report.comparison.reading import READING
from tss_lab.report.page import PAGE, Section, from_template
from tss_lab.store import write_atomic, write_json


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Writes ``index.html``, ``comparison.json`` and ``comparison.csv`` into ``folder``; returns the page's path."""
    path = folder / PAGE
    write_atomic(path, render(comparison))
    write_json(folder / COMPARISON, as_json(comparison))
    write_atomic(folder / "comparison.csv", as_csv(comparison))
    return path


def render(comparison: Comparison) -> str:
    """The page's HTML; every text of a run is escaped by the template."""
    titles = comparison.titles
    models = len({pair.model for pair in comparison.pairs})
    datasets = len({pair.dataset for pair in comparison.pairs})
    against = [
        table
        for pair, found in zip(comparison.pairs, comparison.against, strict=True)
        if (table := view.against_table(pair, found, titles)) is not None
    ]
    tables = view.small_budget_tables(comparison)
    overall, breakdown = view.overall_table(comparison), view.breakdown_tables(comparison)
    content: dict[str, Any] = {
        "title": f"{_count(len(comparison.runs), 'run')} compared",
        "subtitle": f"{_count(models, 'model')}, {_count(datasets, 'data set')}"
        f"{f', {comparison.label}' if comparison.label else ''}.",
        "broad": True,
        "tiles": [],
        "footer": f"Written by tss_lab {__version__}",
        "overview": view.overview(comparison),
        "results": [view.results_table(pair, titles) for pair in comparison.pairs],
        "notes": [note for pair in comparison.pairs for note in pair.notes],
        "against": against,
        "null": view.null_table(comparison),
        "paper_tables": [*tables, *([overall] if overall else [])],
        "breakdown": breakdown,
        "missing": comparison.tables.missing,
        "curves": curve_figures(comparison.pairs),
        "unused": view.unused_table(comparison),
        "reading": READING,
    }
    content["sections"] = [section for section in _sections(content) if section.shown]
    return from_template("comparison.html.j2", content)


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _sections(content: dict[str, Any]) -> list[Section]:
    return [
        Section("runs", "What is compared", "Only runs that were asked the same question stand side by side.", True),
        Section("results", "Results", "Under each mean: ± its standard error over items, SD over seeds.", True),
        Section(
            "random",
            "Against random",
            "Each method and the random draw of the same share and seeds, paired on the same items.",
            bool(content["against"]),
        ),
        Section(
            "tables",
            "The paper's tables, and the noise beside them",
            "The best of several is the best partly by luck; what runs on one training set differ by says how much.",
            bool(content["paper_tables"] or content["breakdown"] or content["null"] or content["missing"]),
        ),
        Section("curves", "Over the kept share", "A curve a method.", bool(content["curves"])),
        Section("aside", "Set aside", "Folders that are in no number above.", content["unused"] is not None),
        Section("reading", "How to read this", "Words and signs on this page.", True),
    ]


def print_comparison(comparison: Comparison, console: Console) -> None:
    """The short table and what was set aside."""
    columns, rows = view.terminal_rows(comparison)
    table = RichTable(box=None, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if index < 3 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(value) for value in row))
    console.print(table)
    lines = [f"evaluated on: {comparison.label}"] if comparison.label else []
    if comparison.unused:
        count = len(comparison.unused)
        lines.append(f"{count:,} of {len(comparison.runs) + count:,} folders set aside:")
        lines += [f"  {one.place}: {one.reason}" for one in comparison.unused]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
