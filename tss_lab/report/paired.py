"""Two models on the same items, under one training seed or several. numpy and scipy only.

S seeds, N items. A difference between two methods is unsure for two reasons, the items and the seeds; both enter
its interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tss_lab.statistics import LEVEL, interval
from tss_lab.types import BoolArray, Estimate, EvaluationResult, FloatArray, IntArray

_NO_SPREAD = 1e-18
"""A variance below this is rounding."""


def paired_difference(before_N: FloatArray, after_N: FloatArray) -> Estimate:
    """Mean of ``after − before`` on the same N observations, with the standard error of a mean.

    For right/wrong items this is McNemar's variance, up to the factor N/(N−1).
    """
    if len(before_N) != len(after_N):
        raise ValueError(f"a paired comparison needs the same observations, got {len(before_N)} and {len(after_N)}")
    return Estimate.of_mean(np.asarray(after_N, dtype=np.float64) - np.asarray(before_N, dtype=np.float64))


@dataclass(frozen=True)
class ItemComparison:
    """Two models on the same items of one benchmark, or on all of them (``name`` = ``sum``).

    ``difference`` is in percent points, after − before; ``gained`` items only the second model has right,
    ``lost`` only the first.
    """

    name: str
    display_name: str
    difference: Estimate
    gained: int
    lost: int

    @property
    def is_unchanged(self) -> bool:
        """Whether both models have the very same items right."""
        return not self.gained + self.lost

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval; None where the items show no spread, as when none changed: they don't say how sure that is."""
        if self.is_unchanged or not self.difference.standard_error > 0:
            return None
        return interval(self.difference)


def compare_results(before: EvaluationResult, after: EvaluationResult) -> list[ItemComparison]:
    """Paired differences for each benchmark, and last for their sum, whose variance is the sum of theirs.

    Raises ValueError when the two results aren't over the same items.
    """
    after_correct_N = correct_in_order(after, before)
    compared = []
    for score in before.benchmarks:
        mine = before.item_benchmark_N == score.name
        old, new = before.correct_N[mine], after_correct_N[mine]
        difference = paired_difference(100.0 * old.astype(np.float64), 100.0 * new.astype(np.float64))
        compared.append(
            ItemComparison(score.name, score.display_name, difference, int(np.sum(new & ~old)), int(np.sum(old & ~new)))
        )
    total = Estimate(
        sum(one.difference.value for one in compared),
        math.sqrt(sum(one.difference.standard_error**2 for one in compared)),
        sum(one.difference.n for one in compared),
    )
    gained, lost = sum(one.gained for one in compared), sum(one.lost for one in compared)
    return [*compared, ItemComparison("sum", before.total_name, total, gained, lost)]


def correct_in_order(result: EvaluationResult, reference: EvaluationResult) -> BoolArray:
    """Which items ``result`` has right, (N,), in the reference's order of items.

    Raises ValueError when the two results aren't over the same items.
    """
    position = {item: index for index, item in enumerate(result.item_id_N)}
    if set(position) != set(reference.item_id_N) or len(result.item_id_N) != len(reference.item_id_N):
        raise ValueError("the two results are not over the same items, so they can't be compared item by item")
    correct_N: BoolArray = result.correct_N[np.array([position[item] for item in reference.item_id_N], dtype=np.int64)]
    return correct_N


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds. ``spread`` is the standard deviation over them (NaN for one), ``item_error`` the
    standard error over the items (or examples) on which each seed's model was measured."""

    value: float
    spread: float
    item_error: float
    num_seeds: int
    num_items: int


@dataclass(frozen=True, eq=False)
class HeldOutLosses:
    """A model's summed negative log-likelihood of each held-out output, in nats: (N,)."""

    example_id_N: npt.NDArray[np.object_]
    num_tokens_N: IntArray
    nll_N: FloatArray

    def in_order_of(self, reference: HeldOutLosses) -> FloatArray:
        """``nll_N`` in the reference's order of examples. Raises ValueError when they aren't the same."""
        position = {example: index for index, example in enumerate(self.example_id_N)}
        if set(position) != set(reference.example_id_N) or len(self.example_id_N) != len(reference.example_id_N):
            raise ValueError("the held-out losses are not over the same examples, so they can't be paired")
        return self.nll_N[np.array([position[example] for example in reference.example_id_N], dtype=np.int64)]


