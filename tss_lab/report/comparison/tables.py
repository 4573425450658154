"""The comparison's tables, as values. ``all_tables`` gives each the name of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tss_lab.report.comparison.compare import Answers, Comparison
from tss_lab.report.comparison.questions import SMALL_BUDGETS, Versus
from tss_lab.report.comparison.rows import Row
from tss_lab.report.numbers import NOTHING_CHANGED, bounds, method_title, number
from tss_lab.report.paired import SeedDifference, SeedMean
from tss_lab.report.parts import COUNT, TEXT, Column, Form, Plain, Shown, Table, decimal
from tss_lab.statistics import accuracy_interval
from tss_lab.types import Estimate

HELD_OUT = {"nll": ("held-out loss, nats a token", 3), "sensitivity": ("instruction sensitivity, nats", 2)}
METHOD, SEEDS = Column("method", TEXT, "label"), Column("seeds", COUNT, "num_seeds")
RHO = Column("ρ", Form(lambda value: f"{value:g}"), "rho")
Values = Mapping[str, Any]
_NARROW = 5
"""So many columns fit on a phone."""


def mean(digits: int, *, is_accuracy: bool = False) -> Form:
    """A ``SeedMean``, with both its errors; an accuracy of 0 or 100 % with its Wilson interval."""

    def show(value: SeedMean) -> Shown:
        text = number(value.value, digits)
        if is_accuracy and value.value in (0.0, 100.0):
            low, high = accuracy_interval(Estimate(value.value, 0.0, value.num_items))
            return Shown(text, f"{number(low, digits)} to {number(high, digits)}")
        notes = [f"± {number(value.item_error, digits)}"] if value.item_error > 0 else []
        notes += [f"SD {number(value.spread, digits)}"] if value.num_seeds > 1 else []
        return Shown(text, ", ".join(notes))

    def export(value: SeedMean) -> dict[str, Plain]:
        return {"": value.value, "_sd": value.spread, "_stderr": value.item_error, "_seeds": value.num_seeds}

    return Form(show, export, ("", "_sd", "_stderr", "_seeds"))


def difference(digits: int) -> Form:
    """A ``SeedDifference`` with its interval; or a text that stands in its place."""

    def show(value: SeedDifference | str) -> Shown:
        if isinstance(value, str):
            return Shown(value)
        if value.name == "nll" and value.interval is None:
            return Shown(number(value.value, digits, signed=True), "" if value.value else "nothing changed")
        if value.name != "nll" and not value.gained + value.lost:
            return Shown("–", NOTHING_CHANGED)
        return Shown(number(value.value, digits, signed=True), bounds(value.interval, digits))

    def export(value: SeedDifference | str) -> dict[str, Plain]:
        if isinstance(value, str):
            return {}
        low, high = value.interval or (None, None)
        return {"": value.value, "_low": low, "_high": high}

    return Form(show, export, ("", "_low", "_high"))


def values_of(row: Row, beside: Versus | None) -> dict[str, Any]:
    """All that is known of a row, by the names of the columns that show it."""
    found: dict[str, Any] = {
        "model": row.model, "dataset": row.dataset, "method": row.method, "label": row.label, "variant": row.variant,
        "rho": row.rho, "budget": row.budget, "seeds": " ".join(map(str, row.seeds)),
        "num_seeds": len(row.seeds) or None,
        **row.means,
    }  # fmt: skip
    if beside is not None:
        found |= {f"{name}_minus_random": one for name, one in beside.differences.items()}
        found |= {"paired_seeds": len(beside.seeds) or None, "note": beside.note}
        if (total := beside.differences.get("sum")) is not None:
            found["changed"] = f"{total.gained:,} / {total.lost:,}"
    return found


def filled(
    caption: str, columns: Sequence[Column], rows: Sequence[Values], *, keep_empty: bool = False, total: bool = False
) -> Table:
    """The columns' values by name; without columns in which no row has one, unless ``keep_empty``."""
    if not keep_empty:
        columns = [column for column in columns if any(row.get(column.key) not in (None, "") for row in rows)]
    cells = [[row.get(column.key) for column in columns] for row in rows]
    return Table(caption, columns, cells, last_is_total=total, is_wide=len(columns) > _NARROW)


