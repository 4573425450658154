"""From evidence to scores, and from scores to a training set: rank, keep within the budget, weigh (section 3.4)."""

from __future__ import annotations

import numpy as np

from tss_lab.config import MethodConfig, WeightingConfig
from tss_lab.errors import ConfigError, DataError
from tss_lab.methods.base import Budget, Chooser, Evidence, Method
from tss_lab.methods.order import rank_by
from tss_lab.methods.weighting import WeightStatistics, exponential_weights, weight_statistics
from tss_lab.types import BoolArray, FloatArray, Selection


def score_examples(method: Method, evidence: Evidence, seed: int) -> FloatArray:
    """The method's score of each example: (N,). Raises DataError where one isn't finite."""
    score_N = method.score(evidence, seed)
    num_wrong = int(np.sum(~np.isfinite(score_N)))
    if num_wrong:
        raise DataError(
            f"{num_wrong} scores are not finite; the likelihood table is damaged, run again with a fresh paths.store"
        )
    return score_N


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
    chooser: Chooser,
    config: MethodConfig,
    budget: Budget,
    seed: int,
    evidence: Evidence,
    score_N: FloatArray,
) -> tuple[Selection, WeightStatistics]:
    """The training set that a method and a chooser make of N scores under a budget.

    Every example is kept at ρ = 1 for a method that doesn't use ρ, and under ``scope=full``, where the caller
    cuts the training steps to ρ.
    """
    preference_N = method.preference(score_N)
    rank_N = rank_by(preference_N, evidence.example_id_N, seed)
    if config.scope == "full" or not config.uses_rho:
        kept_N = np.ones(len(rank_N), dtype=bool)
    else:
        kept_N = _checked(chooser.choose(preference_N, evidence, budget, seed), len(rank_N), type(chooser).__name__)
    weight_N, statistics = training_weights(preference_N, kept_N, config.weighting)
    return Selection(evidence.example_id_N, score_N, rank_N, kept_N, weight_N), statistics


def _checked(kept_N: BoolArray, num: int, name: str) -> BoolArray:
    if kept_N.shape != (num,) or kept_N.dtype != np.bool_:
        raise ConfigError(f"the chooser {name} returned {kept_N.dtype} of shape {kept_N.shape}, not {num} booleans")
    if not kept_N.any():
        raise ConfigError(f"the chooser {name} keeps no example; raise rho or take another chooser")
    return kept_N
