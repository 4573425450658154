"""How far the ranking depends on which alternatives were drawn, from likelihoods alone: no forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from tss_lab.methods.base import Evidence
from tss_lab.statistics import spearman
from tss_lab.types import BoolArray, FloatArray, IntArray, Likelihoods

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
    """The chosen examples, without values of single tokens: only what a mean can say is shuffled here."""
    names = [column.name for column in fields(likelihoods) if column.name != "tokens"]
    return Likelihoods(**{name: getattr(likelihoods, name)[chosen_N] for name in names})


def _columns(likelihoods: Likelihoods, order_NK: IntArray, count_N: IntArray) -> Likelihoods:
    """The first ``count_N`` alternatives of each example in the given order; −inf fills the rest."""
    reordered_NK = np.take_along_axis(likelihoods.alternative_loglik_NK, order_NK, axis=1)
    real_NK = np.arange(reordered_NK.shape[1])[None, :] < count_N[:, None]
    return replace(
        likelihoods,
        alternative_loglik_NK=np.where(real_NK, reordered_NK, -np.inf),
        num_alternatives_N=count_N.astype(np.int64),
    )


def _shuffled(likelihoods: Likelihoods, random: np.random.Generator) -> IntArray:
    """A random order of each example's real alternatives, the padding behind them: (N, K)."""
    num_columns = likelihoods.alternative_loglik_NK.shape[1]
    draw_NK = random.random((len(likelihoods), num_columns))
    padding_NK = np.arange(num_columns)[None, :] >= likelihoods.num_alternatives_N[:, None]
    return np.argsort(draw_NK + padding_NK, axis=1)


def _rotated(order_NK: IntArray, by_N: IntArray) -> IntArray:
    num_columns = order_NK.shape[1]
    return np.take_along_axis(order_NK, (np.arange(num_columns)[None, :] + by_N[:, None]) % num_columns, axis=1)
