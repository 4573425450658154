"""The comparison in files, and in short on the terminal."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tss_lab.report.comparison.compare import COMPARISON, Answers, Comparison
from tss_lab.report.comparison.questions import Versus
from tss_lab.report.comparison.rows import MEASURES, Row
from tss_lab.report.comparison.sections import page_of
from tss_lab.report.comparison.tables import all_tables, best_values, line_a_row, short_table
from tss_lab.report.page import render
from tss_lab.report.terminal import to_rich
from tss_lab.runs import names
from tss_lab.store import write_atomic, write_json

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_TABLES = "tables"


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Writes the page, ``comparison.json`` with everything, ``comparison.csv`` with a line a row, and each table
    by itself as CSV, Markdown and LaTeX (``tables/``) into ``folder``; returns the page's path.
    """
    path = folder / names.PAGE
    files: dict[str, str] = {}
    for name, table in all_tables(comparison).items():
        files |= {f"{name}.csv": table.to_csv(), f"{name}.md": table.to_markdown(), f"{name}.tex": table.to_latex()}
    _remove_tables(folder, spared=files)
    write_atomic(path, render(page_of(comparison)))
    write_atomic(folder / "comparison.csv", line_a_row(comparison).to_csv())
    for name, text in files.items():
        write_atomic(folder / _TABLES / name, text)
    write_json(folder / COMPARISON, as_json(comparison) | {"files": sorted(files)})
    return path


def _remove_tables(folder: Path, spared: Mapping[str, str]) -> None:
    """Those that an earlier comparison left here, by its own account, and this one has no more."""
    known = folder / COMPARISON
    try:
        files = json.loads(known.read_text(encoding="utf-8"))["files"] if known.exists() else []
    except (ValueError, KeyError) as error:
        log.warning("%s can't be read (%s); tables of an earlier comparison may lie beside the new ones", known, error)
        return
    for name in {Path(name).name for name in files} - set(spared):
        (folder / _TABLES / name).unlink(missing_ok=True)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Plain values; a number that isn't one is null."""
    rows = [
        {
            **_identity(row),
            "budget": row.budget,
            "seeds": row.seeds,
            "runs": [run.name for run in row.runs],
            "accuracies": {name: asdict(mean) for name, mean in row.means.items() if name not in MEASURES},
            "held_out": {name: asdict(mean) for name, mean in row.means.items() if name in MEASURES},
            "against_random": {name: asdict(one) for name, one in beside.differences.items()} if beside else {},
            "note": beside.note if beside else "",
        }
        for row, beside in comparison.rows
    ]
    nulls = [
        {"model": one.pair.model, "dataset": one.pair.dataset, "methods": one.null.methods, "measure": one.null.what,
         **asdict(one.null.spread), "largest_against_random": one.null.largest_against_random, "note": one.null.note}
        for one in comparison.answers
        if one.null is not None
    ]  # fmt: skip
    content: dict[str, Any] = _finite(
        {
            "format_version": FORMAT_VERSION,
            "evaluation": comparison.label,
            "titles": comparison.titles,
            "rows": rows,
            "tables": {
                f"Table {number}": [
                    _best(one, best) for one in comparison.answers for best in one.tables[f"Table {number}"]
                ]
                for number in (2, 3, 4, 5)
            },
            "missing": comparison.missing,
            "null_test": nulls,
            "notes": [note for pair in comparison.pairs for note in pair.notes],
            "set_aside": [{"folder": one.place, "reason": one.reason} for one in comparison.unused],
        }
    )
    return content


def _identity(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("model", "dataset", "method", "variant", "rho")}


def _best(answers: Answers, best: Versus) -> dict[str, Any]:
    assert best.baseline is not None
    return {
        **_identity(best.row),
        "baseline": best.values(best.baseline),
        "best": best.values(best.row),
        "differences": {name: asdict(one) for name, one in best.differences.items()},
        "candidates": best.num_candidates,
        "seeds": len(best.seeds),
        "zero_shot": best_values(answers, best)["zero_shot"],
    }


def _finite(value: Any) -> Any:
    """Without numbers that JSON has no word for: None in their place."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_comparison(comparison: Comparison, console: Console) -> None:
    """The short table, and what was set aside."""
    console.print(to_rich(short_table(comparison)))
    lines = [f"evaluated on: {comparison.label}"] if comparison.label else []
    if count := len(comparison.unused):
        lines.append(f"{count:,} of {len(comparison.runs) + count:,} folders set aside:")
        lines += [f"  {one.place}: {one.reason}" for one in comparison.unused]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
