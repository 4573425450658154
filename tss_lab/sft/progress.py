"""How far a training is, in lines of the log: what stands in a file where no terminal shows a bar."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger(__name__)
MOST_LINES = 50


class LossLines(pl.Callback):
    """A line at the first optimiser step, the last, and each so many between: step, loss, time left."""

    def __init__(self, steps: int):
        self.steps = steps
        self.every = -(-steps // MOST_LINES)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Says the loss of the step that ``WeightedTuning`` has just made."""
        step, loss = int(pl_module.curve[-1]["step"]), pl_module.curve[-1]["loss"]
        if not trainer.is_global_zero or not (step % self.every == 0 or step in (1, self.steps)):
            return
        left = pl_module.seconds / step * (self.steps - step)
        log.info("step %d of %d: loss %.4f, about %s left", step, self.steps, loss, _duration(left))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
