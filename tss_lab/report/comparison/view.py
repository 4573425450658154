"""The comparison as tables of texts; numbers become texts here, and the template escapes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tss_lab.report.comparison.compare import Comparison
from tss_lab.report.comparison.rows import Pair
from tss_lab.report.comparison.tables import SMALL_BUDGETS, AgainstRandom, Best, Null
from tss_lab.report.seeds import SeedDifference, SeedMean
from tss_lab.report.statistics import accuracy_interval
from tss_lab.report.view import Row as Fact
from tss_lab.report.view import Table
from tss_lab.report.numbers import NOTHING_CHANGED, bounds, method_title, number
from tss_lab.types import Estimate

HELD_OUT = {"nll": ("held-out loss, nats a token", 3), "sensitivity": ("instruction sensitivity, nats", 2)}


@dataclass(frozen=True)
class Cell:
    """A number with what stands under it in small."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class CellTable:
    """As ``Table``, with cells that carry a note."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    ends_in_words: bool = False


def overview(comparison: Comparison) -> list[Fact]:
    """What is compared."""
    seeds = sorted({run.seed for run in comparison.runs if run.is_tuned})
    facts = [
        ("Runs compared", f"{len(comparison.runs):,}"),
        ("Folders set aside", f"{len(comparison.unused):,}{', listed at the end' if comparison.unused else ''}"),
        ("Models", ", ".join(dict.fromkeys(pair.model for pair in comparison.pairs))),
        ("Data sets", ", ".join(dict.fromkeys(pair.dataset for pair in comparison.pairs))),
        ("Methods", ", ".join(dict.fromkeys(row.label for pair in comparison.pairs for row in pair.rows))),
        ("Seeds", ", ".join(map(str, seeds)) or "–"),
        ("Evaluated on", comparison.label or "no benchmark; held-out examples only"),
    ]
    if comparison.titles:
        facts.append(("The sum", comparison.titles["sum"]))
    return facts


def results_table(pair: Pair, titles: Mapping[str, str]) -> CellTable:
    """A row a method and ρ; the untuned model and all of the data on top."""
    measures = [name for name in HELD_OUT if any(name in row.held_out for row in pair.rows)]
    columns = ["method", "ρ", "seeds", *titles.values(), *(HELD_OUT[name][0] for name in measures)]
    rows: list[list[str | Cell]] = []
    for row in pair.rows:
        cells: list[str | Cell] = [row.label, _share(row.rho), str(len(row.runs)) if row.rho is not None else "–"]
        cells += [_mean(row.accuracies.get(name), 1, is_share=name != "sum") for name in titles]
        cells += [_mean(row.held_out.get(name), HELD_OUT[name][1]) for name in measures]
        rows.append(cells)
    return CellTable(f"{pair.title}: mean over seeds{', accuracies in percent' if titles else ''}", columns, rows)


def _mean(mean: SeedMean | None, digits: int, is_share: bool = False) -> str | Cell:
    if mean is None:
        return "–"
    if is_share and mean.value in (0.0, 100.0):
        low, high = accuracy_interval(Estimate(mean.value, 0.0, mean.num_items))
        return Cell(number(mean.value, digits), f"{number(low, digits)} to {number(high, digits)}")
    parts = [f"± {number(mean.item_error, digits)}"] if mean.item_error > 0 else []
    if mean.num_seeds > 1:
        parts.append(f"SD {number(mean.spread, digits)}")
    return Cell(number(mean.value, digits), ", ".join(parts))


def against_table(pair: Pair, against: Sequence[AgainstRandom], titles: Mapping[str, str]) -> CellTable | None:
    """Each method minus random, paired."""
    if not against:
        return None
    measures = [("nll", HELD_OUT["nll"][0], 3)] if any(one.loss is not None for one in against) else []
    columns = ["method", "ρ", "seeds", *titles.values(), *(title for _, title, _ in measures)]
    columns += (["items gained / lost, all seeds"] if titles else []) + ["note"]
    rows: list[list[str | Cell]] = []
    for one in against:
        cells: list[str | Cell] = [one.row.label, _share(one.row.rho), str(len(one.seeds)) if one.seeds else "–"]
        cells += [_difference(one.differences.get(name), 1) for name in titles]
        cells += [_difference(one.loss, digits, over_items=False) for _, _, digits in measures]
        if titles:
            total = one.differences.get("sum")
            cells.append(f"{total.gained:,} / {total.lost:,}" if total else "–")
        rows.append([*cells, one.note])
    return CellTable(f"{pair.title}: method − random, with 95 % intervals", columns, rows, ends_in_words=True)


def _difference(one: SeedDifference | None, digits: int, over_items: bool = True) -> str | Cell:
    if one is None:
        return "–"
    if over_items and not one.gained + one.lost:
        return Cell("–", NOTHING_CHANGED)
    note = bounds(one.interval, digits) if one.interval else "" if one.value else "nothing changed"
    return Cell(number(one.value, digits, signed=True), note)


def small_budget_tables(comparison: Comparison) -> list[CellTable]:
    """The form of Tables 2 and 3."""
    tables = []
    noise = {id(null.pair): null for null in comparison.nulls if null is not None}
    for name, found in comparison.tables.small_budgets.items():
        if not found:
            continue
        rows = [
            [best.pair.title, number(best.baseline["sum"], 3), number(best.value["sum"], 3),
             *_gain(best, "sum"), best.row.label, f"{best.num_candidates}", f"{best.num_seeds}",
             _noise(noise.get(id(best.pair)))]
            for best in found
        ]  # fmt: skip
        columns = [
            "model and data", "Random", "Best", "Δ", "95 % interval", "best method", "of methods", "seeds",
            "SD at ρ = 1",
        ]  # fmt: skip
        caption = f"Best at ρ = {SMALL_BUDGETS[name]:g} against random: {comparison.titles['sum']} (form of {name})"
        tables.append(CellTable(caption, columns, rows))
    return tables


def overall_table(comparison: Comparison) -> CellTable | None:
    """The form of Table 4."""
    if not comparison.tables.overall:
        return None
    noise = {id(null.pair): null for null in comparison.nulls if null is not None}
    rows = []
    for best in comparison.tables.overall:
        zero_shot = best.pair.zero_shot.accuracies.get("sum") if best.pair.zero_shot else None
        rows.append(
            [best.pair.title, number(zero_shot.value if zero_shot else None, 3),
             number(best.baseline["sum"], 3), number(best.value["sum"], 3), *_gain(best, "sum"),
             f"{best.row.label} ({_share(best.row.rho)})", f"{best.num_candidates}", f"{best.num_seeds}",
             _noise(noise.get(id(best.pair)))]
        )  # fmt: skip
    columns = [
        "model and data", "Zero-shot", "Full", "Best", "Δ vs Full", "95 % interval", "method (ρ)", "of (method, ρ)",
        "seeds", "SD at ρ = 1",
    ]  # fmt: skip
    return CellTable(f"Best over all budgets: {comparison.titles['sum']} (form of Table 4)", columns, rows)


def breakdown_tables(comparison: Comparison) -> list[Table]:
    """The form of Table 5, a table a pair."""
    tables = []
    for best in comparison.tables.breakdown:
        rows = [
            [title, number(best.baseline[name], 3), number(best.value[name], 3), *_gain(best, name)]
            for name, title in comparison.titles.items()
        ]
        place = f"{best.pair.title}, {best.row.label} at ρ = {_share(best.row.rho)}"
        tables.append(
            Table(
                f"{place}: the largest gain over random at the same ρ (form of Table 5)",
                ["items", "Random", "Best", "Δ", "95 % interval"],
                rows,
            )
        )
    return tables


def _gain(best: Best, name: str) -> tuple[str, str]:
    one = best.differences.get(name)
    if one is None:
        return "0 (random itself)", "–"
    if not one.gained + one.lost:
        return "–", NOTHING_CHANGED
    return number(one.value, 3, signed=True), bounds(one.interval, 2)


def _noise(null: Null | None) -> str:
    return "–" if null is None else number(null.spread.over_all, 3)


def null_table(comparison: Comparison) -> CellTable | None:
    """The null test; None where no pair has two runs on all of the data."""
    nulls = [null for null in comparison.nulls if null is not None]
    if not nulls:
        return None
    rows = []
    for null in nulls:
        spread, digits = null.spread, 3
        what = comparison.titles["sum"] if null.what == "sum" else HELD_OUT["nll"][0]
        rows.append(
            [f"{null.pair.title}: {what}", f"{spread.num_runs}", ", ".join(method_title(name) for name in null.methods),
             f"{spread.num_seeds}", number(spread.mean, digits), number(spread.over_all, digits),
             number(spread.over_methods, digits), number(spread.over_seeds, digits),
             f"{number(spread.lowest, digits)} to {number(spread.highest, digits)}",
             number(null.largest_against_random, digits), null.note]
        )  # fmt: skip
    columns = [
        "one training set", "runs", "methods", "seeds", "mean", "SD of all runs", "SD over methods, same seed",
        "SD over seeds", "lowest to highest", "largest |method − random|", "note",
    ]  # fmt: skip
    return CellTable("Null test: unweighted runs on all of the data (ρ = 1)", columns, rows, ends_in_words=True)


def unused_table(comparison: Comparison) -> Table | None:
    """Folders that were set aside."""
    if not comparison.unused:
        return None
    rows = [[one.place, one.reason] for one in comparison.unused]
    return Table(
        f"{len(rows):,} {'folder' if len(rows) == 1 else 'folders'} set aside",
        ["folder", "why"],
        rows,
        ends_in_words=True,
    )


def _share(rho: float | None) -> str:
    return "–" if rho is None else f"{rho:g}"


def terminal_rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """The short table: the sum where there was one, otherwise the held-out loss, and its difference to random."""
    what = "sum" if comparison.titles else "nll"
    digits = 1 if what == "sum" else 3
    title = comparison.titles.get("sum", HELD_OUT["nll"][0])
    columns = ["model", "data set", "method", "ρ", "seeds", title, "SD over seeds", "− random", "95 % interval"]
    rows = []
    for pair, against in zip(comparison.pairs, comparison.against, strict=True):
        beside = {id(one.row): one for one in against}
        for row in pair.rows:
            mean = row.accuracies.get("sum") if what == "sum" else row.held_out.get(what)
            value = _mean(mean, digits)
            shown = f"{value.text} {value.note.split(',')[0]}".strip() if isinstance(value, Cell) else value
            spread = number(mean.spread, digits) if mean and math.isfinite(mean.spread) else "–"
            rows.append(
                [row.model, row.dataset, row.label, _share(row.rho), str(len(row.runs)) if row.rho else "–", shown,
                 spread, *_against_in_short(beside.get(id(row)), what, digits)]
            )  # fmt: skip
    return columns, rows


def _against_in_short(one: AgainstRandom | None, what: str, digits: int) -> tuple[str, str]:
    if one is None:
        return "", ""
    difference: Any = one.differences.get("sum") if what == "sum" else one.loss
    cell = _difference(difference, digits, over_items=what == "sum")
    if isinstance(cell, Cell):
        return cell.text, cell.note
    return cell, one.note
