"""The frozen pass as a LightningModule: one pack a predict step, each pack on exactly one device."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from tss_lab.config import ScoringConfig
from tss_lab.engine.score import Scorer, pack_indices
from tss_lab.models import load_model
from tss_lab.scoring.cost import PassCost, pass_cost
from tss_lab.scoring.pace import Pace, expected_seconds, range_in_words
from tss_lab.scoring.turn import Turn
from tss_lab.types import FloatArray, TokenPair

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

Scored = tuple[list[int], list[FloatArray]]
"""Indices into the module's pairs, and the log-likelihood of each target token, an array a pair."""


class ScoringModule(pl.LightningModule):
    """Scores ``pairs`` under the model in ``folder``.

    Rank 0 decides which pairs are due, how large a pack is and which engine runs; all ranks follow, so
    that each pair is computed exactly once whatever the number of processes. The model is loaded once
    it is known that something is due.

    Args:
        pairs: distinct pairs of the plan, the same on every rank.
        turn: the right to compute those that the store lacks.
    """

    def __init__(self, folder: Path, scoring: ScoringConfig, pairs: list[TokenPair], turn: Turn):
        super().__init__()
        self.folder = folder
        self.scoring = scoring
        self.pairs = pairs
        self.turn = turn
        self.due: list[int] = []
        self.model: PreTrainedModel | None = None
        self.scorer: Scorer | None = None
        self.cost: PassCost | None = None
        self.pace: Pace | None = None
        self.allow_zero_length_dataloader_with_multiple_devices = True  # fewer packs than devices

    def setup(self, stage: str) -> None:
        """Agrees on the pairs before any model is loaded."""
        self.due = self.turn.take(self.trainer.strategy)

    def configure_model(self) -> None:
        if self.due and self.model is None:
            self.model = load_model(self.folder, self.scoring.dtype).requires_grad_(False)

    def predict_dataloader(self) -> DataLoader[list[int]]:
        """The packs of this rank: every world_size-th one."""
        packs: list[list[int]] = []
        if self.model is not None:
            self.scorer = scorer = Scorer(self.model, self.scoring)
            due = [self.pairs[index] for index in self.due]
            if self.trainer.is_global_zero:
                scorer.check(due)
            strategy = self.trainer.strategy
            scorer.engine, scorer.tokens_per_pack = strategy.broadcast((scorer.engine, scorer.tokens_per_pack))
            packs = [[self.due[index] for index in pack] for pack in pack_indices(due, scorer.tokens_per_pack)]
            self._announce(packs)
        mine = packs[self.trainer.global_rank :: self.trainer.world_size]
        return DataLoader(mine, batch_size=None, collate_fn=_as_is)  # type: ignore[arg-type]

    def predict_step(self, batch: list[int]) -> Scored:
        """One pack: indices into ``pairs`` -> the same and their tokens' log-likelihoods in nats."""
        assert self.scorer is not None
        logprobs, _ = self.scorer.token_logprobs([self.pairs[index] for index in batch])
        if self.pace is not None and (sentence := self.pace.pack_done()):
            log.info("%s", sentence)
        return batch, logprobs

    def release(self) -> None:
        """Lets go of the weights. Lightning's trainer and this module refer to each other, so that they would
        stay until Python looks for cycles, which large tensors don't make it do."""
        self.model = None
        if self.scorer is not None:
            del self.scorer.model

    def _announce(self, packs: list[list[int]]) -> None:
        """Says what is to be done, and begins to measure the pace; on rank 0."""
        if not self.trainer.is_global_zero or self.model is None:
            return
        config = self.model.config.get_text_config()
        self.cost = cost = pass_cost(config, self.pairs, packs)
        devices = self.trainer.world_size
        expected = expected_seconds(cost.flops, self.device, self.model.dtype, devices)
        log.info(
            "scoring %d pairs on %d device(s): %d tokens, %d of them computed; about %s, told anew as it goes",
            cost.num_pairs, devices, cost.num_tokens_unshared, cost.num_tokens, range_in_words(*expected),
        )  # fmt: skip
        self.pace = Pace([pass_cost(config, self.pairs, [pack]).flops for pack in packs[::devices]])


def _as_is(indices: list[int]) -> list[int]:
    return indices
