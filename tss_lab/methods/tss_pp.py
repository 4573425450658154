"""TSS++: contrast against hard alternatives plus quality. Eq. 2, Eq. 3 and Algorithm 2 of the paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tss_lab.methods.base import Evidence, Needs
from tss_lab.types import FloatArray, PromptKind


def hardest(mean_loglik_NK: FloatArray, m: int) -> FloatArray:
    """The m largest values of each row, in falling order: (N, min(m, K)). Missing ones stay −inf."""
    return np.asarray(-np.sort(-mean_loglik_NK, axis=1)[:, :m])


def infonce_specificity(true_N: FloatArray, hard_NM: FloatArray, temperature: float) -> FloatArray:
    """Contrastive task specificity against hard alternatives, in nats, at most 0: (N,) (Eq. 2).

    Inputs are per-token mean log-likelihoods; rows with fewer than M hard alternatives carry −inf,
    which drops out of the sum. Raises ValueError unless temperature > 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    contrast_NM = (hard_NM - true_N[:, None]) / temperature
    zero_N1 = np.zeros((len(true_N), 1))
    return np.asarray(-np.logaddexp.reduce(np.concatenate([zero_N1, contrast_NM], axis=1), axis=1))


@dataclass(frozen=True)
class TaskSpecificityPlusPlus:
    """TSS_NCE over the m hardest alternatives, plus α times the per-token mean log-likelihood."""

    tau: float = 0.1
    """Temperature of the contrast, in nats a token."""
    alpha: float = 0.02
    """Weight of the quality term s(I, X, Y)."""
    m: int = 4
    """Size of the hard set; all alternatives where there are fewer."""

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise ValueError(f"tau must be above 0, got {self.tau}")
        if not self.alpha >= 0:
            raise ValueError(f"alpha must be at least 0, got {self.alpha}")
        if self.m < 1:
            raise ValueError(f"m must be at least 1, got {self.m}")

    @property
    def needs(self) -> Needs:
        return Needs(frozenset({PromptKind.TRUE, PromptKind.ALTERNATIVE}))

    def score(self, evidence: Evidence, seed: int) -> FloatArray:
        likelihoods = evidence.likelihoods
        if np.any(likelihoods.num_alternatives_N < 1):
            raise ValueError(
                f"{int(np.sum(likelihoods.num_alternatives_N < 1))} examples have no alternative instruction"
            )
        true_N = likelihoods.true_mean_loglik_N
        hard_NM = hardest(likelihoods.alternative_mean_loglik_NK, self.m)
        return infonce_specificity(true_N, hard_NM, self.tau) + self.alpha * true_N

    def preference(self, score_N: FloatArray) -> FloatArray:
        return score_N
