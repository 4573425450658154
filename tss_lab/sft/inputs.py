"""Packs of training rows as model inputs, and the model that turns them into a weighted loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tss_lab.config import SftConfig
from tss_lab.engine.attention import tree_attention_in
from tss_lab.engine.forward import decoder_of, encode
from tss_lab.engine.head import Head, head_of
from tss_lab.engine.plain import plain_logprobs
from tss_lab.engine.tree import TreePack, build_pack, flat_pack
from tss_lab.sft.batches import Pack, packs_of_rank
from tss_lab.sft.cross_entropy import liger_weighted_nll, weighted_nll
from tss_lab.sft.loss import token_coefficients
from tss_lab.sft.plan import TrainingPlan
from tss_lab.sft.rows import TrainingRow
from tss_lab.types import FloatArray, IntArray, TokenPair


@dataclass(frozen=True, eq=False)
class PackInput:
    """Rows that go through the model together: one row without padding (``tree``), or padded (``ids_BT``, ``mask_BT``).

    ``plain`` is a single row for the model's own pass and whole logits, by which the others are checked.
    ``position_R`` is where, in the flattened tokens, ``target_R`` is predicted; ``row_R`` the place of
    its example in the optimiser batch. ``counts`` is False for a stand-in on a device that has no rows:
    it takes part in the collective operations and adds nothing.
    """

    position_R: IntArray
    target_R: IntArray
    row_R: IntArray
    tree: TreePack | None = None
    ids_BT: IntArray | None = None
    mask_BT: IntArray | None = None
    plain: TokenPair | None = None
    counts: bool = True

    @classmethod
    def alone(cls, pair: TokenPair) -> PackInput:
        """A row for a plain pass."""
        targets = len(pair.target_ids)
        positions = np.arange(len(pair.prompt_ids) - 1, len(pair.prompt_ids) - 1 + targets)
        return cls(positions, np.asarray(pair.target_ids), np.zeros(targets, np.int64), plain=pair)


@dataclass(frozen=True, eq=False)
class StepBatch:
    """One optimiser batch: all of its examples, and the packs of this device.

    ``coefficient_B`` is each example's factor of a target token's nll (``loss.token_coefficients``).
    """

    step: int
    rows: list[TrainingRow]
    coefficient_B: FloatArray
    packs: list[PackInput]


def step_batch(plan: TrainingPlan, step: int, config: SftConfig, rank: int, world_size: int) -> StepBatch:
    """The batch of optimiser step ``step`` as device ``rank`` sees it."""
    rows = [plan.rows[row] for row in plan.order.rows_of_step(step)]
    coefficient_B = token_coefficients(
        np.asarray([row.weight for row in rows]), np.asarray([row.num_targets for row in rows]), config.reduction
    )
    packs = packs_of_rank([row.num_tokens for row in rows], config, rank, world_size)
    return StepBatch(step, rows, coefficient_B, [pack_input(rows, pack, config.packing) for pack in packs])


def pack_input(rows: Sequence[TrainingRow], pack: Pack, packing: str) -> PackInput:
    """The input of the rows at the positions ``pack``; a stand-in where there are none.

    Args:
        packing: ``tree``, ``flat`` or ``padded``, as ``packing.decided`` leaves it.
    """
    assert packing != "auto", "packing.decided comes first"
    counts = bool(pack)
    pack = pack or [min(range(len(rows)), key=lambda row: rows[row].num_tokens)]
    pairs = [(rows[row].prompt_ids, rows[row].target_ids) for row in pack]
    row_R = np.repeat(np.asarray(pack, np.int64), [len(target) for _, target in pairs])
    if packing != "padded":
        tree = build_pack(pairs) if packing == "tree" else flat_pack(pairs)
        return PackInput(tree.row_R, tree.target_id_R, row_R, tree=tree, counts=counts)
    longest = max(rows[row].num_tokens for row in pack)
    ids_BT = np.zeros((len(pack), longest), np.int64)
    mask_BT = np.zeros((len(pack), longest), np.int64)
    positions = []
    for line, (prompt, target) in enumerate(pairs):
        length = len(prompt) + len(target) - 1
        ids_BT[line, :length] = [*prompt, *target[:-1]]
        mask_BT[line, :length] = 1
        positions.append(np.arange(line * longest + len(prompt) - 1, line * longest + length))
    return PackInput(
        np.concatenate(positions), np.concatenate([np.asarray(target) for _, target in pairs]), row_R,
        ids_BT=ids_BT, mask_BT=mask_BT, counts=counts,
    )  # fmt: skip


class StepLoader:
    """The optimiser batches from ``start`` on; ``len`` counts all of the training's."""

    def __init__(self, plan: TrainingPlan, config: SftConfig, start: int, rank: int, world_size: int):
        self.plan, self.config = plan, config
        self.start, self.rank, self.world_size = start, rank, world_size

    def __len__(self) -> int:
        return self.plan.steps

    def __iter__(self) -> Iterator[StepBatch]:
        for step in range(self.start, self.plan.steps):
            yield step_batch(self.plan, step, self.config, self.rank, self.world_size)

    # The order follows from the step alone, so there is no state; having the pair of methods tells
    # Lightning that a training may go on in the middle.
    def state_dict(self) -> dict[str, int]:
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        pass


