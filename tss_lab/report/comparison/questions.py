"""The paper's questions asked of the rows: each method against random, the best at a budget, the noise at ρ = 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tss_lab.report.comparison.rows import PAPER_METHODS, Pair, Row, method_order
from tss_lab.report.numbers import method_title
from tss_lab.report.paired import (
    NullSpread,
    SeedDifference,
    difference_of_losses,
    difference_over_seeds,
    mean_accuracies,
    null_spread,
)

SMALL_BUDGETS = {"Table 2": 0.05, "Table 3": 0.15}
_PAPER_RHOS = (0.05, 0.15, 0.45, 0.75, 1.0)


@dataclass(frozen=True)
class Versus:
    """A row minus a baseline, paired by item and seed: random at the same ρ, or all of the data."""

    row: Row
    baseline: Row | None
    num_candidates: int = 1
    """It is the best of so many."""

    @cached_property
    def seeds(self) -> list[int]:
        """Under which both were evaluated; without any, those under which both have held-out losses."""
        if self.baseline is None:
            return []
        evaluated = self.row.results.keys() & self.baseline.results.keys()
        return sorted(evaluated or self.row.losses.keys() & self.baseline.losses.keys())

    @cached_property
    def differences(self) -> dict[str, SeedDifference]:
        """Benchmark, ``sum`` and the held-out ``nll`` -> difference; nothing where the row is the baseline itself."""
        before, after = self.baseline, self.row
        if before is None or before is after:
            return {}
        evaluated = sorted(before.results.keys() & after.results.keys())
        measured = sorted(before.losses.keys() & after.losses.keys())
        pairs = [(before.results[seed], after.results[seed]) for seed in evaluated]
        losses = [(before.losses[seed], after.losses[seed]) for seed in measured]
        found = difference_over_seeds(pairs) if pairs else []
        found += [difference_of_losses(losses)] if losses else []
        return {one.name: one for one in found}

    def values(self, row: Row) -> dict[str, float]:
        """Benchmark, and ``sum`` -> mean accuracy of one of the two over the seeds that both have."""
        return {name: mean.value for name, mean in mean_accuracies([row.results[seed] for seed in self.seeds]).items()}

    @property
    def note(self) -> str:
        """Why something is missing."""
        if self.baseline is None:
            return "no random run at this ρ"
        if not self.seeds:
            return "no random run of the same seeds"
        total, notes = self.differences.get("sum"), []
        if total is None and (self.row.results or self.baseline.results):
            notes.append("no evaluated seed in common")
        elif total is not None and not total.gained + total.lost:
            notes.append("no item changed")
        if lonely := len({*self.row.seeds, *self.baseline.seeds} - {*self.seeds}):
            notes.append(f"{lonely} seed{' has' if lonely == 1 else 's have'} no partner")
        return "; ".join(notes)


@dataclass(frozen=True)
class Null:
    """Runs on all of the data, which every filter method trains on at ρ = 1."""

    methods: Sequence[str]
    what: str
    """``sum`` or ``nll``."""
    spread: NullSpread
    largest_against_random: float
    note: str


def against_random(pair: Pair) -> list[Versus]:
    """Every method's row but random's own; against the random row with the same chooser, where there are several."""
    random = [row for row in pair.methods if row.method == "random"]
    found = []
    for row in (row for row in pair.methods if row.method != "random"):
        alike = [other for other in random if other.budget == row.budget and _is_at(other, row.rho)]
        best = max(alike, key=lambda other: other.runs[0].config.choose == row.runs[0].config.choose, default=None)
        found.append(Versus(row, best))
    return found


def _is_at(row: Row, rho: float | None) -> bool:
    return row.rho is not None and rho is not None and math.isclose(row.rho, rho)


def paper_tables(pair: Pair, against: Sequence[Versus]) -> tuple[dict[str, list[Versus]], list[str]]:
    """Tables 2 to 5 in form, as far as the runs go; and, in sentences, what is missing for the rest."""
    missing: list[str] = []
    tables = {name: _at_budget(pair, name, rho, missing) for name, rho in SMALL_BUDGETS.items()}
    tables |= {"Table 4": _overall(pair, missing), "Table 5": _breakdown(pair, against, missing)}
    return tables, [*missing, *_grid(pair)]


def _evaluated(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.results]


def best_of(baseline: Row, rows: Sequence[Row]) -> Versus | None:
    """The highest sum over the seeds shared with the baseline; the earlier method where two are equal."""
    compared = [Versus(row, baseline) for row in rows if row.results.keys() & baseline.results.keys()]
    best = max(compared, key=lambda one: one.values(one.row)["sum"], default=None)
    return best and replace(best, num_candidates=len(compared))


def _at_budget(pair: Pair, name: str, rho: float, missing: list[str]) -> list[Versus]:
    rows = [row for row in _evaluated(pair.methods) if _is_at(row, rho)]
    place = f"{name} (ρ = {rho:g}), {pair.title}"
    random = [row for row in rows if row.method == "random"]
    if not random:
        missing.append(f"{place}: not shown, no evaluated random run at this ρ.")
        return []
    best = [best_of(baseline, [row for row in rows if row.budget == baseline.budget]) for baseline in random]
    found = [one for one in best if one is not None and one.num_candidates > 1]
    if len(found) < len(random):
        missing.append(f"{place}: not shown, no method beside random with its seeds.")
    absent = [method for method in PAPER_METHODS if method not in {row.method for row in rows}]
    if found and absent:
        missing.append(f"{place}: shown without {_titles(absent)}.")
    return found


def _overall(pair: Pair, missing: list[str]) -> list[Versus]:
    full, place = _evaluated(pair.full), f"Table 4, {pair.title}"
    if not full:
        missing.append(f"{place}: not shown, no evaluated run on all of the data (method full).")
        return []
    best = best_of(full[0], pair.methods)
    if best is None:
        missing.append(f"{place}: not shown, no method with a seed of the full run.")
        return []
    if pair.zero_shot is None or "sum" not in pair.zero_shot.means:
        missing.append(f"{place}: shown without the untuned model, which no run evaluated.")
    return [best]


def _breakdown(pair: Pair, against: Sequence[Versus], missing: list[str]) -> list[Versus]:
    """The method and ρ with the largest gain over random at the same ρ."""
    found = [one for one in against if "sum" in one.differences]
    if not found:
        missing.append(f"Table 5, {pair.title}: not shown, no method and random run at the same ρ and seed.")
    return sorted(found, key=lambda one: -one.differences["sum"].value)[:1]


def _grid(pair: Pair) -> list[str]:
    """Which (method, ρ) of the paper's grid have no run, a sentence a pair."""
    there = {(row.method, round(row.rho or 0, 6)) for row in _evaluated(pair.methods)}
    absent = {m: [rho for rho in _PAPER_RHOS if (m, rho) not in there] for m in PAPER_METHODS}
    nowhere = [method for method in PAPER_METHODS if len(absent[method]) == len(_PAPER_RHOS)]
    parts = [f"{_titles(nowhere)} at any ρ"] if nowhere else []
    parts += [
        f"{method_title(method)} at ρ = {', '.join(f'{rho:g}' for rho in rhos)}"
        for method, rhos in absent.items()
        if rhos and method not in nowhere
    ]
    return [f"The paper's grid, {pair.title}: no evaluated run of {'; '.join(parts)}."] if parts else []


