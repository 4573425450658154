"""Run folders to one comparison: what is compared, what was set aside, and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tss_lab.errors import ArtifactError
from tss_lab.report.comparison.comparable import comparable
from tss_lab.report.comparison.folders import Run, Unused, read_runs
from tss_lab.report.comparison.names import benchmark_title, is_demonstration
from tss_lab.report.comparison.rows import Pair, make_pairs
from tss_lab.report.comparison.tables import AgainstRandom, Null, PaperTables, against_random, null_test, paper_tables
from tss_lab.report.numbers import total_name

_NO_TABLES = "Nothing was evaluated on benchmarks, so the paper's tables, sums of accuracies, can't be formed."


@dataclass(frozen=True)
class Comparison:
    """Everything that the page, the files and the terminal show."""

    runs: Sequence[Run]
    unused: Sequence[Unused]
    pairs: Sequence[Pair]
    against: Sequence[Sequence[AgainstRandom]]
    """For each pair, its rows against random."""
    nulls: Sequence[Null | None]
    tables: PaperTables
    label: str
    titles: dict[str, str]
    """Benchmark, and ``sum`` -> what it is called; empty where nothing was evaluated."""


def compare(folders: Iterable[Path]) -> Comparison:
    """Reads the folders and compares what can be compared.

    Raises ArtifactError where that is nothing.
    """
    read, unused = read_runs(folders)
    runs, apart = comparable(read)
    unused += apart
    if not runs:
        reasons = "; ".join(f"{one.place} {one.reason}" for one in unused[:3])
        more = f"; and {len(unused) - 3} more" if len(unused) > 3 else ""
        raise ArtifactError(
            f"none of the {len(unused)} folders can be compared ({reasons}{more}); give folders of finished runs"
        )
    pairs = make_pairs(runs)
    label, titles = _evaluated(runs)
    return Comparison(
        runs, unused, pairs, [against_random(pair) for pair in pairs], [null_test(pair) for pair in pairs],
        paper_tables(pairs) if titles else PaperTables({}, (), (), (_NO_TABLES,)),
        label, titles,
    )  # fmt: skip


def _evaluated(runs: Sequence[Run]) -> tuple[str, dict[str, str]]:
    asked = next((run for run in runs if run.question), None)
    if asked is None:
        return "", {}
    config = asked.settings["eval"]
    tuned = next((run.tuned for run in runs if run.tuned is not None), None)
    label = tuned.label if tuned is not None else str(config.get("label") or "benchmarks")
    titles = {name: benchmark_title(name, config) for name in config["benchmarks"]}
    return label, titles | {"sum": total_name(len(titles), is_demonstration(config))}
