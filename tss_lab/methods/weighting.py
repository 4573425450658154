"""From scores to training weights: w = exp(λ·z), clipped, with mean 1 (section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tss_lab.config import WeightingConfig
from tss_lab.errors import TrainingError
from tss_lab.statistics import effective_size
from tss_lab.types import FloatArray


@dataclass(frozen=True)
class WeightStatistics:
    """How uneven the weights of a training set are.

    ``effective_size`` is (Σw)² / Σw² in examples; ``clipped_share`` the share of examples whose weight
    stood outside the clip bounds.
    """

    effective_size: float
    clipped_share: float
    smallest: float
    largest: float

    def figures(self) -> dict[str, float]:
        """As ``metrics.json`` names them."""
        return {
            "effective_size": self.effective_size,
            "clipped_share": self.clipped_share,
            "smallest_weight": self.smallest,
            "largest_weight": self.largest,
        }


def exponential_weights(score_M: FloatArray, config: WeightingConfig) -> tuple[FloatArray, float]:
    """Weights of the M examples that are trained on, with mean 1, and the share that was clipped.

    z is the z-score over these M examples, or the score itself (``standardize: none``, the paper's
    formula). Equal scores give equal weights. Raises TrainingError on scores that aren't finite.
    """
    if not np.all(np.isfinite(score_M)):
        raise TrainingError(
            f"{int(np.sum(~np.isfinite(score_M)))} scores are not finite, so no weights can be made of them; "
            "look into scores.parquet"
        )
    z_M = score_M
    if config.standardize == "zscore":
        spread = float(score_M.std())
        z_M = (score_M - score_M.mean()) / spread if spread > 0 else np.zeros_like(score_M)
    low, high = config.clip
    # The bounds are compared in the exponent, where nothing overflows.
    exponent_M = config.lambda_ * z_M
    clipped_M = (exponent_M < np.log(low)) | (exponent_M > np.log(high))
    raw_M = np.exp(np.clip(exponent_M, np.log(low), np.log(high)))
    return raw_M / raw_M.mean(), float(clipped_M.mean())


def weight_statistics(weight_M: FloatArray, clipped_share: float) -> WeightStatistics:
    """Effective sample size and range of the weights of a training set."""
    return WeightStatistics(
        effective_size=effective_size(weight_M),
        clipped_share=clipped_share,
        smallest=float(weight_M.min()),
        largest=float(weight_M.max()),
    )
