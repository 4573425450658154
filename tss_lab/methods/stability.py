"""How far the ranking depends on which alternatives were drawn, from likelihoods alone: no forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from tss_lab.methods.base import Evidence
from tss_lab.statistics import spearman
from tss_lab.types import BoolArray, FloatArray, IntArray, Likelihoods, TokenLikelihoods

Scoring = Callable[[Evidence], FloatArray]


def ranking_stability(evidence: Evidence, score: Scoring, *, num_draws: int = 20, seed: int = 0) -> dict[str, float]:
    """Spearman correlations between rankings by different alternatives of the same examples.

    ``k=1`` to ``k=K-1``: the first k alternatives against all K. ``halves``: two disjoint halves of each
    example's alternatives, drawn at random, mean of ``num_draws``; that is what another generation seed
    would do at half of K. ``leave_one_out``: all but one against all, mean of ``num_draws``. Examples with
    fewer than two alternatives are left out of all of them and counted (``examples``). NaN where fewer
    than three examples remain.
    """
    usable_N = evidence.likelihoods.num_alternatives_N >= 2
    chosen, examples = (
        _rows(evidence.likelihoods, usable_N),
        [evidence.examples[int(n)] for n in np.flatnonzero(usable_N)],
    )
    figures: dict[str, float] = {"examples": float(usable_N.sum())}
    if len(chosen) < 3:
        return {**figures, "halves": float("nan"), "leave_one_out": float("nan")}

    def scored(table: Likelihoods) -> FloatArray:
        return score(replace(evidence, examples=examples, table=table))

    all_score_N = scored(chosen)
    most = int(chosen.num_alternatives_N.max())
    for k in range(1, most):
        order_NK = np.tile(np.arange(chosen.alternative_loglik_NK.shape[1]), (len(chosen), 1))
        figures[f"k={k}"] = spearman(
            scored(_columns(chosen, order_NK, np.minimum(chosen.num_alternatives_N, k))), all_score_N
        )
    random = np.random.default_rng(seed)
    halves, without_one = [], []
    for _ in range(num_draws):
        order_NK = _shuffled(chosen, random)
        half_N = chosen.num_alternatives_N // 2
        first = scored(_columns(chosen, order_NK, half_N))
        second = scored(_columns(chosen, _rotated(order_NK, half_N), half_N))
        halves.append(spearman(first, second))
        without_one.append(spearman(scored(_columns(chosen, order_NK, chosen.num_alternatives_N - 1)), all_score_N))
    return {**figures, "halves": float(np.mean(halves)), "leave_one_out": float(np.mean(without_one))}


def _rows(likelihoods: Likelihoods, chosen_N: BoolArray) -> Likelihoods:
    names = [column.name for column in fields(likelihoods) if column.name != "tokens"]
    chosen = Likelihoods(**{name: getattr(likelihoods, name)[chosen_N] for name in names})
    if likelihoods.tokens is None:
        return chosen
    tokens, chosen_R = likelihoods.tokens, np.repeat(chosen_N, likelihoods.num_target_tokens_N)
    first_N = np.cumsum(chosen.num_target_tokens_N) - chosen.num_target_tokens_N
    parts = tokens.true_R[chosen_R], tokens.alternative_RK[chosen_R], tokens.unconditional_R[chosen_R]
    return replace(chosen, tokens=TokenLikelihoods(first_N, *parts))


def _columns(likelihoods: Likelihoods, order_NK: IntArray, count_N: IntArray) -> Likelihoods:
    """The first ``count_N`` alternatives of each example in the given order; −inf fills the rest."""
    tokens = likelihoods.tokens
    if tokens is not None:
        order_RK = np.repeat(order_NK, likelihoods.num_target_tokens_N, axis=0)
        count_R = np.repeat(count_N, likelihoods.num_target_tokens_N)
        tokens = replace(tokens, alternative_RK=_first(tokens.alternative_RK, order_RK, count_R))
    return replace(
        likelihoods,
        alternative_loglik_NK=_first(likelihoods.alternative_loglik_NK, order_NK, count_N),
        num_alternatives_N=count_N.astype(np.int64),
        tokens=tokens,
    )


def _first(value_NK: FloatArray, order_NK: IntArray, count_N: IntArray) -> FloatArray:
    real_NK = np.arange(value_NK.shape[1])[None, :] < count_N[:, None]
    return np.where(real_NK, np.take_along_axis(value_NK, order_NK, axis=1), -np.inf)


def _shuffled(likelihoods: Likelihoods, random: np.random.Generator) -> IntArray:
    """A random order of each example's real alternatives, the padding behind them: (N, K)."""
    num_columns = likelihoods.alternative_loglik_NK.shape[1]
    draw_NK = random.random((len(likelihoods), num_columns))
    padding_NK = np.arange(num_columns)[None, :] >= likelihoods.num_alternatives_N[:, None]
    return np.argsort(draw_NK + padding_NK, axis=1)


def _rotated(order_NK: IntArray, by_N: IntArray) -> IntArray:
    num_columns = order_NK.shape[1]
    return np.take_along_axis(order_NK, (np.arange(num_columns)[None, :] + by_N[:, None]) % num_columns, axis=1)
