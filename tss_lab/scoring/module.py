"""The frozen pass as a LightningModule: one pack a predict step, each pack on exactly one device."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from tss_lab.config import ScoringConfig
from tss_lab.engine.score import Scorer, pack_indices
from tss_lab.errors import ModelError
from tss_lab.models import load_model
from tss_lab.scoring.check import TOLERANCE, check_indices, largest_difference
from tss_lab.scoring.cost import PassCost, matmul_rate, pass_cost
from tss_lab.types import FloatArray, TokenPair

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

Scored = tuple[list[int], FloatArray]
"""Indices into the module's pairs, and their log-likelihoods."""


class ScoringModule(pl.LightningModule):
    """Scores ``pairs`` under the model in ``folder``.

    Rank 0 decides which pairs are due, how large a pack is and which engine runs; all ranks follow, so
    that each pair is computed exactly once whatever the number of processes. The model is loaded once
    it is known that something is due.

    Args:
        pairs: distinct pairs of the plan, the same on every rank.
        due: indices of those that are not in the store, as rank 0 sees it.
    """

    def __init__(self, folder: Path, scoring: ScoringConfig, pairs: list[TokenPair], due: list[int]):
        super().__init__()
        self.folder = folder
        self.scoring = scoring
        self.pairs = pairs
        self.due = due
        self.model: PreTrainedModel | None = None
        self.scorer: Scorer | None = None
        self.self_check_difference: float | None = None
        self.float32_rank_correlation: float | None = None
        self.cost: PassCost | None = None
        self.allow_zero_length_dataloader_with_multiple_devices = True  # fewer packs than devices

    def setup(self, stage: str) -> None:
        """Agrees on the pairs before any model is loaded."""
        self.due = self.trainer.strategy.broadcast(self.due)

    def configure_model(self) -> None:
        if self.due and self.model is None:
            self.model = load_model(self.folder, self.scoring.dtype).requires_grad_(False)

    def predict_dataloader(self) -> DataLoader[list[int]]:
        """The packs of this rank: every world_size-th one."""
        packs: list[list[int]] = []
        if self.model is not None:
            self.scorer = scorer = Scorer(self.model, self.scoring)
            self._check(scorer)
            strategy = self.trainer.strategy
            scorer.engine, scorer.tokens_per_pack = strategy.broadcast((scorer.engine, scorer.tokens_per_pack))
            due = [self.pairs[index] for index in self.due]
            packs = [[self.due[index] for index in pack] for pack in pack_indices(due, scorer.tokens_per_pack)]
            self._announce(packs)
        mine = packs[self.trainer.global_rank :: self.trainer.world_size]
        return DataLoader(mine, batch_size=None, collate_fn=_as_is)  # type: ignore[arg-type]

    def predict_step(self, batch: list[int]) -> Scored:
        """One pack: indices into ``pairs`` -> the same and their log-likelihoods in nats."""
        assert self.scorer is not None
        loglik_P, _ = self.scorer.score([self.pairs[index] for index in batch])
        return batch, loglik_P

    def _check(self, scorer: Scorer) -> None:
        """Compares the tree with the plain path before anything is stored; falls back where they differ."""
        if not self.trainer.is_global_zero or scorer.engine != "tree":
            return
        due = [self.pairs[index] for index in self.due]
        chosen = [due[index] for index in check_indices(due, self.scoring.self_check_pairs)]
        if not chosen:
            return
        found = largest_difference(scorer, chosen)
        if scorer.engine != "tree":
            return  # the tree refused these pairs, and said why
        tolerance = TOLERANCE[self.scoring.dtype]
        if not found > tolerance:
            self.self_check_difference = found
            return
        reason = (
            f"tree and plain path differ by {found:.2g} nats on {len(chosen)} pairs (at most {tolerance:g} allowed)"
        )
        if self.scoring.engine == "tree":
            raise ModelError(f"scoring.engine=tree: {reason} for {self.folder.name}; take scoring.engine=plain")
        scorer.use_plain(reason)

    def _announce(self, packs: list[list[int]]) -> None:
        if not self.trainer.is_global_zero or self.model is None:
            return
        self.cost = cost = pass_cost(self.model.config.get_text_config(), self.pairs, packs)
        rate = matmul_rate(self.device, self.model.dtype) * self.trainer.world_size
        log.info(
            "scoring %d pairs on %d device(s): %d tokens, %d with shared prefixes once; %.3g TFLOP, about %.0f s",
            cost.num_pairs, self.trainer.world_size, cost.num_tokens_unshared, cost.num_tokens, cost.flops / 1e12,
            cost.seconds(rate),
        )  # fmt: skip


def _as_is(indices: list[int]) -> list[int]:
    return indices
