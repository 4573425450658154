"""Statistics by hand, and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx
from scipy import stats

from tss_lab.report.statistics import (
    accuracy_interval,
    auc,
    compare_results,
    effective_size,
    interval,
    kept_share_by_group,
    paired_bootstrap_interval,
    paired_difference,
    wilson_interval,
)
from tss_lab.types import BenchmarkScore, Estimate, EvaluationResult

numbers = st.lists(st.integers(-5, 5).map(float), min_size=3, max_size=30)


def result(correct_by_benchmark, order=None):
    names, items, correct, scores = [], [], [], []
    for name, values in correct_by_benchmark.items():
        scores.append(BenchmarkScore(name, name.upper(), Estimate.of_mean(100.0 * np.array(values, dtype=float))))
        names += [name] * len(values)
        items += [f"{name}/{index}" for index in range(len(values))]
        correct += values
    order = np.arange(len(items)) if order is None else np.array(order)
    return EvaluationResult(
        "label", "SUM", tuple(scores), Estimate(0.0, 0.0, len(items)),
        np.array(items, dtype=object)[order], np.array(names, dtype=object)[order],
        np.array(correct, dtype=bool)[order],
    )  # fmt: skip


def test_mean_and_standard_error_by_hand():
    """1, 2, 6: mean 3, variance (4 + 1 + 9)/2 = 7, error √(7/3)."""
    estimate = Estimate.of_mean(np.array([1.0, 2.0, 6.0]))
    assert (estimate.value, estimate.standard_error, estimate.n) == approx((3.0, math.sqrt(7 / 3), 3))
    assert math.isnan(Estimate.of_mean(np.array([1.0])).standard_error)
    assert math.isnan(Estimate.of_mean(np.array([])).value)


def test_interval_is_the_normal_one():
    assert interval(Estimate(10.0, 1.0, 100)) == approx((10 - 1.959964, 10 + 1.959964))


def test_paired_difference_is_mcnemar():
    """2 gained, 1 lost of 10: difference 1/10; McNemar's variance (3 − 1/10)/100, times 10/9 for the sample."""
    before = np.array([0, 0, 1, 1, 1, 1, 1, 0, 0, 0], dtype=float)
    after = np.array([1, 1, 0, 1, 1, 1, 1, 0, 0, 0], dtype=float)
    estimate = paired_difference(before, after)
    assert estimate.value == approx(0.1)
    assert estimate.standard_error == approx(math.sqrt((3 - 0.1) / 100 * 10 / 9))


def test_paired_difference_refuses_other_lengths():
    with pytest.raises(ValueError, match="same observations"):
        paired_difference(np.zeros(2), np.zeros(3))


def test_bootstrap_interval_agrees_with_the_normal_one():
    rng = np.random.default_rng(1)
    before = rng.normal(size=400)
    after = before + rng.normal(0.3, 1.0, size=400)
    bootstrap = paired_bootstrap_interval(before, after)
    assert bootstrap == approx(interval(paired_difference(before, after)), abs=0.02)
    assert paired_bootstrap_interval(before, before + 2.0) == approx((2.0, 2.0))


def test_two_results_are_compared_item_by_item():
    """Benchmark a: +1 of 4 items; b: one gained and one lost of 2. The order of the items doesn't matter."""
    before = result({"a": [True, False, False, False], "b": [True, False]})
    after = result({"a": [True, True, False, False], "b": [False, True]}, order=[5, 3, 1, 0, 2, 4])
    a, b, total = compare_results(before, after)
    assert (a.difference.value, a.gained, a.lost, a.difference.n) == (25.0, 1, 0, 4)
    assert (b.difference.value, b.gained, b.lost) == (0.0, 1, 1)
    assert total.difference.value == approx(25.0)
    assert total.difference.standard_error == approx(math.hypot(25.0, 100.0))
    assert (total.display_name, total.gained, total.lost, total.difference.n) == ("SUM", 2, 1, 6)


def test_no_interval_where_no_item_changed():
    same = result({"a": [True, False], "b": [True, True]})
    assert [one.interval for one in compare_results(same, same)] == [None, None, None]
    a, b, total = compare_results(same, result({"a": [False, True], "b": [True, True]}))
    assert a.interval == approx((-1.959964 * 100, 1.959964 * 100))
    assert b.interval is None
    assert total.interval == a.interval


def test_wilson_interval_against_scipy():
    for successes, n in ((0, 40), (40, 40), (7, 20)):
        reference = stats.binomtest(successes, n).proportion_ci(method="wilson")
        assert wilson_interval(successes, n) == approx((reference.low, reference.high))
    assert accuracy_interval(Estimate(0.0, 0.0, 40)) == approx((0.0, 8.762), abs=1e-3)
    assert accuracy_interval(Estimate(50.0, 10.0, 26)) == approx((50 - 19.59964, 50 + 19.59964))


def test_other_items_are_not_compared():
    with pytest.raises(ValueError, match="same items"):
        compare_results(result({"a": [True, False]}), result({"a": [True, False, True]}))


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
    groups = np.array(["b", "a", "a", "c", "c"], dtype=object)
    kept = np.array([True, True, False, False, False])
    assert kept_share_by_group(groups, kept) == [("b", 1, 1), ("a", 1, 2), ("c", 0, 2)]