def attention_for(model: PreTrainedModel, config: SftConfig) -> AbstractContextManager[None]:
    """Rows without padding need the tree attention; padded ones take the model's own (``packing.decided``)."""
    return contextlib.nullcontext() if config.packing == "padded" else tree_attention_in(model)


class TargetModel(nn.Module):
    """A causal language model that is asked for nothing but the loss at its target positions."""

    def __init__(self, model: PreTrainedModel, config: SftConfig):
        super().__init__()
        self.model = model
        self.cross_entropy = config.cross_entropy
        self.memory_bytes = config.logits_memory_mb << 20
        self.train(model.training)  # so that whoever asks and puts it back doesn't turn the model's dropout on

    def forward(self, pack: PackInput, coefficient_B: Tensor) -> tuple[Tensor, Tensor]:
        """``Σ coefficient·nll`` over the pack's target tokens, and each one's nll (R,) without gradient."""
        device = coefficient_B.device
        if pack.plain is not None:
            nll_R = -plain_logprobs(self.model, pack.plain)[0].float()
            return torch.dot(nll_R, coefficient_B[torch.from_numpy(pack.row_R).to(device)]), nll_R
        if pack.tree is not None:
            hidden_TD = encode(self.model, pack.tree)
        else:
            assert pack.ids_BT is not None
            assert pack.mask_BT is not None
            ids_BT, mask_BT = torch.from_numpy(pack.ids_BT).to(device), torch.from_numpy(pack.mask_BT).to(device)
            output = decoder_of(self.model)(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False)
            hidden_TD = output.last_hidden_state.flatten(0, 1)
        hidden_RD = hidden_TD[torch.from_numpy(pack.position_R).to(device)]
        target_R = torch.from_numpy(pack.target_R).to(device)
        coefficient_R = coefficient_B[torch.from_numpy(pack.row_R).to(device)] * float(pack.counts)
        head = head_of(self.model)
        if self.cross_entropy == "liger":
            return liger_weighted_nll(hidden_RD, head, target_R, coefficient_R)
        return weighted_nll(
            hidden_RD, head, target_R, coefficient_R, self.memory_bytes, add_to_VD=self._gradient_of(head)
        )

    def _gradient_of(self, head: Head) -> Tensor | None:
        """Where a further pack's gradient of a tied head goes at once; None where autograd should bring it.

        A tied head's parameter is visited by autograd in any case, for the embeddings, so whoever waits
        for its gradient (DDP) isn't passed by.
        """
        # .grad is None before a step's first pack: that one goes through autograd, which makes the tensor to add to.
        tied = head.weight_VD is self.model.get_input_embeddings().weight
        return head.weight_VD.grad if tied and torch.is_grad_enabled() else None
