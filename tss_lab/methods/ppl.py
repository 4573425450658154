"""Perplexity of the output under its own prompt; fluent, in-distribution examples are kept first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tss_lab.methods.base import Evidence, Needs
from tss_lab.types import FloatArray, PromptKind


@dataclass(frozen=True)
class Perplexity:
    """exp(−s(I, X, Y)); the lowest are kept first."""

    @property
    def needs(self) -> Needs:
        return Needs(frozenset({PromptKind.TRUE}))

    def score(self, evidence: Evidence, seed: int) -> FloatArray:
        return np.asarray(np.exp(-evidence.likelihoods.true_mean_loglik_N))

    def preference(self, score_N: FloatArray) -> FloatArray:
        return -score_N
