"""The Lightning trainer of a training: devices, strategy, what it prints and where its checkpoints go."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy

from tss_lab.config import SftConfig, TrainerConfig
from tss_lab.models.devices import accelerator, check_devices
from tss_lab.sft import checkpoints
from tss_lab.sft.progress import LossLines


def make_trainer(
    config: TrainerConfig, steps: int, sft: SftConfig, folder: Path, loggers: Sequence[Logger]
) -> pl.Trainer:
    """A Lightning trainer for ``steps`` optimiser steps. Raises ConfigError when there is no such device."""
    check_devices(config)
    callbacks: list[pl.Callback] = [checkpoints.CheckpointEvery(folder, sft.checkpoint_every, steps)]
    watched = sys.stdout.isatty()
    callbacks.append(_Bar(refresh_rate=1, leave=True) if watched else LossLines(steps))
    return pl.Trainer(
        accelerator=accelerator(config),
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=_strategy(config),
        # Shards have their own policy (sft.sharding): autocast would keep a copy of every weight besides.
        precision="32-true" if config.strategy == "fsdp" else config.precision,
        deterministic=config.deterministic,
        max_steps=steps,
        max_epochs=-1,
        callbacks=callbacks,
        logger=list(loggers) or False,
        plugins=[checkpoints.AtomicCheckpointIO()],
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=watched,
        use_distributed_sampler=False,
        log_every_n_steps=1,
    )


class _Bar(RichProgressBar):
    """Lightning's bar over optimiser steps, with rate, time left and loss."""

    def _get_train_description(self, current_epoch: int) -> str:
        return "Tuning"

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class _Shards(ModelParallelStrategy):
    """Reads checkpoints by itself, past the trainer's own reader of them."""

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        with checkpoints.named_when_damaged(checkpoint_path):
            return super().load_checkpoint(checkpoint_path, weights_only)


def _strategy(config: TrainerConfig) -> Any:
    if config.strategy == "fsdp":
        devices = max(1, torch.cuda.device_count()) if config.devices == "auto" else config.devices
        # Sharded by fully_shard, which also runs on CPU processes; checkpoints are single whole files.
        return _Shards(
            data_parallel_size=devices * config.num_nodes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    several = config.num_nodes > 1 or (isinstance(config.devices, int) and config.devices > 1)
    if config.strategy == "ddp" or several:
        return DDPStrategy(gradient_as_bucket_view=True)
    return "auto"


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's notices about hardware and loaders out of the log; its warnings proper stay."""
    noisy = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level = noisy.level
    noisy.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*in eval mode.*")
            warnings.filterwarnings("ignore", message=".*srun.*")
            warnings.filterwarnings("ignore", message=".*treespec.*")
            yield
    finally:
        noisy.setLevel(level)
