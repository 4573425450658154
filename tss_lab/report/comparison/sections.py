"""The comparison's page, section by section."""

from __future__ import annotations

from collections.abc import Sequence

from tss_lab.report.comparison.compare import Comparison
from tss_lab.report.comparison.curves import curve_figures
from tss_lab.report.comparison.glossary import GLOSSARY
from tss_lab.report.comparison.tables import against_tables, null_tables, paper_tables, results_tables
from tss_lab.report.parts import Column, Facts, Heading, Note, Page, Part, Section, Table
from tss_lab.version import __version__

_NO_NULL_TEST = "No null test: it needs at least two unweighted runs on all of the data (ρ = 1, or full)."


def page_of(comparison: Comparison) -> Page:
    """The page as values."""
    models = {pair.model for pair in comparison.pairs}
    datasets = {pair.dataset for pair in comparison.pairs}
    notes = [Note(note) for pair in comparison.pairs for note in pair.notes]
    subtitle = [_count(len(models), "model"), _count(len(datasets), "data set"), comparison.label]
    sections = [
        Section("runs", "What is compared", "Only runs that were asked the same question stand side by side.",
                [Facts(overview(comparison))]),
        Section("results", "Results", "Under each mean: ± its standard error over items, SD over seeds.",
                [*results_tables(comparison).values(), *notes]),
        Section("random", "Against random",
                "Each method and the random draw of the same share and seeds, paired on the same items.",
                [*against_tables(comparison).values()]),
        Section("tables", "The paper's tables, and the noise beside them",
                "The best of several is the best partly by luck; what runs on one training set differ by says how "
                "much.",
                paper_parts(comparison)),
        Section("curves", "Over the kept share", "A curve a method.", curve_figures(comparison.pairs)),
        Section("aside", "Set aside", "Folders that are in no number above.", unused(comparison)),
        Section("reading", "How to read this", "Words and signs on this page.", [Facts([*GLOSSARY.items()])]),
    ]  # fmt: skip
    return Page(
        title=f"{_count(len(comparison.runs), 'run')} compared",
        subtitle=f"{', '.join(part for part in subtitle if part)}.",
        tiles=[],
        sections=[section for section in sections if section.parts],
        footer=f"Written by tss_lab {__version__}",
        is_broad=True,
    )


def overview(comparison: Comparison) -> list[tuple[str, str]]:
    """What is compared, in words."""
    seeds = sorted({run.config.seed for run in comparison.runs if run.is_tuned})
    pairs = comparison.pairs
    facts = [
        ("Runs compared", f"{len(comparison.runs):,}"),
        ("Folders set aside", f"{len(comparison.unused):,}{', listed at the end' if comparison.unused else ''}"),
        ("Models", ", ".join(dict.fromkeys(pair.model for pair in pairs))),
        ("Data sets", ", ".join(dict.fromkeys(pair.dataset for pair in pairs))),
        ("Methods", ", ".join(dict.fromkeys(row.label for pair in pairs for row in pair.rows))),
        ("Seeds", ", ".join(map(str, seeds)) or "–"),
        ("Evaluated on", comparison.label or "no benchmark; held-out examples only"),
    ]
    return [*facts, ("The sum", comparison.titles["sum"])] if comparison.titles else facts


def paper_parts(comparison: Comparison) -> Sequence[Part]:
    """The noise, the paper's tables, and what is missing for them."""
    parts: list[Part] = [*null_tables(comparison).values()] or [Note(_NO_NULL_TEST)]
    parts += paper_tables(comparison).values()
    if comparison.missing:
        parts += [Heading("What is missing"), *map(Note, comparison.missing)]
    return parts


def unused(comparison: Comparison) -> Sequence[Part]:
    """Folders that were set aside, with their reasons."""
    if not comparison.unused:
        return []
    rows = [(one.place, one.reason) for one in comparison.unused]
    return [Table(f"{_count(len(rows), 'folder')} set aside", [Column("folder"), Column("why")], rows)]


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
