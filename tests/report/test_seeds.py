"""Statistics over seeds, by hand and against scipy."""

import math

import numpy as np
import pytest
from made_up_results import result
from pytest import approx
from scipy import stats

from tss_lab.report.paired import (
    HeldOutLosses,
    difference_of_losses,
    difference_over_seeds,
    mean_accuracies,
    mean_measure,
    null_spread,
    two_source_interval,
)
from tss_lab.types import Estimate

BACKWARDS = slice(None, None, -1)


def test_means_and_both_errors_by_hand():
    """Seeds have 1 and 2 of 4 right: 25 and 50 %. Mean 37.5, SD 25/√2; the items' shares over seeds are
    1, ½, 0, 0, of variance (0.625² + 0.125² + 2·0.375²)/3 = 0.22917, so an error of 100·√(0.22917/4).
    """
    means = mean_accuracies([result({"a": [1, 0, 0, 0]}), result({"a": [1, 1, 0, 0]}, order=BACKWARDS)])
    assert means["a"].value == approx(37.5)
    assert means["a"].spread == approx(25 / math.sqrt(2))
    assert means["a"].item_error == approx(100 * math.sqrt(0.6875 / 3 / 4))
    assert (means["a"].num_seeds, means["a"].num_items) == (2, 4)
    assert means["sum"] == means["a"]


def test_a_single_seed_has_no_spread():
    means = mean_accuracies([result({"a": [1, 0], "b": [1, 1]})])
    assert means["sum"].value == approx(150)
    assert means["sum"].item_error == approx(50)  # a's: 100·√(½/2); b's is 0
    assert math.isnan(means["sum"].spread)


def test_difference_of_one_seed_is_the_paired_one():
    """One gained of 4: +25, error 100·√(¼/4) = 25; the interval is the normal one."""
    before, after = result({"a": [1, 0, 0, 0]}), result({"a": [1, 1, 0, 0]}, order=BACKWARDS)
    one, total = difference_over_seeds([(before, after)])
    assert (one.value, one.gained, one.lost, one.num_seeds) == (25.0, 1, 0, 1)
    assert one.interval == approx((25 - 1.959964 * 25, 25 + 1.959964 * 25))
    assert total.name == "sum"
    assert total.interval == approx(one.interval)


def test_difference_of_two_seeds_holds_items_and_seeds():
    """Differences of the seeds: +25 and +50, mean 37.5, SD 17.68, error over seeds 12.5. Items' mean
    differences ½, 1, 0, 0: variance 0.6875/3, error 100·√(0.22917/4) = 23.94. Together √(23.94² + 12.5²) with
    (573 + 156.25)²/(573²/3 + 156.25²/1) = 3.97 degrees of freedom.
    """
    nothing = result({"a": [0, 0, 0, 0]})
    one, _ = difference_over_seeds([(nothing, result({"a": [0, 1, 0, 0]})), (nothing, result({"a": [1, 1, 0, 0]}))])
    items, seeds = 1e4 * 0.6875 / 3 / 4, 12.5**2
    degrees = (items + seeds) ** 2 / (items**2 / 3 + seeds**2)
    half = stats.t.ppf(0.975, degrees) * math.sqrt(items + seeds)
    assert (one.value, one.gained, one.lost) == (37.5, 3, 0)
    assert one.spread == approx(25 / math.sqrt(2))
    assert degrees == approx(3.97, abs=0.01)
    assert one.interval == approx((37.5 - half, 37.5 + half), rel=1e-4)


def test_no_item_changed_has_no_interval():
    same = result({"a": [1, 0], "b": [1, 1]})
    for one in difference_over_seeds([(same, same), (same, same)]):
        assert (one.value, one.interval, one.gained + one.lost) == (0.0, None, 0)


def test_other_items_are_refused():
    with pytest.raises(ValueError, match="same items"):
        mean_accuracies([result({"a": [1, 0]}), result({"a": [1, 0, 1]})])


def losses(nll, tokens=(10, 10, 20), names="abc"):
    return HeldOutLosses(np.array(list(names), dtype=object), np.array(tokens), np.array(nll, dtype=np.float64))


def test_a_loss_is_paired_by_example():
    """Changes −2, −4 and −2 nats on 10, 10 and 20 tokens: −0.2 a token. Residuals 0, −2 and 2, so the error is
    √(3/2·8)/40; the other order of the examples changes nothing."""
    before, after = losses([30, 30, 60]), losses([58, 26, 28], (20, 10, 10), "cba")
    one = difference_of_losses([(before, after)])
    assert one.value == approx(-0.2)
    assert one.interval == approx((-0.2 - 1.959964 * math.sqrt(12) / 40, -0.2 + 1.959964 * math.sqrt(12) / 40))
    assert (one.num_seeds, one.gained, one.lost) == (1, 0, 0)
    assert difference_of_losses([(before, before)]).interval is None


def test_a_loss_is_paired_by_seed():
    """−0.1 and −0.3 on every token: mean −0.2, error 0.1 over seeds, t with one degree of freedom 12.706."""
    before = losses([30, 30, 60])
    one = difference_of_losses([(before, losses([29, 29, 58])), (before, losses([27, 27, 54]))])
    assert one.value == approx(-0.2)
    assert one.interval == approx((-0.2 - 1.2706, -0.2 + 1.2706), abs=1e-4)


def test_losses_of_other_examples_are_refused():
    with pytest.raises(ValueError, match="same examples"):
        difference_of_losses([(losses([1, 1, 1]), losses([1, 1, 1], names="abd"))])


def test_error_of_a_measure_does_not_shrink_with_seeds():
    mean = mean_measure([Estimate(2.0, 0.3, 8), Estimate(3.0, 0.5, 8)])
    assert (mean.value, mean.item_error, mean.num_items) == approx((2.5, 0.4, 8))
    assert mean.spread == approx(math.sqrt(0.5))


def test_without_any_spread_there_is_no_interval():
    assert two_source_interval(1.0, 0.0, 10, 0.0, 3) is None
    assert two_source_interval(1.0, math.nan, 1, math.nan, 1) is None


def test_null_spread_by_hand():
    """Seed 0: 10 and 12, seed 1: 11 and 15. Within seeds: (2 + 8)/2 = 5; seed means 11 and 13; all: 14/3."""
    spread = null_spread({("random", 0): 10.0, ("tss", 0): 12.0, ("random", 1): 11.0, ("tss", 1): 15.0})
    assert (spread.num_runs, spread.num_methods, spread.num_seeds, spread.mean) == (4, 2, 2, 12.0)
    assert spread.over_methods == approx(math.sqrt(5))
    assert spread.over_seeds == approx(math.sqrt(2))
    assert spread.over_all == approx(math.sqrt(14 / 3))
    assert (spread.lowest, spread.highest) == (10.0, 15.0)
    assert math.isnan(null_spread({("random", 0): 1.0, ("random", 1): 2.0}).over_methods)
