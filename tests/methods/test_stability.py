"""Ranking stability from likelihood tables."""

from __future__ import annotations

import numpy as np
import pytest

from tss_lab.methods import Evidence, ranking_stability
from tss_lab.types import Example, FloatArray, Likelihoods


def table(alternative_NK: FloatArray, num_N: list[int] | None = None) -> Evidence:
    count, width = alternative_NK.shape
    num = np.array(num_N or [width] * count, dtype=np.int64)
    padded = np.where(np.arange(width)[None] < num[:, None], alternative_NK, -np.inf)
    names = np.array([f"e{at}" for at in range(count)], dtype=object)
    likelihoods = Likelihoods(
        names, np.zeros(count), padded, num, np.full(count, np.nan), np.ones(count, dtype=np.int64)
    )
    return Evidence([Example(name, "I", "X", "Y") for name in names], likelihoods)


def mean_score(evidence: Evidence) -> FloatArray:
    likelihoods = evidence.likelihoods
    assert [example.example_id for example in evidence.examples] == likelihoods.example_id_N.tolist()
    real = np.isfinite(likelihoods.alternative_loglik_NK)
    return np.asarray(np.where(real, likelihoods.alternative_loglik_NK, 0).sum(1) / likelihoods.num_alternatives_N)


def test_alternatives_that_agree_give_a_stable_ranking() -> None:
    column = np.arange(10.0)[:, None]
    figures = ranking_stability(table(np.repeat(column, 4, axis=1)), mean_score)
    assert figures == pytest.approx({"examples": 10, "k=1": 1, "k=2": 1, "k=3": 1, "halves": 1, "leave_one_out": 1})


def test_alternatives_that_are_noise_do_not() -> None:
    noise = np.random.default_rng(0).normal(size=(400, 4))
    figures = ranking_stability(table(noise), mean_score)
    assert abs(figures["halves"]) < 0.15
    # The mean of three of four independent values correlates with the mean of four by √(3/4).
    assert figures["leave_one_out"] == pytest.approx(np.sqrt(3 / 4), abs=0.05)
    assert figures["k=1"] == pytest.approx(np.sqrt(1 / 4), abs=0.1)


def test_examples_with_one_alternative_are_left_out_and_counted() -> None:
    figures = ranking_stability(table(np.arange(8.0)[:, None] + np.zeros((8, 3)), [3, 3, 3, 3, 3, 2, 1, 0]), mean_score)
    assert figures["examples"] == 6
    assert figures["halves"] == pytest.approx(1)
    assert np.isnan(ranking_stability(table(np.ones((2, 2))), mean_score)["halves"])
