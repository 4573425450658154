"""Every example: the upper baseline of the paper's Table 4. ρ doesn't apply to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tss_lab.types import FloatArray, Likelihoods, PromptKind


@dataclass(frozen=True)
class Full:
    """Scores are 0; selection keeps everything."""

    keeps_all = True

    @property
    def needs(self) -> frozenset[PromptKind]:
        return frozenset()

    def score(self, likelihoods: Likelihoods, seed: int) -> FloatArray:
        return np.zeros(len(likelihoods))

    def preference(self, score_N: FloatArray) -> FloatArray:
        return score_N
