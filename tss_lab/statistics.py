"""Spearman's rank correlation, the one number that several rooms compare rankings with."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


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