def _titles(methods: Sequence[str]) -> str:
    return ", ".join(method_title(method) for method in methods)


def null_test(pair: Pair) -> Null | None:
    """Spread of the runs that trained, unweighted, on all of the data; None for fewer than two of them."""
    rows = [row for row in [*pair.full, *pair.methods] if row.rho == 1.0 and not _is_weighted(row)]
    what = "sum" if any(row.results for row in rows) else "nll"
    values = {(f"{row.label}/{row.budget}", seed): value for row in rows for seed, value in row.measured(what).items()}
    if len(values) < 2:
        return None
    gaps = [
        abs(other.measured(what)[seed] - base)
        for row in rows
        if row.method == "random"
        for seed, base in row.measured(what).items()
        for other in rows
        if other is not row and seed in other.measured(what)
    ]
    spread = null_spread(values)
    names = sorted({row.method for row in rows}, key=method_order)
    return Null(names, what, spread, max(gaps, default=math.nan), "; ".join(_null_notes(rows, spread)))


def _null_notes(rows: Sequence[Row], spread: NullSpread) -> list[str]:
    sizes = [run.metrics.get("selection/kept") for row in rows for run in row.runs]
    kept = [int(size) for size in sizes if size is not None]
    notes = []
    if len(set(kept)) > 1:
        notes.append(f"the training sets differ in size ({min(kept):,} to {max(kept):,} examples: some were set aside)")
    if spread.num_methods > 1 and spread.over_methods < 1e-9:
        notes.append("runs of one seed came out the same to the last item, so the seeds are all the noise there is")
    if spread.num_seeds == 1:
        notes.append("one seed only: what another seed would change isn't in it")
    return notes


def _is_weighted(row: Row) -> bool:
    """Whether the examples of a row's runs count unequally, or it trains for a part of the steps."""
    method = row.runs[0].config.method
    return method.weighting.enabled or method.scope == "full"
