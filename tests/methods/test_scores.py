"""Scores worked out by hand, and properties that must hold for any likelihoods."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pytest import approx
from scipy.special import logsumexp

from tss_lab.methods import Evidence
from tss_lab.methods.ifd import InstructionFollowingDifficulty
from tss_lab.methods.ppl import Perplexity
from tss_lab.methods.random import Random
from tss_lab.methods.tss import TaskSpecificity, task_specificity
from tss_lab.methods.tss_pp import TaskSpecificityPlusPlus, hardest, infonce_specificity
from tss_lab.types import Example, Likelihoods

INF = float("inf")


def evidence(true, alternatives, tokens, unconditional=None):
    alternatives = np.array(alternatives, dtype=float)
    names = [f"id{n}" for n in range(len(true))]
    table = Likelihoods(
        example_id_N=np.array(names, dtype=object),
        true_loglik_N=np.array(true, dtype=float),
        alternative_loglik_NK=alternatives,
        num_alternatives_N=np.isfinite(alternatives).sum(axis=1),
        unconditional_loglik_N=np.array(unconditional if unconditional else [math.nan] * len(true)),
        num_target_tokens_N=np.array(tokens),
    )
    return Evidence([Example(name, "I", "X", "Y") for name in names], table)


def test_tss_by_hand():
    """Eq. 1 with probabilities 1/2 against 1/4 and 1/8: log(0.5 / 0.1875)."""
    table = evidence([math.log(1 / 2)], [[math.log(1 / 4), math.log(1 / 8)]], [3])
    assert TaskSpecificity().score(table, seed=0) == approx([math.log(0.5 / 0.1875)])


def test_tss_averages_over_the_alternatives_that_exist():
    """A missing alternative (−inf) neither adds probability nor counts in K."""
    table = evidence([math.log(1 / 2)], [[math.log(1 / 4), -INF]], [3])
    assert TaskSpecificity().score(table, seed=0) == approx([math.log(2)])


def test_tss_survives_hundreds_of_nats():
    """exp(−2000) underflows; the score doesn't."""
    table = evidence([-1000.0], [[-2000.0, -2000.0 + math.log(3)]], [100])
    assert TaskSpecificity().score(table, seed=0) == approx([1000.0 - math.log(2)])


def test_tss_refuses_an_example_without_alternatives():
    with pytest.raises(ValueError, match="no alternative"):
        TaskSpecificity().score(evidence([-1.0], [[-INF]], [1]), seed=0)


def test_tss_pp_by_hand():
    """s⁺ = −1; hard set {−1, −2} of {−1, −2, −9}; τ = 2: −log(1 + 1 + e^(−1/2)) + 0.1·(−1)."""
    table = evidence([-4.0], [[-36.0, -4.0, -8.0]], [4])
    expected = -math.log(2 + math.exp(-0.5)) - 0.1
    assert TaskSpecificityPlusPlus(tau=2.0, alpha=0.1, m=2).score(table, seed=0) == approx([expected])


def test_easy_alternatives_do_not_lower_specificity():
    """An alternative that the output doesn't fit at all drops out of Eq. 2."""
    true = np.array([-1.0])
    assert infonce_specificity(true, np.array([[-1.0, -5000.0]]), 1.0) == approx(-np.log(2.0))


@pytest.mark.parametrize("settings", [{"tau": 0.0}, {"alpha": -1.0}, {"m": 0}])
def test_tss_pp_refuses_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TaskSpecificityPlusPlus(**settings)


def test_perplexity_by_hand_keeps_the_lowest():
    table = evidence([2 * math.log(1 / 8), 2 * math.log(1 / 2)], [[-1.0], [-1.0]], [2, 2])
    score = Perplexity().score(table, seed=0)
    assert score == approx([8.0, 2.0])
    assert Perplexity().preference(score).argmax() == 1


def test_ifd_by_hand_and_its_order():
    """Ratios of perplexities 2/8 and 8/2; the second is ≥ 1 and comes last although it is higher."""
    table = evidence(
        [math.log(1 / 2), math.log(1 / 8), math.log(1 / 4)], [[-1.0]] * 3, [1, 1, 1],
        unconditional=[math.log(1 / 8), math.log(1 / 2), math.log(1 / 8)],
    )  # fmt: skip
    method = InstructionFollowingDifficulty()
    score = method.score(table, seed=0)
    assert score == approx([0.25, 4.0, 0.5])
    assert np.argsort(-method.preference(score)).tolist() == [2, 0, 1]
    losses = InstructionFollowingDifficulty(kind="loss_ratio").score(table, seed=0)
    assert losses == approx([1 / 3, 3.0, 2 / 3])


def test_random_depends_on_seed_and_id_only():
    table = evidence([-1.0] * 4, [[-1.0]] * 4, [1] * 4)
    backwards = evidence([-1.0] * 4, [[-1.0]] * 4, [1] * 4)
    object.__setattr__(backwards, "example_id_N", table.example_id_N[::-1])
    assert Random().score(table, 7) == approx(Random().score(backwards, 7)[::-1])
    assert not np.allclose(Random().score(table, 7), Random().score(table, 8))


def test_random_is_uniform():
    """Kolmogorov–Smirnov distance of 20,000 draws stays under the 0.1 % critical value."""
    from tss_lab.methods.order import seeded_uniform

    draws = np.sort(seeded_uniform(np.array([f"{n:032x}" for n in range(20_000)], dtype=object), 3, "test"))
    distance = np.abs(draws - np.arange(20_000) / 20_000).max()
    assert distance < 1.95 / math.sqrt(20_000)


values = st.floats(-800, -1e-3)


@given(hnp.arrays(float, (5, 3), elements=values), hnp.arrays(float, 5, elements=values), st.floats(-50, 50))
def test_tss_against_scipy_and_shift(alternative, true, shift):
    """Agrees with scipy's logsumexp; adding a constant to all log-likelihoods changes nothing."""
    count = np.full(5, 3)
    reference = true - (logsumexp(alternative, axis=1) - np.log(3))
    assert task_specificity(true, alternative, count) == approx(reference, abs=1e-9)
    assert task_specificity(true + shift, alternative + shift, count) == approx(reference, abs=1e-9)


@given(
    hnp.arrays(float, (4, 5), elements=values),
    hnp.arrays(float, 4, elements=values),
    st.integers(1, 5),
    st.floats(0.05, 20),
)
def test_infonce_bounds_and_order(alternative, true, m, tau):
    """Never above 0, and a larger hard set never raises it; the hard set is the row's largest values."""
    score = infonce_specificity(true, hardest(alternative, m), tau)
    assert np.all(score <= 0)
    assert np.all(infonce_specificity(true, hardest(alternative, 5), tau) <= score + 1e-12)
    assert hardest(alternative, m)[:, 0] == approx(alternative.max(axis=1))
