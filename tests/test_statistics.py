"""Statistics by hand, and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx
from scipy import stats

from tss_lab.statistics import (
    accuracy_interval,
    auc,
    effective_size,
    interval,
    kept_share_by_group,
    spearman,
    wilson_interval,
)
from tss_lab.types import Estimate

numbers = st.lists(st.integers(-5, 5).map(float), min_size=3, max_size=30)


def test_mean_and_standard_error_by_hand():
    """1, 2, 6: mean 3, variance (4 + 1 + 9)/2 = 7, error √(7/3)."""
    estimate = Estimate.of_mean(np.array([1.0, 2.0, 6.0]))
    assert (estimate.value, estimate.standard_error, estimate.n) == approx((3.0, math.sqrt(7 / 3), 3))
    assert math.isnan(Estimate.of_mean(np.array([1.0])).standard_error)
    assert math.isnan(Estimate.of_mean(np.array([])).value)


def test_interval_is_the_normal_one():
    assert interval(Estimate(10.0, 1.0, 100)) == approx((10 - 1.959964, 10 + 1.959964))


@pytest.mark.parametrize(("successes", "n"), [(0, 40), (40, 40), (7, 20)])
def test_wilson_interval_is_where_the_score_test_is_just_rejected(successes, n):
    """At each bound p the share is z standard errors of p away: (share − p)² = z²·p(1 − p)/n."""
    z, share = 1.959964, successes / n
    for bound in wilson_interval(successes, n):
        assert (share - bound) ** 2 == approx(z**2 * bound * (1 - bound) / n, abs=1e-6)
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= share <= high <= 1
    assert high - low > 0.05


def test_accuracy_interval_is_wilsons_only_without_spread():
    assert accuracy_interval(Estimate(0.0, 0.0, 40)) == approx((0.0, 8.762), abs=1e-3)
    assert accuracy_interval(Estimate(50.0, 10.0, 26)) == approx((50 - 19.59964, 50 + 19.59964))


def test_spearman_by_hand():
    """Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5/4, variances 4.5/4 and 5/4."""
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == approx(4.5 / np.sqrt(4.5 * 5))
    assert spearman([1, 2, 3], [3, 1, 2]) == approx(-0.5)


def test_spearman_undefined_is_nan_and_unequal_lengths_are_refused():
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(spearman([1], [2]))
    with pytest.raises(ValueError, match="as many values"):
        spearman([1, 2], [1, 2, 3])


def test_auc_by_hand():
    """Positives 3 and 1 against negatives 2 and 1: wins 1, 1, 0 and a tie: 2.5 of 4."""
    estimate = auc([3.0, 1.0, 2.0, 1.0], [True, True, False, False])
    assert estimate.value == approx(2.5 / 4)
    # DeLong: positives beat 1 and 1/4 of the negatives, negatives are beaten by 1/2 and 3/4 of the positives.
    assert estimate.standard_error == approx(math.sqrt(np.var([1, 0.25], ddof=1) / 2 + np.var([0.5, 0.75], ddof=1) / 2))
    assert math.isnan(auc([1.0, 2.0], [True, True]).value)


@given(numbers, numbers)
def test_auc_is_the_mann_whitney_statistic(positive, negative):
    estimate = auc([*positive, *negative], [True] * len(positive) + [False] * len(negative))
    reference = stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
    assert estimate.value == approx(reference)


def test_effective_size_by_hand():
    """Equal weights count fully; (1 + 3)²/(1 + 9) = 1.6."""
    assert effective_size(np.full(7, 0.3)) == approx(7)
    assert effective_size(np.array([1.0, 3.0])) == approx(1.6)
    assert effective_size(np.zeros(2)) == 0.0


def test_kept_share_is_sorted():
    kept = np.array([True, True, False, False, False])
    assert kept_share_by_group(["b", "a", "a", "c", "c"], kept) == [("b", 1, 1), ("a", 1, 2), ("c", 0, 2)]
