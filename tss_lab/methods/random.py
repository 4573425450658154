"""A uniform random subset, the baseline of the paper's Tables 2 and 3."""

from __future__ import annotations

from dataclasses import dataclass

from tss_lab.methods.base import Evidence, Needs
from tss_lab.methods.order import seeded_uniform
from tss_lab.types import FloatArray


@dataclass(frozen=True)
class Random:
    """Scores are uniform in [0, 1), drawn from the seed and the example's id: file order doesn't matter."""

    @property
    def needs(self) -> Needs:
        return Needs()

    def score(self, evidence: Evidence, seed: int) -> FloatArray:
        return seeded_uniform(evidence.example_id_N, seed, purpose="random selection")

    def preference(self, score_N: FloatArray) -> FloatArray:
        return score_N
