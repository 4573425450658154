"""The most preferred examples that the budget allows: the paper's filter (section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tss_lab.errors import ConfigError
from tss_lab.methods.base import Budget, Evidence
from tss_lab.methods.order import rank_by
from tss_lab.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Top:
    """By examples: the best round(ρ·N). By tokens: down the ranking until the budget is reached.

    The example that would overshoot a budget in tokens is left out, and the walk ends there. Raises
    ConfigError when not even the first fits.
    """

    def choose(self, preference_N: FloatArray, evidence: Evidence, budget: Budget, seed: int) -> BoolArray:
        rank_N = rank_by(preference_N, evidence.example_id_N, seed)
        if budget.kind == "examples":
            return rank_N < budget.num_examples(evidence)
        order_N, num_tokens_N = np.argsort(rank_N), evidence.num_target_tokens_N
        within_N = np.cumsum(num_tokens_N[order_N]) <= budget.num_tokens(evidence)
        if not within_N[0]:
            raise ConfigError(
                f"rho={budget.rho} allows {int(budget.num_tokens(evidence))} target tokens, and the best example "
                f"alone has {int(num_tokens_N[order_N[0]])}; raise rho or take budget=examples"
            )
        kept_N = np.zeros(len(evidence), dtype=bool)
        kept_N[order_N[within_N]] = True
        return kept_N
