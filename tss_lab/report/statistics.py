"""Pure functions from numbers to what a reader may conclude from them. numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tss_lab.types import BoolArray, Estimate, EvaluationResult, FloatArray

LEVEL = 0.95
"""Coverage of every interval that is shown."""


def interval(estimate: Estimate, level: float = LEVEL) -> tuple[float, float]:
    """Normal confidence interval around an estimate."""
    half = NormalDist().inv_cdf(0.5 + level / 2) * estimate.standard_error
    return estimate.value - half, estimate.value + half


def paired_difference(before_N: FloatArray, after_N: FloatArray) -> Estimate:
    """Mean of ``after − before`` on the same N observations, with the standard error of a mean.

    For right/wrong items this is McNemar's variance, up to the factor N/(N−1).
    """
    if len(before_N) != len(after_N):
        raise ValueError(f"a paired comparison needs the same observations, got {len(before_N)} and {len(after_N)}")
    return Estimate.of_mean(np.asarray(after_N, dtype=np.float64) - np.asarray(before_N, dtype=np.float64))


def paired_bootstrap_interval(
    before_N: FloatArray, after_N: FloatArray, level: float = LEVEL, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean of ``after − before``, resampling observations as pairs."""
    difference_N = np.asarray(after_N, dtype=np.float64) - np.asarray(before_N, dtype=np.float64)
    generator = np.random.default_rng(seed)
    count = len(difference_N)
    means = np.array([difference_N[generator.integers(0, count, count)].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


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
    def interval(self) -> tuple[float, float] | None:
        """95 % interval; None where the items show no spread, as when none changed: they don't say how sure that is."""
        if not self.gained + self.lost or not self.difference.standard_error > 0:
            return None
        return interval(self.difference)


def wilson_interval(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share, in [0, 1]; of positive width for 0 and n successes, unlike the normal one."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def accuracy_interval(accuracy: Estimate, level: float = LEVEL) -> tuple[float, float]:
    """Interval of an accuracy in percent: the normal one, or Wilson's where all items are right or all wrong."""
    if accuracy.n and accuracy.value in (0.0, 100.0) and not accuracy.standard_error > 0:
        low, high = wilson_interval(round(accuracy.value / 100 * accuracy.n), accuracy.n, level)
        return 100 * low, 100 * high
    low, high = interval(accuracy, level)
    return max(low, 0.0), min(high, 100.0)


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


def auc(score_N: npt.ArrayLike, positive_N: npt.ArrayLike) -> Estimate:
    """Probability that a positive scores above a negative (ties count half), with DeLong's standard error.

    ``n`` counts positives and negatives together; NaN where one of the two is missing.
    """
    score_N = np.asarray(score_N, dtype=np.float64)
    positive_N = np.asarray(positive_N, dtype=np.bool_)
    above, below = score_N[positive_N], score_N[~positive_N]
    if not len(above) or not len(below):
        return Estimate(math.nan, math.nan, len(score_N))
    won_by_positive = _share_beaten(above, below)  # of the negatives, the share each positive beats
    lost_by_negative = 1.0 - _share_beaten(below, above)  # of the positives, the share that beats each negative
    if len(above) < 2 or len(below) < 2:
        return Estimate(float(won_by_positive.mean()), math.nan, len(score_N))
    variance = won_by_positive.var(ddof=1) / len(above) + lost_by_negative.var(ddof=1) / len(below)
    return Estimate(float(won_by_positive.mean()), math.sqrt(float(variance)), len(score_N))


def _share_beaten(values: FloatArray, others: FloatArray) -> FloatArray:
    """For each value the share of ``others`` below it, ties counted half."""
    others = np.sort(others)
    lower = np.searchsorted(others, values, side="left")
    not_above = np.searchsorted(others, values, side="right")
    share: FloatArray = (lower + not_above) / (2.0 * len(others))
    return share


def effective_size(weight_M: FloatArray) -> float:
    """(Σw)² / Σw²: as many equally weighted examples would be as uneven; 0 without any weight."""
    squares = float(np.sum(weight_M**2))
    return float(weight_M.sum()) ** 2 / squares if squares else 0.0


def kept_share_by_group(group_N: npt.NDArray[np.object_], kept_N: BoolArray) -> list[tuple[str, int, int]]:
    """(group, kept, all) for each group, highest kept share first, then by name."""
    rows = []
    for group in sorted(set(group_N.tolist())):
        mine = group_N == group
        rows.append((str(group), int(kept_N[mine].sum()), int(mine.sum())))
    return sorted(rows, key=lambda row: (-row[1] / row[2], row[0]))
