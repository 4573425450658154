"""Two models on the same items, by hand."""

import math

import numpy as np
import pytest
from made_up_results import result
from pytest import approx

from tss_lab.report.paired import compare_results, paired_difference


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
    assert [(one.interval, one.is_unchanged) for one in compare_results(same, same)] == [(None, True)] * 3
    a, b, total = compare_results(same, result({"a": [False, True], "b": [True, True]}))
    assert a.interval == approx((-1.959964 * 100, 1.959964 * 100))
    assert b.interval is None
    assert total.interval == a.interval


def test_other_items_are_not_compared():
    with pytest.raises(ValueError, match="same items"):
        compare_results(result({"a": [True, False]}), result({"a": [True, False, True]}))
