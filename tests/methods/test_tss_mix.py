"""The token-wise mixture: by hand, where it is Eq. 1, and its stability under other alternatives."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tss_lab.errors import DataError
from tss_lab.methods import Evidence, ranking_stability
from tss_lab.methods.tss import TaskSpecificity
from tss_lab.methods.tss_mix import MixtureTaskSpecificity
from tss_lab.types import Example, Likelihoods, TokenLikelihoods


def evidence(true, alternatives):
    """``true``: token log-likelihoods of each example; ``alternatives``: the same for each of its alternatives."""
    num, most = len(true), max(map(len, alternatives))
    tokens_N = np.array([len(one) for one in true])
    total_NK = np.full((num, most), -np.inf)
    token_RK = np.full((int(tokens_N.sum()), most), -np.inf)
    first_N = np.cumsum(tokens_N) - tokens_N
    for n, mine in enumerate(alternatives):
        for k, one in enumerate(mine):
            total_NK[n, k] = sum(one)
            token_RK[first_N[n] : first_N[n] + tokens_N[n], k] = one
    flat = np.concatenate([np.array(one, dtype=float) for one in true])
    tokens = TokenLikelihoods(first_N, flat, token_RK, np.full(len(flat), np.nan))
    names = np.array([f"e{n}" for n in range(num)], dtype=object)
    count_N = np.array([len(mine) for mine in alternatives])
    nothing = np.full(num, np.nan)
    table = Likelihoods(names, np.array([sum(one) for one in true]), total_NK, count_N, nothing, tokens_N, tokens)
    return Evidence([Example(str(name), "I", "X", "Y") for name in names], table)


def test_by_hand():
    """Two tokens of probability 1/2; alternatives give (1/4, 1/8) and (1/8, 1/4): each token's mixture is 3/16."""
    half, quarter, eighth = math.log(1 / 2), math.log(1 / 4), math.log(1 / 8)
    made = evidence([[half, half]], [[[quarter, eighth], [eighth, quarter]]])
    assert MixtureTaskSpecificity().score(made, 0) == pytest.approx([2 * math.log(8 / 3)])
    assert TaskSpecificity().score(made, 0) == pytest.approx([math.log(8)])


_LOG = st.floats(-20.0, 0.0)


@given(st.lists(st.tuples(_LOG, st.lists(_LOG, min_size=1, max_size=4)), min_size=1, max_size=5))
def test_an_output_of_one_token_has_eq_1(rows):
    made = evidence([[true] for true, _ in rows], [[[one] for one in mine] for _, mine in rows])
    assert MixtureTaskSpecificity().score(made, 0) == pytest.approx(TaskSpecificity().score(made, 0), abs=1e-9)


def test_one_alternative_has_eq_1_whatever_the_length():
    made = evidence([[-1.0, -2.0, -0.5], [-3.0]], [[[-2.0, -2.5, -0.1]], [[-1.0]]])
    assert MixtureTaskSpecificity().score(made, 0) == pytest.approx(TaskSpecificity().score(made, 0))


def test_without_tokens_it_says_what_to_take():
    made = evidence([[-1.0]], [[[-2.0]]])
    bare = replace(made, table=replace(made.likelihoods, tokens=None))
    with pytest.raises(DataError, match=r"take scoring\.per_token=true"):
        MixtureTaskSpecificity().score(bare, 0)


def test_stability_draws_whole_alternatives_token_by_token():
    """All alternatives of a row alike: whichever are drawn, the ranking stays. Rows differ in length and number."""
    rng = np.random.default_rng(0)
    true = [rng.normal(-2, 1, size=1 + n % 3).tolist() for n in range(8)]
    alternatives = [[[value - 2.0**n for value in one]] * (2 + n % 3) for n, one in enumerate(true)]
    made = evidence(true, alternatives)
    figures = ranking_stability(made, lambda mine: MixtureTaskSpecificity().score(mine, 0))
    assert {name: value for name, value in figures.items() if name != "examples"} == pytest.approx(
        {"k=1": 1.0, "k=2": 1.0, "k=3": 1.0, "halves": 1.0, "leave_one_out": 1.0}
    )