@dataclass(frozen=True)
class SeedDifference:
    """A method against another on the same items and the same seeds, or their sum (``name`` = ``sum``).

    ``gained`` and ``lost`` count items over all seeds; the 95 % ``interval`` is None where nothing shows a
    spread, as when no item changed. ``spread`` is the standard deviation of the seeds' differences.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    spread: float
    gained: int
    lost: int
    num_seeds: int


@dataclass(frozen=True)
class NullSpread:
    """How far runs on one training set lie apart.

    ``over_methods``: standard deviation among runs of the same seed, pooled over seeds. ``over_seeds``:
    that of the seeds' means. ``over_all``: that of all runs. NaN where there aren't two to compare.
    """

    num_runs: int
    num_methods: int
    num_seeds: int
    mean: float
    over_methods: float
    over_seeds: float
    over_all: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> float:
    """Standard deviation with n − 1; NaN for fewer than two values."""
    return float(np.std(np.asarray(values, dtype=np.float64), ddof=1)) if len(values) > 1 else math.nan


def mean_accuracies(results: Sequence[EvaluationResult]) -> dict[str, SeedMean]:
    """Benchmark -> mean accuracy over seeds, in percent; last ``sum``.

    The item error is that of the mean over items of the share of seeds that have an item right. Raises
    ValueError when the results aren't over the same items.
    """
    first = results[0]
    correct_SN = np.stack([correct_in_order(one, first) for one in results])
    means: dict[str, SeedMean] = {}
    for score in first.benchmarks:
        mine_SM = 100.0 * correct_SN[:, first.item_benchmark_N == score.name]
        over_items = Estimate.of_mean(mine_SM.mean(axis=0))
        means[score.name] = SeedMean(
            over_items.value, spread(mine_SM.mean(axis=1).tolist()), over_items.standard_error, len(results),
            over_items.n,
        )  # fmt: skip
    sums = [sum(score.accuracy.value for score in one.benchmarks) for one in results]
    error = math.sqrt(sum(mean.item_error**2 for mean in means.values()))
    items = sum(mean.num_items for mean in means.values())
    return means | {"sum": SeedMean(float(np.mean(sums)), spread(sums), error, len(results), items)}


def mean_measure(estimates: Sequence[Estimate]) -> SeedMean:
    """Mean over seeds of a measure whose items aren't at hand: its item error is the mean of the seeds' errors.

    The seeds are measured on the same examples, so averaging them doesn't make the examples more.
    """
    values = [one.value for one in estimates]
    errors = float(np.mean([one.standard_error for one in estimates]))
    return SeedMean(float(np.mean(values)), spread(values), errors, len(values), max(one.n for one in estimates))


def difference_over_seeds(pairs: Sequence[tuple[EvaluationResult, EvaluationResult]]) -> list[SeedDifference]:
    """Paired differences, after − before, of each benchmark and last of their sum; one pair a seed.

    The standard error is the root of the squares' sum of the one over items (of an item's mean difference
    over seeds) and the one over seeds; with one seed, of the items alone. The two share what is neither
    item's nor seed's, so the interval is a little too wide rather than too narrow. Student's t with
    Satterthwaite's degrees of freedom. Raises ValueError when the pairs aren't all over the same items.
    """
    compared = [compare_results(before, after) for before, after in pairs]
    first = pairs[0][0]
    before_N = np.mean([correct_in_order(before, first) for before, _ in pairs], axis=0)
    after_N = np.mean([correct_in_order(after, first) for _, after in pairs], axis=0)
    differences: list[SeedDifference] = []
    squares: list[float] = []
    counts: list[int] = []
    for index, name in enumerate([score.name for score in first.benchmarks] + ["sum"]):
        mine = [one[index] for one in compared]
        if name == "sum":
            square, count = math.fsum(squares), sum(counts)
        else:
            of_benchmark = first.item_benchmark_N == name
            over_items = paired_difference(100.0 * before_N[of_benchmark], 100.0 * after_N[of_benchmark])
            square, count = over_items.standard_error**2, over_items.n
            squares.append(square)
            counts.append(count)
        values = [one.difference.value for one in mine]
        gained, lost = sum(one.gained for one in mine), sum(one.lost for one in mine)
        bounds = two_source_interval(float(np.mean(values)), square, count, spread(values), len(values))
        differences.append(
            SeedDifference(
                name,
                float(np.mean(values)),
                bounds if gained + lost else None,
                spread(values),
                gained,
                lost,
                len(values),
            )
        )
    return differences


def difference_of_losses(pairs: Sequence[tuple[HeldOutLosses, HeldOutLosses]]) -> SeedDifference:
    """The held-out loss a token, after − before, paired by example and seed; one pair a seed.

    The interval is that of ``difference_over_seeds``; ``gained`` and ``lost`` are 0. Raises ValueError when
    the pairs aren't all over the same examples.
    """
    first = pairs[0][0]
    change_SN = np.stack([after.in_order_of(first) - before.in_order_of(first) for before, after in pairs])
    over_examples = Estimate.of_ratio(change_SN.mean(axis=0), first.num_tokens_N)
    values = [Estimate.of_ratio(change_N, first.num_tokens_N).value for change_N in change_SN]
    bounds = two_source_interval(
        over_examples.value, over_examples.standard_error**2, over_examples.n, spread(values), len(values)
    )
    return SeedDifference("nll", over_examples.value, bounds, spread(values), 0, 0, len(values))


def two_source_interval(
    value: float, item_square: float, num_items: int, seed_spread: float, num_seeds: int, level: float = LEVEL
) -> tuple[float, float] | None:
    """Interval of a mean over items and seeds; None where neither shows any spread.

    ``item_square`` is the squared standard error over items, ``seed_spread`` the standard deviation over
    seeds (NaN for one seed: then the items are all there is, and their interval is the normal one).
    """
    from scipy.stats import t

    seed_square = seed_spread**2 / num_seeds if num_seeds > 1 else 0.0
    if not item_square + seed_square > _NO_SPREAD:
        return None
    if seed_square > 0:
        degrees = (item_square + seed_square) ** 2 / (
            item_square**2 / max(num_items - 1, 1) + seed_square**2 / (num_seeds - 1)
        )
    else:
        degrees = math.inf
    half = float(t.ppf(0.5 + level / 2, degrees)) * math.sqrt(item_square + seed_square)
    return value - half, value + half


def null_spread(value_of: Mapping[tuple[str, int], float]) -> NullSpread:
    """Spread of runs on one training set; keys are (method, seed)."""
    seeds = sorted({seed for _, seed in value_of})
    of_seed = [[value for (_, mine), value in value_of.items() if mine == seed] for seed in seeds]
    freedom = sum(len(values) - 1 for values in of_seed)
    squares = sum(float(np.sum((np.array(values) - np.mean(values)) ** 2)) for values in of_seed)
    values = list(value_of.values())
    return NullSpread(
        len(values), len({method for method, _ in value_of}), len(seeds), float(np.mean(values)),
        math.sqrt(squares / freedom) if freedom else math.nan,
        spread([float(np.mean(values)) for values in of_seed]), spread(values), min(values), max(values),
    )  # fmt: skip
