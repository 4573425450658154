"""The paper's questions asked of the rows: each method against random, the best at a budget, the noise at ρ = 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tss_lab.report.comparison.names import PAPER_METHODS, PAPER_RHOS, method_order
from tss_lab.report.comparison.rows import Pair, Row
from tss_lab.report.seeds import (
    NullSpread,
    SeedDifference,
    difference_of_losses,
    difference_over_seeds,
    mean_accuracies,
    null_spread,
)
from tss_lab.report.numbers import method_title

SMALL_BUDGETS = {"Table 2": 0.05, "Table 3": 0.15}


@dataclass(frozen=True)
class AgainstRandom:
    """A row minus the random one beside it, paired by item and seed. ``note`` says why something is missing."""

    row: Row
    seeds: Sequence[int]
    differences: Mapping[str, SeedDifference]
    loss: SeedDifference | None
    note: str


@dataclass(frozen=True)
class Best:
    """The highest sum among ``candidates`` beside a baseline, both as means over the seeds that they share.

    ``baseline`` and ``value`` map each benchmark, and ``sum``, to percent. ``differences`` is empty where
    the baseline itself is the best.
    """

    pair: Pair
    baseline: Mapping[str, float]
    row: Row
    value: Mapping[str, float]
    differences: Mapping[str, SeedDifference]
    num_candidates: int
    num_seeds: int


@dataclass(frozen=True)
class Null:
    """Runs on all of the data, which every filter method trains on at ρ = 1."""

    pair: Pair
    methods: Sequence[str]
    what: str
    """``sum`` or ``nll``."""
    spread: NullSpread
    largest_against_random: float
    note: str


@dataclass(frozen=True)
class PaperTables:
    """What can be shown of the paper's tables, and, in sentences, what is missing for the rest."""

    small_budgets: Mapping[str, Sequence[Best]]
    overall: Sequence[Best]
    breakdown: Sequence[Best]
    missing: Sequence[str]


def random_beside(row: Row, pair: Pair) -> Row | None:
    """The random row at the same ρ and budget."""
    for other in pair.methods:
        same = other.method == "random" and other.rho is not None and row.rho is not None
        if same and math.isclose(other.rho or 0, row.rho or 0) and other.budget == row.budget:
            return other
    return None


def against_random(pair: Pair) -> list[AgainstRandom]:
    """Every method's row but random's own."""
    return [_against(row, random_beside(row, pair)) for row in pair.methods if row.method != "random"]


def _against(row: Row, random: Row | None) -> AgainstRandom:
    if random is None:
        return AgainstRandom(row, (), {}, None, "no random run at this ρ")
    mine, theirs = set(row.results) | set(row.losses), set(random.results) | set(random.losses)
    seeds = sorted(mine & theirs)
    if not seeds:
        return AgainstRandom(row, (), {}, None, "no random run of the same seeds")
    differences = _differences(random, row)
    old, new = random.losses, row.losses
    shared = sorted(old.keys() & new.keys())
    loss = difference_of_losses([(old[seed], new[seed]) for seed in shared]) if shared else None
    notes = []
    if not differences and (row.results or random.results):
        notes.append("no evaluated seed in common")
    elif differences and not differences["sum"].gained + differences["sum"].lost:
        notes.append("no item changed")
    if len(mine | theirs) > len(seeds):
        notes.append(f"{len(mine | theirs) - len(seeds)} seeds have no partner")
    return AgainstRandom(row, seeds, differences, loss, "; ".join(notes))


def _differences(before: Row, after: Row) -> dict[str, SeedDifference]:
    old, new = before.results, after.results
    shared = sorted(old.keys() & new.keys())
    return {one.name: one for one in difference_over_seeds([(old[s], new[s]) for s in shared])} if shared else {}


def paper_tables(pairs: Sequence[Pair]) -> PaperTables:
    """Tables 2 to 5 in form, as far as the runs go."""
    missing: list[str] = []
    small = {name: [] for name in SMALL_BUDGETS}  # type: dict[str, list[Best]]
    overall, breakdown = [], []
    for pair in pairs:
        for name, rho in SMALL_BUDGETS.items():
            small[name] += _at_budget(pair, name, rho, missing)
        overall += _overall(pair, missing)
        breakdown += _breakdown(pair, missing)
        missing += _grid(pair)
    return PaperTables(small, overall, breakdown, missing)


def _evaluated(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.results]


def best_of(pair: Pair, baseline: Row, candidates: Sequence[Row]) -> Best | None:
    """The highest sum over the seeds shared with the baseline; the earlier method where two are equal."""
    compared = []
    for row in candidates:
        shared = sorted(baseline.results.keys() & row.results.keys())
        if shared:
            compared.append((row, shared, _values(row, shared)))
    if not compared:
        return None
    row, shared, value = max(compared, key=lambda one: one[2]["sum"])
    differences = {} if row is baseline else _differences(baseline, row)
    return Best(pair, _values(baseline, shared), row, value, differences, len(compared), len(shared))