def mean_columns(titles: Mapping[str, str]) -> list[Column]:
    """Accuracies and their sum, then the held-out measures."""
    columns = [Column(title, mean(1, is_accuracy=name != "sum"), name) for name, title in titles.items()]
    return columns + [Column(title, mean(digits), name) for name, (title, digits) in HELD_OUT.items()]


def difference_columns(titles: Mapping[str, str]) -> list[Column]:
    """The same against random."""
    columns = [Column(title, difference(1), f"{name}_minus_random") for name, title in titles.items()]
    return [*columns, Column(HELD_OUT["nll"][0], difference(HELD_OUT["nll"][1]), "nll_minus_random")]


def results_tables(comparison: Comparison) -> dict[str, Table]:
    """A row a method and ρ; the untuned model and all of the data on top."""
    what = f"mean over seeds{', accuracies in percent' if comparison.titles else ''}"
    columns = [METHOD, RHO, SEEDS, *mean_columns(comparison.titles)]
    return {
        f"results_{name}": filled(f"{one.pair.title}: {what}", columns, [values_of(row, None) for row in one.pair.rows])
        for name, one in named(comparison).items()
    }


def against_tables(comparison: Comparison) -> dict[str, Table]:
    """Each method minus random, paired."""
    columns = [
        METHOD, RHO, Column("seeds", COUNT, "paired_seeds"), *difference_columns(comparison.titles),
        Column("items gained / lost, all seeds", Form(str), "changed"), Column("note"),
    ]  # fmt: skip
    return {
        f"against_random_{name}": filled(
            f"{one.pair.title}: method − random, with 95 % intervals", columns,
            [values_of(versus.row, versus) for versus in one.against],
        )
        for name, one in named(comparison).items()
        if one.against
    }  # fmt: skip


def paper_tables(comparison: Comparison) -> dict[str, Table]:
    """The form of Tables 2 to 5, as far as the runs go; Table 5 is one a pair."""
    total, place = comparison.titles.get("sum", ""), Column("model and data", TEXT, "pair")
    value, noise = Column("Best", decimal(3), "best"), Column("SD at ρ = 1", decimal(3), "null_sd")
    delta = Column("Δ, 95 % interval", difference(3), "difference")
    tables = {}
    for title, rho in SMALL_BUDGETS.items():
        columns = [place, Column("Random", decimal(3), "baseline"), value, delta, Column("best method", TEXT, "label"),
                   Column("of methods", COUNT, "candidates"), SEEDS, noise]  # fmt: skip
        rows = [best_values(one, best) for one in comparison.answers for best in one.tables[title]]
        tables[title] = filled(f"Best at ρ = {rho:g} against random: {total} (form of {title})", columns, rows)
    columns = [place, Column("Zero-shot", decimal(3), "zero_shot"), Column("Full", decimal(3), "baseline"), value,
               delta, METHOD, RHO, Column("of (method, ρ)", COUNT, "candidates"), SEEDS, noise]  # fmt: skip
    rows = [best_values(one, best) for one in comparison.answers for best in one.tables["Table 4"]]
    tables["Table 4"] = filled(f"Best over all budgets: {total} (form of Table 4)", columns, rows)
    columns = [Column("items"), Column("Random", decimal(3), "baseline"), value, delta]
    for name, one in named(comparison).items():
        for best in one.tables["Table 5"]:
            gain = f"{best.row.label} at ρ = {best.row.rho:g}: the largest gain over random at the same ρ"
            rows = [{"items": title, **best_values(one, best, what)} for what, title in comparison.titles.items()]
            caption = f"{one.pair.title}, {gain} (form of Table 5)"
            tables[f"Table 5 {name}"] = filled(caption, columns, rows, total=True)
    return {name.lower().replace(" ", "_"): table for name, table in tables.items() if table.rows}


