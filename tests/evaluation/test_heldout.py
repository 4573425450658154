"""Held-out measures, by hand."""

import math

import numpy as np
import pytest
from pytest import approx

from tss_lab.errors import EvaluationError
from tss_lab.evaluation.heldout import held_out_measures, specificity
from tss_lab.types import Estimate, Likelihoods

INF = float("inf")


def likelihoods(true, alternatives, tokens):
    alternatives = np.array(alternatives, dtype=float)
    return Likelihoods(
        example_id_N=np.array([f"id{n}" for n in range(len(true))], dtype=object),
        true_loglik_N=np.array(true, dtype=float),
        alternative_loglik_NK=alternatives,
        num_alternatives_N=np.isfinite(alternatives).sum(axis=1),
        unconditional_loglik_N=np.full(len(true), math.nan),
        num_target_tokens_N=np.array(tokens),
    )


def test_loss_is_over_tokens_not_examples():
    """6 + 2 nats over 2 + 6 tokens: 1.0, not the mean of 3 and 1/3. Residuals 4 and −4: √(2·32)/8 = 1."""
    (nll,) = held_out_measures(likelihoods([-6.0, -2.0], np.zeros((2, 0)), [2, 6]))
    assert nll.before.value == approx(1.0)
    assert nll.before.standard_error == approx(1.0)
    assert nll.before.n == 2
    assert nll.after is None


def test_differences_are_paired():
    """Both examples gain half a nat a token: the difference is certain though the losses differ widely."""
    before = likelihoods([-6.0, -20.0], np.zeros((2, 0)), [2, 10])
    after = likelihoods([-5.0, -15.0], np.zeros((2, 0)), [2, 10])
    (nll,) = held_out_measures(before, after)
    assert nll.difference.value == approx(-0.5)
    assert nll.difference.standard_error == approx(0.0, abs=1e-12)


def test_sensitivity_is_mean_tss():
    """log(0.5/0.1875) and, with one alternative only, log(2)."""
    table = likelihoods(
        [math.log(1 / 2), math.log(1 / 2)],
        [[math.log(1 / 4), math.log(1 / 8)], [math.log(1 / 4), -INF]],
        [3, 3],
    )
    assert specificity(table) == approx([math.log(0.5 / 0.1875), math.log(2)])
    _, sensitivity = held_out_measures(table, table)
    assert sensitivity.name == "sensitivity"
    assert sensitivity.before.value == approx((math.log(0.5 / 0.1875) + math.log(2)) / 2)
    assert sensitivity.difference.value == 0.0


def test_sensitivity_needs_alternatives():
    assert [one.name for one in held_out_measures(likelihoods([-1.0, -2.0], [[-INF], [-INF]], [1, 1]))] == ["nll"]


def test_nothing_held_out():
    assert held_out_measures(likelihoods([], np.zeros((0, 2)), [])) == []


def test_other_examples_are_refused():
    before = likelihoods([-1.0], np.zeros((1, 0)), [1])
    after = likelihoods([-1.0, -2.0], np.zeros((2, 0)), [1, 1])
    with pytest.raises(EvaluationError, match="same examples"):
        held_out_measures(before, after)


def test_a_single_example_has_no_standard_error():
    assert math.isnan(Estimate.of_ratio(np.array([3.0]), np.array([2])).standard_error)
