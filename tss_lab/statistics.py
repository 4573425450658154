"""What a reader may conclude from numbers: intervals, rank statistics, effective sizes. numpy and scipy only.

scipy is imported by the function that needs it, so that a bad setting is answered without waiting for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tss_lab.types import BoolArray, Estimate, FloatArray

LEVEL = 0.95
"""Coverage of every interval that is shown."""


def interval(estimate: Estimate, level: float = LEVEL) -> tuple[float, float]:
    """Normal confidence interval around an estimate."""
    from scipy.stats import norm

    half = float(norm.ppf(0.5 + level / 2)) * estimate.standard_error
    return estimate.value - half, estimate.value + half


def wilson_interval(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share, in [0, 1]; of positive width for 0 and n successes, unlike the normal one."""
    from scipy.stats import binomtest

    found = binomtest(successes, n).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def share_difference(
    first: tuple[int, int], second: tuple[int, int], level: float = LEVEL
) -> tuple[float, float, float]:
    """First share − second share, and Newcombe's interval of it (his method 10, from Wilson's two intervals).

    Each share is (successes, n), n at least 1; the interval lies in [−1, 1] and has a width for 0 and n successes too.
    """
    shares = [successes / n for successes, n in (first, second)]
    (low_1, high_1), (low_2, high_2) = (wilson_interval(successes, n, level) for successes, n in (first, second))
    difference = shares[0] - shares[1]
    low = difference - math.hypot(shares[0] - low_1, high_2 - shares[1])
    return difference, low, difference + math.hypot(high_1 - shares[0], shares[1] - low_2)


def holm(p_T: npt.ArrayLike) -> FloatArray:
    """Holm's p-values of T tests, each in the order it was given: (T,). Below 0.05, few of them are wrong together."""
    p = np.asarray(p_T, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def accuracy_interval(accuracy: Estimate, level: float = LEVEL) -> tuple[float, float]:
    """Interval of an accuracy in percent: the normal one, or Wilson's where all items are right or all wrong."""
    if accuracy.n and accuracy.value in (0.0, 100.0) and not accuracy.standard_error > 0:
        low, high = wilson_interval(round(accuracy.value / 100 * accuracy.n), accuracy.n, level)
        return 100 * low, 100 * high
    low, high = interval(accuracy, level)
    return max(low, 0.0), min(high, 100.0)


def spearman(first_N: npt.ArrayLike, second_N: npt.ArrayLike) -> float:
    """Rank correlation, ties at their mean rank; NaN where a side doesn't vary or there are fewer than two rows.

    Raises ValueError when the sides differ in length.
    """
    first, second = np.asarray(first_N, dtype=np.float64), np.asarray(second_N, dtype=np.float64)
    if len(first) != len(second):
        raise ValueError(f"a correlation needs as many values on both sides, got {len(first)} and {len(second)}")
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


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
    squares = np.sum(weight_M**2)
    return float(weight_M.sum() ** 2 / squares) if squares else 0.0


def kept_share_by_group(group_N: Iterable[str], kept_N: BoolArray) -> list[tuple[str, int, int]]:
    """(group, kept, all) for each group, highest kept share first, then by name."""
    groups = list(group_N)
    kept = Counter(group for group, is_kept in zip(groups, kept_N.tolist(), strict=True) if is_kept)
    rows = [(group, kept[group], count) for group, count in Counter(groups).items()]
    return sorted(rows, key=lambda row: (-row[1] / row[2], row[0]))
