"""Writes likelihoods to the store while they are computed, so that a killed run loses seconds, not hours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning
from pytorch_lightning.callbacks import BasePredictionWriter

from tss_lab.engine.score import summed
from tss_lab.errors import ModelError
from tss_lab.runs.likelihoods import stored_rows, stored_tokens
from tss_lab.scoring.module import Scored, ScoringModule
from tss_lab.scoring.turn import Turn
from tss_lab.types import FloatArray, TokenPair

_FLUSH_SECONDS = 30.0


class LikelihoodWriter(BasePredictionWriter):
    """Appends a shard each ``pairs_per_shard`` pairs or 30 seconds, whichever comes first, on every rank.

    Args:
        turn: where the likelihoods go, and those of single tokens, where they are wanted.

    Raises ModelError, naming the pair, for a log-likelihood that is not a finite number; such a number
    is never written, and those computed before it are.
    """

    def __init__(self, turn: Turn, pairs_per_shard: int):
        super().__init__(write_interval="batch")
        self.turn = turn
        self.pairs_per_shard = pairs_per_shard
        self.num_written = 0
        self._held: list[tuple[int, TokenPair, float, FloatArray]] = []
        self._flushed_at = time.monotonic()

    def write_on_batch_end(
        self,
        trainer: pytorch_lightning.Trainer,
        pl_module: pytorch_lightning.LightningModule,
        prediction: Scored,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Takes over the likelihoods of one pack."""
        assert isinstance(pl_module, ScoringModule)
        indices, logprobs = prediction
        loglik_P = summed(logprobs).tolist()
        scored = [
            (index, pl_module.pairs[index], value, logprob_R)
            for index, value, logprob_R in zip(indices, loglik_P, logprobs, strict=True)
        ]
        bad = [(pair, value) for _, pair, value, _ in scored if not np.isfinite(value)]
        self._held += [one for one in scored if np.isfinite(one[2])]
        if bad:
            self.flush()
            raise ModelError(_not_a_number(pl_module, *bad[0], len(bad)))
        if len(self._held) >= self.pairs_per_shard or time.monotonic() - self._flushed_at > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what is held as one shard."""
        new = [(pair, value) for index, pair, value, _ in self._held if index in self.turn.new]
        if new:
            self.turn.artifact.append(stored_rows([pair for pair, _ in new], [value for _, value in new]))
        if self._held and self.turn.tokens is not None:
            self.turn.tokens.append(
                stored_tokens([pair for _, pair, _, _ in self._held], [one[3] for one in self._held])
            )
        self.num_written += len(self._held)
        self._held = []
        self._flushed_at = time.monotonic()

    def on_predict_epoch_end(
        self, trainer: pytorch_lightning.Trainer, pl_module: pytorch_lightning.LightningModule
    ) -> None:
        self.flush()

    def on_exception(
        self,
        trainer: pytorch_lightning.Trainer,
        pl_module: pytorch_lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        self.flush()


def _not_a_number(module: ScoringModule, pair: TokenPair, value: float, num: int) -> str:
    assert module.model is not None
    damaged = [name for name, weight in module.model.named_parameters() if not bool(weight.isfinite().all())]
    if damaged:
        cause = (
            f"the weights hold numbers that are not finite ({damaged[0]}); take an undamaged copy of {module.folder}"
        )
    else:
        cause = f"its logits overflow in {module.scoring.dtype}; take scoring.dtype=float32"
    where = f"alternative {pair.alternative_index}" if pair.alternative_index >= 0 else f"{pair.kind.value} prompt"
    return (
        f"the log-likelihood of example {pair.example_id} under its {where} is {value}, and {num - 1} more of its "
        f"batch are not finite: {cause}. Nothing of them was written"
    )
