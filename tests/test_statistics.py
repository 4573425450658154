"""Spearman's rank correlation by hand, and where it is undefined."""

import math

import numpy as np
import pytest

from tss_lab.statistics import spearman


def test_by_hand():
    """Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5/4, variances 4.5/4 and 5/4."""
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert spearman([1, 2, 3], [3, 1, 2]) == pytest.approx(-0.5)


def test_undefined_is_nan_and_unequal_lengths_are_refused():
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(spearman([1], [2]))
    with pytest.raises(ValueError, match="as many values"):
        spearman([1, 2], [1, 2, 3])
