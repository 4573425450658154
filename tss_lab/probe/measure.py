"""How well a score tells two kinds of rows apart: pure functions of scores and labels.

Axes: P rows that should stand higher (their instruction is right, or matters), Q rows that should stand lower,
B bootstrap samples.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tss_lab.runs.probe import Auroc
from tss_lab.statistics import LEVEL
from tss_lab.types import BoolArray, FloatArray

RESAMPLES = 2000
FEWEST = 10
"""Rows (or groups of rows) of either kind below which no interval is given."""
_PERCENTILES = (50 * (1 - LEVEL), 50 * (1 + LEVEL))


def auroc(
    preference_N: FloatArray, is_above_N: BoolArray, seed: int, stratum_N: npt.NDArray[np.int64] | None = None
) -> Auroc:
    """AUROC of the rows that should stand higher, with an interval over rows.

    Args:
        stratum_N: where given, only rows of one stratum are compared, so that what differs between strata alone
            (length, category) can't move the value.
    """
    above_P, below_Q = np.flatnonzero(is_above_N), np.flatnonzero(~is_above_N)
    won_PQ, count_PQ = _compared(preference_N, above_P, below_Q, stratum_N)
    value = _ratio(won_PQ.sum(), count_PQ.sum())
    low, high = math.nan, math.nan
    if min(won_PQ.shape) >= FEWEST and count_PQ.any():
        rng = np.random.default_rng(seed)
        above_BP, below_BQ = _resampled(rng, len(above_P)), _resampled(rng, len(below_Q))
        low, high = _interval(_weighted(above_BP, won_PQ, below_BQ), _weighted(above_BP, count_PQ, below_BQ))
    return Auroc(value, low, high, len(above_P), len(below_Q))


def auroc_difference(
    first_N: FloatArray, second_N: FloatArray, is_above_N: BoolArray, group_N: npt.NDArray[np.int64], seed: int
) -> tuple[float, float, float]:
    """AUROC of the first preference minus that of the second on the same rows, and its interval over groups of rows."""
    above_P, below_Q = np.flatnonzero(is_above_N), np.flatnonzero(~is_above_N)
    gain_PQ = _compared(first_N, above_P, below_Q, None)[0] - _compared(second_N, above_P, below_Q, None)[0]
    value = _ratio(gain_PQ.sum(), gain_PQ.size)
    drawn = _drawn_groups(group_N, above_P, below_Q, seed)
    if drawn is None:
        return value, math.nan, math.nan
    above_BP, below_BQ = drawn
    return value, *_interval(_weighted(above_BP, gain_PQ, below_BQ), above_BP.sum(1) * below_BQ.sum(1))


def grouped_auroc(preference_N: FloatArray, is_above_N: BoolArray, group_N: npt.NDArray[np.int64], seed: int) -> Auroc:
    """AUROC with an interval over groups: rows that belong together (two of one input) are drawn together."""
    above_P, below_Q = np.flatnonzero(is_above_N), np.flatnonzero(~is_above_N)
    won_PQ, _ = _compared(preference_N, above_P, below_Q, None)
    value = _ratio(won_PQ.sum(), won_PQ.size)
    low, high = math.nan, math.nan
    drawn = _drawn_groups(group_N, above_P, below_Q, seed)
    if drawn is not None:
        above_BP, below_BQ = drawn
        low, high = _interval(_weighted(above_BP, won_PQ, below_BQ), above_BP.sum(1) * below_BQ.sum(1))
    return Auroc(value, low, high, len(above_P), len(below_Q))


def pairs_won(preference_N: FloatArray, is_above_N: BoolArray, group_N: npt.NDArray[np.int64]) -> tuple[float, int]:
    """(pairs in which the row that should stands higher, ties counted half; pairs), over groups with one of each."""
    won, count = 0.0, 0
    for group in np.unique(group_N):
        above, below = preference_N[(group_N == group) & is_above_N], preference_N[(group_N == group) & ~is_above_N]
        if len(above) == len(below) == 1:
            won += float(above[0] > below[0]) + 0.5 * float(above[0] == below[0])
            count += 1
    return won, count


def precision_at(preference_N: FloatArray, is_above_N: BoolArray, rho: float) -> float:
    """Share of rows of the first kind among the best round(ρ·N), at least one."""
    size = max(1, round(rho * len(preference_N)))
    best_M = np.argsort(-preference_N, kind="stable")[:size]
    return float(np.mean(is_above_N[best_M]))


def quantile_strata(value_N: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    """Which of ``count`` equally filled ranges each value falls into; equal values fall into one: (N,)."""
    value_N = np.asarray(value_N, dtype=np.float64)
    edges = np.unique(np.quantile(value_N, np.arange(1, count) / count))
    return np.asarray(np.searchsorted(edges, value_N, side="right"), dtype=np.int64)


def _compared(
    preference_N: FloatArray,
    above_P: npt.NDArray[np.int64],
    below_Q: npt.NDArray[np.int64],
    stratum_N: npt.NDArray[np.int64] | None,
) -> tuple[FloatArray, FloatArray]:
    """Comparisons won by the row above (ties half) and comparisons made: (P, Q) each."""
    difference_PQ = preference_N[above_P][:, None] - preference_N[below_Q][None, :]
    won_PQ = (difference_PQ > 0) + 0.5 * (difference_PQ == 0)
    count_PQ = np.ones_like(won_PQ)
    if stratum_N is not None:
        count_PQ = (stratum_N[above_P][:, None] == stratum_N[below_Q][None, :]).astype(np.float64)
    return won_PQ * count_PQ, count_PQ


def _resampled(rng: np.random.Generator, num: int) -> FloatArray:
    """How often each of ``num`` rows is drawn in each bootstrap sample: (B, num)."""
    return np.asarray(rng.multinomial(num, np.full(num, 1.0 / num), size=RESAMPLES), dtype=np.float64)


def _drawn_groups(
    group_N: npt.NDArray[np.int64], above_P: npt.NDArray[np.int64], below_Q: npt.NDArray[np.int64], seed: int
) -> tuple[FloatArray, FloatArray] | None:
    """How often each row is drawn with its group, (B, P) and (B, Q); None where either kind lies in too few groups."""
    if min(len(np.unique(group_N[above_P])), len(np.unique(group_N[below_Q]))) < FEWEST:
        return None
    names, place_N = np.unique(group_N, return_inverse=True)
    drawn_BG = _resampled(np.random.default_rng(seed), len(names))
    return drawn_BG[:, place_N[above_P]], drawn_BG[:, place_N[below_Q]]


def _weighted(above_BP: FloatArray, value_PQ: FloatArray, below_BQ: FloatArray) -> FloatArray:
    """Σ over pairs of the value times how often both rows were drawn: (B,)."""
    return np.asarray(np.sum((above_BP @ value_PQ) * below_BQ, axis=1))


def _interval(won_B: FloatArray, count_B: FloatArray) -> tuple[float, float]:
    value_B = won_B[count_B > 0] / count_B[count_B > 0]
    low, high = np.percentile(value_B, _PERCENTILES)
    return float(low), float(high)


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else math.nan
