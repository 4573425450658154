"""Loss on examples that are never trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tss_lab.config import SftConfig
from tss_lab.prompts import PromptEncoder
from tss_lab.sft.batches import packs_of_rank
from tss_lab.sft.inputs import PackInput, TargetModel, attention_for, pack_input
from tss_lab.sft.packing import decided
from tss_lab.sft.rows import TrainingRow, encode_rows
from tss_lab.types import Example, FloatArray


@dataclass(frozen=True)
class HeldOutLoss:
    """Negative log-likelihood of held-out targets (with the end token), in nats a token.

    ``per_token`` weighs examples by their tokens, ``per_example`` all alike; ``standard_error`` belongs
    to the latter.
    """

    per_token: float
    per_example: float
    standard_error: float
    nll_mean_N: FloatArray

    @classmethod
    def of(cls, nll_sum_N: FloatArray, rows: Sequence[TrainingRow]) -> HeldOutLoss:
        num_targets_N = np.asarray([row.num_targets for row in rows])
        mean_N = nll_sum_N / num_targets_N
        error = float(mean_N.std(ddof=1) / np.sqrt(len(mean_N))) if len(mean_N) > 1 else 0.0
        return cls(float(nll_sum_N.sum() / num_targets_N.sum()), float(mean_N.mean()), error, mean_N)

    def metrics(self) -> dict[str, float]:
        return {
            "held_out_nll": self.per_token,
            "held_out_nll_per_example": self.per_example,
            "held_out_nll_standard_error": self.standard_error,
        }


def add_sums(sums: Tensor, pack: PackInput, nll_R: Tensor) -> None:
    """Adds each target token's nll to its row's sum; a stand-in's to none."""
    if pack.counts:
        sums.index_add_(0, torch.from_numpy(pack.row_R).to(sums.device), nll_R.double())


def row_losses(target_model: TargetModel, packs: Iterable[PackInput], num_rows: int, device: torch.device) -> Tensor:
    """Summed nll of each row of these packs, in nats: (num_rows,) float64, 0 for rows in no pack."""
    sums = torch.zeros(num_rows, dtype=torch.float64, device=device)
    nothing = torch.zeros(num_rows, dtype=torch.float32, device=device)
    was_training = target_model.training
    target_model.eval()
    with torch.no_grad():
        for pack in packs:
            _, nll_R = target_model(pack, nothing)
            add_sums(sums, pack, nll_R)
    target_model.train(was_training)
    return sums


def held_out_nll(
    model: PreTrainedModel, examples: Sequence[Example], encoder: PromptEncoder, sft: SftConfig
) -> HeldOutLoss:
    """The held-out loss of a loaded model on its own device.

    Raises TrainingError when no example has target tokens, ConfigError for a packing that the model can't have.
    """
    sft = decided(sft, model.config)
    rows, _ = encode_rows(examples, np.ones(len(examples)), encoder, sft.max_length)
    packs = packs_of_rank([row.num_tokens for row in rows], sft, 0, 1)
    with attention_for(model, sft):
        sums = row_losses(
            TargetModel(model, sft), [pack_input(rows, pack, sft.packing) for pack in packs], len(rows), model.device
        )
    return HeldOutLoss.of(sums.cpu().numpy(), rows)
