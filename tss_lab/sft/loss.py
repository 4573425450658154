"""The weighted loss as arithmetic (docs/method.md, Training).

An optimiser batch's loss is a weighted sum over its target tokens, so it splits into packs and devices
without change: each token carries its example's coefficient, fixed by the whole batch beforehand.
"""

from __future__ import annotations

from typing import Literal

from tss_lab.types import FloatArray, IntArray


def token_coefficients(
    weight_B: FloatArray, num_targets_B: IntArray, reduction: Literal["example", "token"]
) -> FloatArray:
    """What each target token's negative log-likelihood is multiplied by, an example: (B,).

    ``example``: ``w_i / (n_i·B)``, so that the batch loss is ``Σ w_i·mean_nll_i / B``.
    ``token``: ``w_i / Σ_j n_j``, so that examples count by their tokens.
    B is the whole optimiser batch on all devices. Raises ValueError on an example without target tokens.
    """
    if (num_targets_B < 1).any():
        raise ValueError("an example without target tokens has no loss")
    if reduction == "example":
        coefficient_B: FloatArray = weight_B / (num_targets_B * len(weight_B))
    else:
        coefficient_B = weight_B / num_targets_B.sum()
    return coefficient_B


def batch_loss(nll_sum_B: FloatArray, coefficient_B: FloatArray) -> float:
    """The optimiser batch's loss from each example's summed negative log-likelihood, in nats."""
    return float(nll_sum_B @ coefficient_B)
