"""The Task-Specificity Score: Eq. 1 of the paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tss_lab.methods.base import Evidence, Needs
from tss_lab.types import FloatArray, IntArray, PromptKind


def log_mean_exp(loglik_NK: FloatArray, count_N: IntArray) -> FloatArray:
    """log( (1/K_n) Σ_k exp loglik_nk ) over the first axis' own K_n values: (N,), in nats.

    Missing values are −inf and drop out of the sum. Raises ValueError where an example has none.
    """
    if np.any(count_N < 1):
        raise ValueError(f"{int(np.sum(count_N < 1))} examples have no alternative instruction")
    largest_N = loglik_NK.max(axis=1)
    return np.asarray(largest_N + np.log(np.exp(loglik_NK - largest_N[:, None]).sum(axis=1)) - np.log(count_N))


def task_specificity(true_N: FloatArray, alternative_NK: FloatArray, count_N: IntArray) -> FloatArray:
    """TSS = ℓ(I,X,Y) − log( (1/K) Σ_k exp ℓ(I_k,X,Y) ): (N,), in nats (Eq. 1).

    Inputs are summed log-likelihoods; ``count_N`` says how many alternatives each row has.
    """
    return true_N - log_mean_exp(alternative_NK, count_N)


@dataclass(frozen=True)
class TaskSpecificity:
    """How much likelier the output is under its own instruction than under the alternatives."""

    @property
    def needs(self) -> Needs:
        return Needs(frozenset({PromptKind.TRUE, PromptKind.ALTERNATIVE}))

    def score(self, evidence: Evidence, seed: int) -> FloatArray:
        likelihoods = evidence.likelihoods
        return task_specificity(
            likelihoods.true_loglik_N, likelihoods.alternative_loglik_NK, likelihoods.num_alternatives_N
        )

    def preference(self, score_N: FloatArray) -> FloatArray:
        return score_N
