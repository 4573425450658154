"""The comparison for machines: ``comparison.json`` with everything, ``comparison.csv`` with a line a row."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tss_lab.report.comparison.compare import Comparison
from tss_lab.report.comparison.rows import Row
from tss_lab.report.comparison.tables import AgainstRandom, Best
from tss_lab.report.seeds import SeedMean

FORMAT_VERSION = 1


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Plain values; a number that isn't one is null."""
    rows = []
    for row, beside in _rows(comparison):
        differences = {} if beside is None else {name: asdict(one) for name, one in beside.differences.items()}
        if beside is not None and beside.loss is not None:
            differences["nll"] = asdict(beside.loss)
        rows.append(
            {
                **_identity(row),
                "runs": [run.name for run in row.runs],
                "accuracies": {name: asdict(mean) for name, mean in row.accuracies.items()},
                "held_out": {name: asdict(mean) for name, mean in row.held_out.items()},
                "against_random": differences,
                "note": "" if beside is None else beside.note,
            }
        )
    tables = comparison.tables
    nulls = [
        {"model": null.pair.model, "dataset": null.pair.dataset, "methods": list(null.methods), "measure": null.what,
         **asdict(null.spread), "largest_against_random": null.largest_against_random, "note": null.note}
        for null in comparison.nulls
        if null is not None
    ]  # fmt: skip
    content: dict[str, Any] = finite(
        {
            "format_version": FORMAT_VERSION,
            "evaluation": comparison.label,
            "titles": comparison.titles,
            "rows": rows,
            "tables": {
                **{name: [_best(one) for one in found] for name, found in tables.small_budgets.items()},
                "Table 4": [_best(one) for one in tables.overall],
                "Table 5": [_best(one) for one in tables.breakdown],
            },
            "missing": list(tables.missing),
            "null_test": nulls,
            "notes": [note for pair in comparison.pairs for note in pair.notes],
            "set_aside": [{"folder": one.place, "reason": one.reason} for one in comparison.unused],
        }
    )
    return content


def as_csv(comparison: Comparison) -> str:
    """A line a row: identity, then mean, SD over seeds and item error of each measure, then the differences."""
    names = [*comparison.titles, "nll", "sensitivity"]
    header = ["model", "dataset", "method", "variant", "rho", "budget", "seeds"]
    header += [f"{name}{part}" for name in names for part in ("", "_sd", "_stderr", "_seeds")]
    compared = ("sum", "nll") if comparison.titles else ("nll",)
    header += [f"{name}_minus_random{part}" for name in compared for part in ("", "_low", "_high")]
    lines = []
    for row, beside in _rows(comparison):
        line: dict[str, Any] = {**_identity(row), "seeds": " ".join(str(seed) for seed in _seeds(row))}
        for name, mean in [*row.accuracies.items(), *row.held_out.items()]:
            line |= {name: mean.value, f"{name}_sd": mean.spread, f"{name}_stderr": mean.item_error,
                     f"{name}_seeds": mean.num_seeds}  # fmt: skip
        if beside is not None:
            found = dict(beside.differences) | ({"nll": beside.loss} if beside.loss else {})
            for name in compared:
                if name in found:
                    one = found[name]
                    start = f"{name}_minus_random"
                    low, high = one.interval or (None, None)
                    line |= {start: one.value, f"{start}_low": low, f"{start}_high": high}
        lines.append({name: "" if value is None else value for name, value in finite(line).items()})
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def finite(value: Any) -> Any:
    """Without numbers that JSON has no word for: None in their place."""
    if isinstance(value, Mapping):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rows(comparison: Comparison) -> list[tuple[Row, AgainstRandom | None]]:
    beside = {id(one.row): one for against in comparison.against for one in against}
    return [(row, beside.get(id(row))) for pair in comparison.pairs for row in pair.rows]


def _seeds(row: Row) -> list[int]:
    return [] if row.rho is None else [run.seed for run in row.runs]


def _identity(row: Row) -> dict[str, Any]:
    return {
        "model": row.model, "dataset": row.dataset, "method": row.method, "variant": row.variant, "rho": row.rho,
        "budget": row.budget, "seeds": _seeds(row),
    }  # fmt: skip


def _best(best: Best) -> dict[str, Any]:
    return {
        "model": best.pair.model, "dataset": best.pair.dataset, "baseline": dict(best.baseline),
        "best": dict(best.value), "method": best.row.method, "variant": best.row.variant, "rho": best.row.rho,
        "differences": {name: asdict(one) for name, one in best.differences.items()},
        "candidates": best.num_candidates, "seeds": best.num_seeds,
        "zero_shot": _sum(best.pair.zero_shot.accuracies if best.pair.zero_shot else {}),
    }  # fmt: skip


def _sum(accuracies: Mapping[str, SeedMean]) -> float | None:
    return accuracies["sum"].value if "sum" in accuracies else None
