"""What a training will do, in numbers, before it starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tss_lab.config import SftConfig
from tss_lab.prompts import PromptEncoder
from tss_lab.sft.batches import BatchOrder, num_steps
from tss_lab.sft.rows import TrainingRow, encode_rows
from tss_lab.statistics import effective_size
from tss_lab.types import Example, FloatArray, SetAside

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """A training's rows, order and cost."""

    rows: list[TrainingRow]
    order: BatchOrder
    steps: int
    set_aside: list[SetAside]
    clipped_share: float
    target_tokens: int
    """Target tokens that the training sees, repeated ones included."""
    tokens: int
    """Tokens that the training reads, prompts included."""

    @property
    def examples(self) -> int:
        return len(self.rows)

    @property
    def epochs(self) -> float:
        return self.steps / self.order.steps_per_epoch

    @property
    def effective_size(self) -> float:
        """(Σw)² / Σw², in examples."""
        return effective_size(np.asarray([row.weight for row in self.rows]))

    @property
    def truncated(self) -> int:
        return sum(row.truncated for row in self.rows)

    def flops(self, body_parameters: int, head_parameters: int) -> float:
        """Multiply-adds count two: 6 a parameter and token; the head at target positions only.

        Attention's own products are left out: under 5 % at the lengths of instruction data.
        """
        return 6.0 * (body_parameters * self.tokens + head_parameters * self.target_tokens)

    def metrics(self) -> dict[str, float]:
        return {
            "sft/examples": self.examples,
            "sft/set_aside": len(self.set_aside),
            "sft/truncated": self.truncated,
            "sft/steps": self.steps,
            "sft/epochs": self.epochs,
            "sft/target_tokens": self.target_tokens,
            "sft/effective_sample_size": self.effective_size,
            "sft/clipped_share": self.clipped_share,
        }

    def sentence(self, flops: float) -> str:
        """The plan for people, before the first step."""
        return (
            f"training on {self.examples} examples for {self.steps} steps of {self.order.batch_size} "
            f"({self.epochs:.2f} epochs, {self.target_tokens} target tokens of {self.tokens}); "
            f"effective sample size {self.effective_size:.1f}, "
            f"{self.clipped_share:.0%} of the weights clipped, {self.truncated} examples cut to length, "
            f"{len(self.set_aside)} set aside; about {flops:.2g} floating-point operations"
        )


def plan_training(
    examples: Sequence[Example],
    weight_N: FloatArray,
    encoder: PromptEncoder,
    sft: SftConfig,
    seed: int,
    *,
    steps_fraction: float = 1.0,
    clipped_share: float = 0.0,
) -> TrainingPlan:
    """Encodes the examples and counts what the training will see.

    Args:
        weight_N: one weight an example; divided by their mean here, so any scale will do.
        steps_fraction: share of the epochs' steps that is made (``scope: full`` trains on all examples for ρ of
            them); a training of ``max_steps`` or ``max_target_tokens`` has its length already.
        clipped_share: share of the weights that stood at a bound, for the warning and the record.

    Raises TrainingError on unusable weights or when no example is left.
    """
    rows, set_aside = encode_rows(examples, weight_N, encoder, sft.max_length)
    for row in set_aside[:5]:
        log.warning("example %s is set aside: %s (%s)", row.where, row.reason, row.detail)
    if clipped_share > 0.5:
        log.warning(
            "%.0f %% of the weights are at a clip bound, so they hardly tell examples apart; "
            "lower method.weighting.lambda_ or set method.weighting.standardize=zscore",
            100 * clipped_share,
        )
    order = BatchOrder(len(rows), sft.batch_size, seed)
    steps = num_steps(order, rows, sft, steps_fraction)
    seen = np.zeros(len(rows), np.int64)
    whole_epochs, rest = divmod(steps, order.steps_per_epoch)
    seen += whole_epochs
    for step in range(whole_epochs * order.steps_per_epoch, whole_epochs * order.steps_per_epoch + rest):
        seen[order.rows_of_step(step)] += 1
    return TrainingPlan(
        rows=rows,
        order=order,
        steps=steps,
        set_aside=set_aside,
        clipped_share=clipped_share,
        target_tokens=int(seen @ np.asarray([row.num_targets for row in rows])),
        tokens=int(seen @ np.asarray([row.num_tokens for row in rows])),
    )
