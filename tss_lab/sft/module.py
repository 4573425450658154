"""The Lightning module: one batch is one optimiser step, cut into packs.

Each pack's backward adds its share to the gradient of the batch loss, so nothing depends on how the
batch was cut. Devices average their gradients, so each scales its share by their number.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tss_lab.config import SftConfig
from tss_lab.errors import TrainingError
from tss_lab.sft.batches import packs_of_rank
from tss_lab.sft.heldout import HeldOutLoss, add_sums, row_losses
from tss_lab.sft.inputs import StepBatch, StepLoader, TargetModel, attention_for, pack_input
from tss_lab.sft.loss import batch_loss
from tss_lab.sft.optimiser import learning_rate, make_optimiser
from tss_lab.sft.packing import checked
from tss_lab.sft.plan import TrainingPlan
from tss_lab.sft.rows import TrainingRow
from tss_lab.sft.sharding import share_out_again

if TYPE_CHECKING:
    from tss_lab.engine.self_check import SelfCheck

log = logging.getLogger(__name__)


class WeightedTuning(pl.LightningModule):
    """Trains a ``TargetModel`` by a plan.

    ``curve`` has an entry an optimiser step (loss before the step, in nats); ``held_out`` one each time
    the held-out loss was taken, the first at step 0. ``config.packing`` is ``tree``, ``flat`` or ``padded``;
    ``self_check`` is what was found before the first step. Fit it inside ``with module.attention``.

    Args:
        dtype: of the computation, ``float32`` or ``bfloat16``.
        share_out: gives the devices their shards once they have met (``trainer=fsdp``).
    """

    def __init__(
        self,
        target_model: TargetModel,
        plan: TrainingPlan,
        held_out: Sequence[TrainingRow],
        config: SftConfig,
        seed: int,
        dtype: str = "float32",
        share_out: Callable[[ModelParallelStrategy], None] | None = None,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.attention = contextlib.ExitStack()
        self.self_check: SelfCheck | None = None
        self._computed_in = dtype
        self.target_model = target_model
        self.plan, self.config, self.seed = plan, config, seed
        self._share_out = share_out
        self.held_out_rows = list(held_out)
        self.curve: list[dict[str, float]] = []
        self.held_out: list[dict[str, float]] = []
        self.seconds_before = 0.0
        self.started = time.perf_counter()
        # Frozen weights (LoRA, frozen embeddings) aren't in the checkpoints.
        self.frozen = {
            name for name, parameter in self.named_parameters(remove_duplicate=False) if not parameter.requires_grad
        }
        self.strict_loading = not self.frozen

    @property
    def seconds(self) -> float:
        """Wall-clock of the training, with that before a resume."""
        return self.seconds_before + time.perf_counter() - self.started

    def configure_model(self) -> None:
        """Called once all devices have met."""
        if self._share_out:
            self._share_out(self.trainer.strategy)  # type: ignore[arg-type]
            self._share_out = None  # and with it the first device's whole model

    @property
    def is_sharded(self) -> bool:
        from torch.distributed.tensor import DTensor

        return any(isinstance(parameter, DTensor) for parameter in self.parameters())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimiser(self.target_model, self.config)

    def train_dataloader(self) -> StepLoader:
        return StepLoader(
            self.plan, self.config, self.trainer.global_step, self.trainer.global_rank, self.trainer.world_size
        )

    def transfer_batch_to_device(self, batch: StepBatch, device: torch.device, dataloader_idx: int) -> StepBatch:
        return batch

    def training_step(self, batch: StepBatch, batch_idx: int) -> None:
        """One optimiser step. Raises TrainingError, with the step undone, when a loss or gradient isn't finite."""
        step, steps = batch.step, self.plan.steps
        # Dropout, where there is any, follows from seed, step and device, so that a resume repeats it.
        torch.manual_seed(int(np.random.SeedSequence([self.seed, step, self.trainer.global_rank]).generate_state(1)[0]))
        optimiser: Any = self.optimizers()
        rate = learning_rate(step, steps, self.config)
        for group in optimiser.param_groups:
            group["lr"] = rate
        coefficient_B = torch.tensor(
            batch.coefficient_B * self.trainer.world_size, dtype=torch.float32, device=self.device
        )
        sums = torch.zeros(len(batch.rows), dtype=torch.float64, device=self.device)
        for index, pack in enumerate(batch.packs):
            loss, nll_R = self.target_model(pack, coefficient_B)
            add_sums(sums, pack, nll_R)
            with self._gradients_held_back(index < len(batch.packs) - 1):
                self.manual_backward(loss)
        nll_sum_B = self._over_devices(sums).cpu().numpy()
        if not np.isfinite(nll_sum_B).all():
            self._stop(
                batch, "loss", [row for row, nll in zip(batch.rows, nll_sum_B, strict=True) if not np.isfinite(nll)]
            )
        norm = self._clipped_norm()
        if not np.isfinite(norm):
            self._stop(batch, "gradient", batch.rows)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self._record(batch, batch_loss(nll_sum_B, batch.coefficient_B), rate, norm)
        every, done = self.config.validate_every, step + 1
        if done >= self.plan.steps or (every and done % every == 0):
            self._take_held_out(done)

    def on_fit_start(self) -> None:
        """Compares the packing with plain passes over a few examples, and pads rows where they differ."""
        if self.config.packing == "padded":
            return
        rows = [self.plan.rows[row] for row in self.plan.order.rows_of_step(0)]
        with self.trainer.precision_plugin.val_step_context():
            self.self_check, reason = checked(self.target_model, rows, self.config, self._computed_in)
        share_out_again(self.target_model)
        if self._over_devices(torch.tensor(float(reason is not None), device=self.device)) > 0:
            log.warning("rows are padded (sft.packing=padded): %s", reason or "another device found a difference")
            self.config = self.config.model_copy(update={"packing": "padded"})
        self.attention.enter_context(attention_for(self.target_model.model, self.config))

    def on_train_start(self) -> None:
        if not self.held_out:
            self._take_held_out(0)

    def held_out_loss(self) -> HeldOutLoss | None:
        """The held-out loss now, shared out over the devices; None without held-out examples."""
        rows = self.held_out_rows
        if not rows:
            return None
        packs = packs_of_rank(
            [row.num_tokens for row in rows], self.config, self.trainer.global_rank, self.trainer.world_size
        )
        with self.trainer.precision_plugin.val_step_context():
            sums = row_losses(
                self.target_model,
                [pack_input(rows, pack, self.config.packing) for pack in packs],
                len(rows),
                self.device,
            )
        return HeldOutLoss.of(self._over_devices(sums).cpu().numpy(), rows)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"] = {
            name: value for name, value in checkpoint["state_dict"].items() if name not in self.frozen
        }
        checkpoint["tss_lab"] = {"curve": self.curve, "held_out": self.held_out, "seconds": self.seconds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        known = checkpoint["tss_lab"]
        self.curve, self.held_out, self.seconds_before = list(known["curve"]), list(known["held_out"]), known["seconds"]

    def _gradients_held_back(self, hold: bool) -> AbstractContextManager[None]:
        """DDP averages once a step, at the last backward; under FSDP every backward reduces its shards."""
        model = self.trainer.strategy.model
        if hold and isinstance(model, DistributedDataParallel):
            held: AbstractContextManager[None] = model.no_sync()
            return held
        return contextlib.nullcontext()

    def _over_devices(self, values: Tensor) -> Tensor:
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(values)
        return values

    def _clipped_norm(self) -> float:
        """Norm of the gradient before clipping."""
        limit = self.config.gradient_clip or torch.inf
        norm: Any = torch.nn.utils.clip_grad_norm_([p for p in self.parameters() if p.requires_grad], limit)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def _stop(self, batch: StepBatch, what: str, rows: Sequence[TrainingRow]) -> None:
        self.optimizers().zero_grad(set_to_none=True)  # type: ignore[union-attr]
        named = ", ".join(row.example_id for row in rows[:16])
        raise TrainingError(
            f"the {what} of batch {batch.step} is not a finite number (examples {named}); "
            "the last checkpoint before it is kept. Lower sft.learning_rate, or look at these examples, "
            "and start under another run_name"
        )

    def _take_held_out(self, step: int) -> None:
        found = self.held_out_loss()
        if found is None:
            return
        self.held_out.append({"step": float(step), **found.metrics()})
        self._to_loggers({f"sft/{name}": value for name, value in found.metrics().items()}, step)

    def _record(self, batch: StepBatch, loss: float, rate: float, norm: float) -> None:
        seen = self.curve[-1]["target_tokens"] if self.curve else 0.0
        entry = {
            "step": float(batch.step + 1),
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": norm,
            "target_tokens": seen + sum(row.num_targets for row in batch.rows),
        }
        self.curve.append(entry)
        self.log("loss", loss, prog_bar=True, logger=False)
        self._to_loggers({f"sft/{name}": value for name, value in entry.items() if name != "step"}, batch.step + 1)

    def _to_loggers(self, values: dict[str, float], step: int) -> None:
        if self.trainer.is_global_zero:
            for logger in self.loggers:
                logger.log_metrics(values, step=step)
