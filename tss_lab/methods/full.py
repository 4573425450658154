"""Every example: the upper baseline of the paper's Table 4. ρ doesn't apply to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tss_lab.methods.base import Evidence, Needs
from tss_lab.types import FloatArray


@dataclass(frozen=True)
class Full:
    """Scores are 0; its yaml says that ρ isn't used, so everything is kept."""

    @property
    def needs(self) -> Needs:
        return Needs()

    def score(self, evidence: Evidence, seed: int) -> FloatArray:
        return np.zeros(len(evidence))

    def preference(self, score_N: FloatArray) -> FloatArray:
        return score_N