def _values(row: Row, seeds: Sequence[int]) -> dict[str, float]:
    return {name: mean.value for name, mean in mean_accuracies([row.results[seed] for seed in seeds]).items()}


def _at_budget(pair: Pair, name: str, rho: float, missing: list[str]) -> list[Best]:
    rows = [row for row in _evaluated(pair.methods) if row.rho is not None and math.isclose(row.rho, rho)]
    place = f"{name} (ρ = {rho:g}), {pair.title}"
    random = [row for row in rows if row.method == "random"]
    if not random:
        missing.append(f"{place}: not shown, no evaluated random run at this ρ.")
        return []
    found = []
    for baseline in random:
        rivals = [row for row in rows if row.budget == baseline.budget]
        best = best_of(pair, baseline, rivals)
        if best is None or best.num_candidates < 2:
            missing.append(f"{place}: not shown, no method beside random with its seeds.")
        else:
            found.append(best)
    if found:
        absent = [method for method in PAPER_METHODS if method not in {row.method for row in rows}]
        if absent:
            missing.append(f"{place}: shown without {_titles(absent)}.")
    return found


def _overall(pair: Pair, missing: list[str]) -> list[Best]:
    full, rows = _evaluated(pair.full), _evaluated(pair.methods)
    place = f"Table 4, {pair.title}"
    if not full:
        missing.append(f"{place}: not shown, no evaluated run on all of the data (method full).")
        return []
    best = best_of(pair, full[0], rows)
    if best is None:
        missing.append(f"{place}: not shown, no method with a seed of the full run.")
        return []
    if pair.zero_shot is None or not pair.zero_shot.accuracies:
        missing.append(f"{place}: shown without the untuned model, which no run evaluated.")
    return [best]


def _breakdown(pair: Pair, missing: list[str]) -> list[Best]:
    """The method and ρ with the largest gain over random at the same ρ."""
    found = []
    for row in _evaluated(pair.methods):
        random = random_beside(row, pair)
        if row.method != "random" and random is not None and (best := best_of(pair, random, [row])) is not None:
            found.append(best)
    if not found:
        missing.append(f"Table 5, {pair.title}: not shown, no method and random run at the same ρ and seed.")
        return []
    return [max(found, key=lambda best: best.value["sum"] - best.baseline["sum"])]


def _grid(pair: Pair) -> list[str]:
    """Which (method, ρ) of the paper's grid have no run, a sentence a pair."""
    there = {(row.method, round(row.rho or 0, 6)) for row in _evaluated(pair.methods)}
    parts = []
    absent = {m: [rho for rho in PAPER_RHOS if (m, rho) not in there] for m in PAPER_METHODS}
    nowhere = [method for method in PAPER_METHODS if len(absent[method]) == len(PAPER_RHOS)]
    if nowhere:
        parts.append(f"{_titles(nowhere)} at any ρ")
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
    rows = [row for row in [*pair.full, *pair.methods] if row.rho == 1.0 and not is_weighted(row)]
    what = "sum" if any(row.results for row in rows) else "nll"
    values = {(f"{row.label}/{row.budget}", seed): value for row in rows for seed, value in _by_seed(row, what).items()}
    if len(values) < 2:
        return None
    gaps = [
        abs(value - base)
        for row in rows
        for other in rows
        if row.method == "random" and other is not row
        for seed, base in _by_seed(row, what).items()
        if (value := _by_seed(other, what).get(seed)) is not None
    ]
    kept = {run.num_kept for row in rows for run in row.runs if run.num_kept is not None}
    notes = []
    spread = null_spread(values)
    if len(kept) > 1:
        notes.append(f"the training sets differ in size ({min(kept):,} to {max(kept):,} examples: some were set aside)")
    if spread.num_methods > 1 and spread.over_methods < 1e-9:
        notes.append("runs of one seed came out the same to the last item, so the seeds are all the noise there is")
    if spread.num_seeds == 1:
        notes.append("one seed only: what another seed would change isn't in it")
    names = sorted({row.method for row in rows}, key=method_order)
    return Null(pair, names, what, spread, max(gaps, default=math.nan), "; ".join(notes))


def _by_seed(row: Row, what: str) -> dict[int, float]:
    if what == "nll":
        return row.measured("nll")
    return {
        seed: sum(score.accuracy.value for score in result.benchmarks) for seed, result in sorted(row.results.items())
    }


def is_weighted(row: Row) -> bool:
    """Whether the examples of a row's runs count unequally, or it trains for a part of the steps."""
    method = row.runs[0].settings["method"]
    return bool((method.get("weighting") or {}).get("enabled")) or method.get("scope") == "full"