def best_values(answers: Answers, best: Versus, what: str = "sum") -> dict[str, Any]:
    """The best of several beside its baseline, by the names of the columns that show it."""
    assert best.baseline is not None
    zero_shot = answers.pair.zero_shot.means.get(what) if answers.pair.zero_shot else None
    return {
        "pair": answers.pair.title, "zero_shot": zero_shot.value if zero_shot else None,
        "baseline": best.values(best.baseline)[what], "best": best.values(best.row)[what],
        "difference": best.differences.get(what, "0 (random itself)"), "label": best.row.label, "rho": best.row.rho,
        "candidates": best.num_candidates, "num_seeds": len(best.seeds),
        "null_sd": answers.null.spread.over_all if answers.null else None,
    }  # fmt: skip


def null_tables(comparison: Comparison) -> dict[str, Table]:
    """The null test; nothing where no pair has two runs on all of the data."""
    columns = [
        Column("one training set"), Column("runs", COUNT, "num_runs"), Column("methods"), SEEDS,
        Column("mean", decimal(3)), Column("SD of all runs", decimal(3), "over_all"),
        Column("SD over methods, same seed", decimal(3), "over_methods"),
        Column("SD over seeds", decimal(3), "over_seeds"), Column("lowest", decimal(3)), Column("highest", decimal(3)),
        Column("largest |method − random|", decimal(3), "largest_against_random"), Column("note"),
    ]  # fmt: skip
    rows = [
        asdict(one.null) | asdict(one.null.spread) | {
            "one_training_set": f"{one.pair.title}: {comparison.titles.get(one.null.what, HELD_OUT['nll'][0])}",
            "methods": ", ".join(map(method_title, one.null.methods)),
        }
        for one in comparison.answers
        if one.null is not None
    ]  # fmt: skip
    return {"null_test": filled("Null test: unweighted runs on all of the data (ρ = 1)", columns, rows)} if rows else {}


def line_a_row(comparison: Comparison) -> Table:
    """``comparison.csv``: identity, then mean, SD over seeds and item error of each measure, then − random."""
    identity = [Column(name) for name in ("model", "dataset", "method", "variant", "rho", "budget", "seeds")]
    against = [
        one for one in difference_columns(comparison.titles) if one.key in ("sum_minus_random", "nll_minus_random")
    ]
    rows = [values_of(row, beside) for row, beside in comparison.rows]
    return filled("runs", [*identity, *mean_columns(comparison.titles), *against], rows, keep_empty=True)


def short_table(comparison: Comparison) -> Table:
    """For the terminal: the sum where there was one, otherwise the held-out loss, and its difference to random."""
    what = "sum" if comparison.titles else "nll"
    means = [one for one in mean_columns(comparison.titles) if one.key == what]
    against = Column("− random", difference(1 if what == "sum" else 3), "against")
    rows = [values_of(row, beside) for row, beside in comparison.rows]
    rows = [{**one, "against": one.get(f"{what}_minus_random") or one.get("note")} for one in rows]
    columns = [Column("model"), Column("data set", TEXT, "dataset"), METHOD, RHO, SEEDS, *means, against]
    return filled("runs", columns, rows, keep_empty=True)


def all_tables(comparison: Comparison) -> dict[str, Table]:
    """Every table that is shown, by the name of its files."""
    return results_tables(comparison) | against_tables(comparison) | null_tables(comparison) | paper_tables(comparison)


def named(comparison: Comparison) -> dict[str, Answers]:
    """A short name for files -> a pair's answers."""
    found: dict[str, Answers] = {}
    for one in comparison.answers:
        words = "".join(c if c.isalnum() else " " for c in one.pair.title.lower()).split()
        name = "_".join(words)[:50]
        found[name if name not in found else f"{name}_{len(found) + 1}"] = one
    return found
