"""Instruction-following difficulty: how little the prompt helps to predict the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tss_lab.methods.base import Evidence, Needs
from tss_lab.types import FloatArray, PromptKind


@dataclass(frozen=True)
class InstructionFollowingDifficulty:
    """Perplexity ratio exp(−s(I,X,Y)) / exp(−s(Y)) of Superfiltering, or the loss ratio of the first paper.

    The highest below 1 are kept first; examples with a ratio of 1 or more, which the prompt makes less
    likely, come last, the smallest of them first.
    """

    kind: Literal["perplexity_ratio", "loss_ratio"] = "perplexity_ratio"
    direct_context: Literal["bos", "response_header"] = "bos"
    """What stands before Y in ℓ(Y): nothing but the first token, or the template's response header."""

    def __post_init__(self) -> None:
        if self.kind not in ("perplexity_ratio", "loss_ratio"):
            raise ValueError(f"kind must be perplexity_ratio or loss_ratio, got {self.kind}")
        if self.direct_context not in ("bos", "response_header"):
            raise ValueError(f"direct_context must be bos or response_header, got {self.direct_context}")

    @property
    def needs(self) -> Needs:
        return Needs(frozenset({PromptKind.TRUE, PromptKind.UNCONDITIONAL}), self.direct_context)

    def score(self, evidence: Evidence, seed: int) -> FloatArray:
        likelihoods = evidence.likelihoods
        conditioned_N = -likelihoods.true_mean_loglik_N
        direct_N = -likelihoods.unconditional_loglik_N / likelihoods.num_target_tokens_N
        if self.kind == "loss_ratio":
            return np.asarray(conditioned_N / direct_N)
        return np.asarray(np.exp(conditioned_N - direct_N))

    def preference(self, score_N: FloatArray) -> FloatArray:
        return np.where(score_N < 1.0, score_N, -score_N)
