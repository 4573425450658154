"""From scores to a training set: rank, keep within the budget, weigh (section 3.4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tss_lab.config import MethodConfig, WeightingConfig
from tss_lab.errors import ConfigError, DataError
from tss_lab.methods.base import Method
from tss_lab.methods.order import seeded_uniform
from tss_lab.methods.weighting import WeightStatistics, exponential_weights, weight_statistics
from tss_lab.types import BoolArray, FloatArray, IntArray, Selection


def rank_by(preference_N: FloatArray, example_id_N: npt.NDArray[np.object_], seed: int) -> IntArray:
    """Rank of each example, 0 for the most preferred: (N,).

    Ties are broken by a number drawn from the seed and the example's id, so that the ranking doesn't
    depend on file order. Raises DataError on NaN.
    """
    if np.isnan(preference_N).any():
        bad = example_id_N[np.flatnonzero(np.isnan(preference_N))[:3]]
        raise DataError(
            f"the scores of {int(np.isnan(preference_N).sum())} examples are NaN "
            f"(first: {', '.join(map(str, bad))}); score them again"
        )
    tie_break_N = seeded_uniform(example_id_N, seed, purpose="ties")
    order_N = np.lexsort((tie_break_N, -preference_N))
    rank_N = np.empty(len(order_N), dtype=np.int64)
    rank_N[order_N] = np.arange(len(order_N))
    return rank_N


def keep_examples(rank_N: IntArray, rho: float) -> BoolArray:
    """The best round(ρ·N) examples, at least one: (N,)."""
    return rank_N < max(1, round(rho * len(rank_N)))


def keep_tokens(rank_N: IntArray, num_target_tokens_N: IntArray, rho: float) -> BoolArray:
    """Down the ranking until the targets' tokens reach ρ times the corpus's: (N,).

    The example that would overshoot is left out, and the walk ends there. Raises ConfigError when
    not even the first fits.
    """
    order_N = np.argsort(rank_N)
    budget = rho * int(num_target_tokens_N.sum()) * (1 + 1e-12)
    within_N = np.cumsum(num_target_tokens_N[order_N]) <= budget
    if not within_N[0]:
        raise ConfigError(
            f"rho={rho} allows {int(budget)} target tokens, and the best example alone has "
            f"{int(num_target_tokens_N[order_N[0]])}; "
            "raise rho or take budget=examples"
        )
    kept_N = np.zeros(len(rank_N), dtype=bool)
    kept_N[order_N[within_N]] = True
    return kept_N


def training_weights(
    preference_N: FloatArray, kept_N: BoolArray, weighting: WeightingConfig
) -> tuple[FloatArray, WeightStatistics]:
    """Weights with mean 1 over the kept examples and 0 elsewhere: (N,), and how uneven they are."""
    weight_N = np.zeros(len(kept_N))
    clipped_share = 0.0
    if weighting.enabled:
        weight_N[kept_N], clipped_share = exponential_weights(preference_N[kept_N], weighting)
    else:
        weight_N[kept_N] = 1.0
    return weight_N, weight_statistics(weight_N[kept_N], clipped_share)


def select(
    method: Method,
    config: MethodConfig,
    budget: str,
    rho: float,
    seed: int,
    *,
    example_id_N: npt.NDArray[np.object_],
    score_N: FloatArray,
    num_target_tokens_N: IntArray,
) -> tuple[Selection, WeightStatistics]:
    """The training set that a method makes of its scores under a budget.

    ``budget`` is ``examples`` or ``tokens``. Under ``scope=full`` every example is kept and the caller
    cuts the training steps to ρ.
    """
    preference_N = method.preference(score_N)
    rank_N = rank_by(preference_N, example_id_N, seed)
    if config.scope == "full" or getattr(method, "keeps_all", False):
        kept_N = np.ones(len(rank_N), dtype=bool)
    elif budget == "tokens":
        kept_N = keep_tokens(rank_N, num_target_tokens_N, rho)
    else:
        kept_N = keep_examples(rank_N, rho)
    weight_N, statistics = training_weights(preference_N, kept_N, config.weighting)
    return Selection(example_id_N, score_N, rank_N, kept_N, weight_N), statistics
