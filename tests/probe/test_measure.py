"""AUROC and its relatives: by hand, and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, mannwhitneyu

from tss_lab.probe.measure import (
    auroc,
    auroc_difference,
    grouped_auroc,
    pairs_won,
    precision_at,
    quantile_strata,
)


def _rows(seed=0, num=60, shift=1.2):
    rng = np.random.default_rng(seed)
    is_above = np.arange(num) % 2 == 0
    return np.round(rng.normal(size=num) + shift * is_above, 1), is_above  # rounded: there are ties


def test_value_equals_scipys_rank_sum():
    score, is_above = _rows()
    u = mannwhitneyu(score[is_above], score[~is_above]).statistic
    found = auroc(score, is_above, seed=0)
    assert found.value == pytest.approx(u / 900)
    assert (found.num_above, found.num_below) == (30, 30)


def test_interval_agrees_with_scipys_bootstrap():
    score, is_above = _rows()

    def statistic(above, below):
        return mannwhitneyu(above, below).statistic / (len(above) * len(below))

    theirs = bootstrap(
        (score[is_above], score[~is_above]), statistic, vectorized=False, n_resamples=1000, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    found = auroc(score, is_above, seed=0)
    assert (found.low, found.high) == (pytest.approx(theirs.low, abs=0.02), pytest.approx(theirs.high, abs=0.02))
    assert found.is_told_apart


def test_strata_take_away_what_differs_between_them():
    """The score is the stratum alone: it tells the kinds apart as a whole, and not within a stratum."""
    stratum = np.array([1] * 15 + [0] * 5 + [1] * 5 + [0] * 15)
    is_above = np.arange(40) < 20
    assert auroc(stratum.astype(float), is_above, seed=0).value == pytest.approx(0.75)
    within = auroc(stratum.astype(float), is_above, seed=0, stratum_N=stratum)
    assert (within.value, within.low, within.high) == (0.5, 0.5, 0.5)


def test_too_few_rows_have_a_value_and_no_interval():
    found = auroc(np.array([3.0, 1.0, 2.0]), np.array([True, False, True]), seed=0)
    assert found.value == 1.0
    assert np.isnan([found.low, found.high]).all()
    assert not found.is_told_apart
    assert np.isnan(auroc(np.ones(3), np.ones(3, dtype=bool), seed=0).value)


def test_equal_scores_are_chance():
    found = auroc(np.zeros(40), np.arange(40) < 20, seed=0)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_difference_on_the_same_rows_is_narrower_than_the_two_apart():
    score, is_above = _rows()
    worse = score + np.random.default_rng(3).normal(size=60) * 0.3
    value, low, high = auroc_difference(score, worse, is_above, np.arange(60), seed=0)
    first, second = auroc(score, is_above, 0), auroc(worse, is_above, 0)
    assert value == pytest.approx(first.value - second.value)
    assert high - low < first.high - first.low
    assert auroc_difference(score, score, is_above, np.arange(60), seed=0) == (0.0, 0.0, 0.0)


def test_groups_are_drawn_together():
    """Each row twice, as a group: the interval is that of the single rows."""
    score, is_above = _rows()
    alone = auroc(score, is_above, seed=0)
    twice = grouped_auroc(np.tile(score, 2), np.tile(is_above, 2), np.tile(np.arange(60), 2), seed=0)
    assert twice.value == pytest.approx(alone.value)
    assert (twice.low, twice.high) == (pytest.approx(alone.low, abs=0.03), pytest.approx(alone.high, abs=0.03))


def test_pairs_won_and_precision_by_hand():
    score = np.array([2.0, 1.0, 5.0, 5.0, 0.0, 3.0, 9.0])
    is_above = np.array([True, False, True, False, True, False, True])
    group = np.array([0, 0, 1, 1, 2, 2, 3])  # won, level, lost; the last has no partner
    assert pairs_won(score, is_above, group) == (1.5, 3)
    assert precision_at(score, is_above, 0.3) == 1.0  # the best two: rows 6 and 2
    assert precision_at(score, is_above, 0.01) == 1.0  # at least one


def test_quantile_strata_keep_equal_values_together():
    assert len(set(quantile_strata([1, 1, 1, 1, 9, 9], 3)[:4])) == 1
    assert quantile_strata(np.arange(6), 2).tolist() == [0, 0, 0, 1, 1, 1]
