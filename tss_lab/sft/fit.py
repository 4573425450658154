"""Fine-tuning from examples and weights to a model directory: planned, resumable, on many devices."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy

from tss_lab.config import SftConfig, TrainerConfig
from tss_lab.errors import ArtifactError, TrainingError
from tss_lab.models import LocalModel, free_memory, load_model, model_config
from tss_lab.models.devices import accelerator, check_devices
from tss_lab.prompts import PromptEncoder
from tss_lab.sft import checkpoints
from tss_lab.sft.adapt import parameter_counts, prepare_model
from tss_lab.sft.export import export_model
from tss_lab.sft.inputs import TargetModel
from tss_lab.sft.module import WeightedTuning
from tss_lab.sft.packing import decided
from tss_lab.sft.plan import TrainingPlan, plan_training
from tss_lab.sft.progress import LossLines
from tss_lab.sft.rows import encode_rows
from tss_lab.sft.sample import sample_after, sample_before
from tss_lab.sft.sharding import prepared_outline, share_out
from tss_lab.types import Example, FloatArray, SetAside

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What came of a training.

    ``curve`` has an entry an optimiser step: step, loss, learning_rate, gradient_norm, target_tokens (so
    far); ``held_out`` one each time the held-out loss was taken. ``reused``: the folder held this very
    training already, finished.
    """

    model_folder: Path
    metrics: dict[str, float]
    curve: list[dict[str, float]]
    held_out: list[dict[str, float]]
    set_aside: list[SetAside]
    seconds: float
    reused: bool


def fine_tune(
    examples: Sequence[Example],
    weight_N: FloatArray,
    held_out: Sequence[Example],
    local_model: LocalModel,
    encoder: PromptEncoder,
    sft: SftConfig,
    trainer: TrainerConfig,
    seed: int,
    folder: Path,
    loggers: Sequence[Logger],
    identity: Mapping[str, Any],
    *,
    card: Mapping[str, Any] | None = None,
    steps_fraction: float = 1.0,
    clipped_share: float = 0.0,
    may_train: bool = True,
) -> TrainingResult:
    """Tunes a copy of ``local_model`` on weighted examples and writes it to ``folder/model``.

    Called again after a kill, it goes on from the last checkpoint to the same weights (bit for bit on
    one CPU); called again after the end, it returns what is there.

    Args:
        weight_N: one weight an example, on any scale.
        held_out: examples whose loss is taken before, during (``sft.validate_every``) and after.
        folder: gets ``checkpoints/`` (while training), ``model/`` and ``training.json``.
        identity: what determines the outcome, as plain values; another one in the folder is refused.
        card: what the model card states beside the plan and the recipe.
        steps_fraction, clipped_share: see ``plan_training``.

        may_train: whether an unfinished training may go on; else ArtifactError is raised.

    Raises TrainingError on unusable weights, a loss that isn't finite, a foreign checkpoint or a full
    disk; ConfigError when the device, peft or Liger isn't there, or the model can't have ``sft.packing``.
    """
    plan = plan_training(
        examples, weight_N, encoder, sft, seed, steps_fraction=steps_fraction, clipped_share=clipped_share
    )
    identity = {**identity, "training_set": _training_set(plan), "steps": plan.steps}
    record = checkpoints.finished_record(folder, identity)
    if record and (folder / "model").is_dir():
        log.info("%s holds this training already, finished; nothing is trained", folder)
        return _result(record, plan, folder, reused=True)
    if not may_train:
        raise ArtifactError(f"{folder} holds no finished training of these settings; add sft to stages")
    sft = decided(sft, model_config(local_model.folder))
    with _quiet_lightning():
        lightning = make_trainer(trainer, plan.steps, sft, folder, loggers)
    model, hand_out = _model_on_devices(lightning, local_model, sft, trainer, seed)
    counts = parameter_counts(model.model)
    if lightning.is_global_zero:
        log.info("%s", plan.sentence(plan.flops(counts["body"], counts["head"])))
        checkpoints.write_record(folder, identity, complete=False, result={})
    held_out_rows = encode_rows(held_out, np.ones(len(held_out)), encoder, sft.max_length)[0] if held_out else []
    sample = None
    if lightning.is_global_zero and trainer.strategy != "fsdp":  # a shard can't generate
        sample = sample_before(model.model, held_out, examples, encoder, lightning.strategy.root_device)
    dtype = "bfloat16" if trainer.precision == "bf16-mixed" else "float32"
    module = WeightedTuning(model, plan, held_out_rows, sft, seed, dtype, hand_out)
    del hand_out  # the module lets it go once it is done, and with it a whole model
    checkpoint = checkpoints.newest_checkpoint(folder)
    if checkpoint:
        log.info("going on from %s", checkpoint.name)
    with _quiet_lightning(), module.attention:
        lightning.fit(module, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)
    if len(module.curve) != plan.steps:
        raise TrainingError(
            f"training stopped after {len(module.curve)} of {plan.steps} steps; run the same command again to go on"
        )
    result = _outcome(module, plan, counts)
    finished = _whole_model(lightning, module, local_model, sft, seed)
    if lightning.is_global_zero:
        described = {**(card or {}), "training": plan.metrics(), "sft": sft.model_dump(), "seed": seed}
        sample = sample and sample_after(sample, finished, encoder, lightning.strategy.root_device)
        export_model(
            finished, encoder, local_model, folder, described, sample, merge_lora=bool(sft.lora and sft.lora.merge)
        )
        checkpoints.write_record(folder, identity, complete=True, result=result)
        checkpoints.remove_checkpoints(folder)
        log.info(
            "tuned in %.0f s, loss %.3f -> %.3f", module.seconds, module.curve[0]["loss"], module.curve[-1]["loss"]
        )
    lightning.strategy.barrier()
    del lightning, module, model, finished
    free_memory()
    return _result(result, plan, folder, reused=False)


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


def _strategy(config: TrainerConfig) -> Any:
    if config.strategy == "fsdp":
        devices = max(1, torch.cuda.device_count()) if config.devices == "auto" else config.devices
        # Sharded by fully_shard, which also runs on CPU processes; checkpoints are single whole files.
        return ModelParallelStrategy(
            data_parallel_size=devices * config.num_nodes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    several = config.num_nodes > 1 or (isinstance(config.devices, int) and config.devices > 1)
    if config.strategy == "ddp" or several:
        return DDPStrategy(gradient_as_bucket_view=True)
    return "auto"


def _model_on_devices(
    lightning: pl.Trainer, base: LocalModel, sft: SftConfig, trainer: TrainerConfig, seed: int
) -> tuple[TargetModel, Callable[[ModelParallelStrategy], None] | None]:
    """The model to train; under ``trainer=fsdp`` an outline, and what fills it once the devices have met."""
    sharded = isinstance(lightning.strategy, ModelParallelStrategy)
    whole = None
    if lightning.is_global_zero or not sharded:
        whole = TargetModel(prepare_model(load_model(base.folder), sft, seed), sft)
    if not sharded:
        assert whole is not None
        return whole, None
    outline = TargetModel(prepared_outline(base.folder, sft, seed), sft)
    return outline, partial(share_out, target=outline, whole=whole, mixed=trainer.precision == "bf16-mixed")


def _whole_model(lightning: pl.Trainer, module: WeightedTuning, base: LocalModel, sft: SftConfig, seed: int) -> Any:
    """The tuned model on this device; gathered into a fresh one on the first device when it is sharded."""
    if not module.is_sharded:
        return module.target_model.model
    state = lightning.strategy.lightning_module_state_dict()
    if not lightning.is_global_zero:
        return None
    model = prepare_model(load_model(base.folder), sft, seed)
    prefix = "target_model.model."
    model.load_state_dict({name.removeprefix(prefix): value for name, value in state.items()})
    return model


def _outcome(module: WeightedTuning, plan: TrainingPlan, counts: Mapping[str, int]) -> dict[str, Any]:
    """What ``training.json`` keeps of a finished training."""
    metrics: dict[str, float] = {
        **plan.metrics(),
        "sft/loss_first": module.curve[0]["loss"],
        "sft/loss_last": module.curve[-1]["loss"],
        "sft/seconds": module.seconds,
        "sft/target_tokens_per_second": plan.target_tokens / module.seconds,
        "sft/flops": plan.flops(counts["body"], counts["head"]),
        "sft/trainable_parameters": counts["trainable"],
    }
    if torch.cuda.is_available():
        metrics["sft/peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
    if module.held_out:
        metrics |= {f"sft/{name}_before": value for name, value in module.held_out[0].items() if name != "step"}
        metrics |= {f"sft/{name}": value for name, value in module.held_out[-1].items() if name != "step"}
    if module.self_check is not None:
        metrics["sft/self_check_max_difference_per_token"] = module.self_check.per_token
        metrics["sft/self_check_tolerance_per_token"] = module.self_check.tolerance
    return {
        "metrics": metrics,
        "curve": module.curve,
        "held_out": module.held_out,
        "seconds": module.seconds,
        "packing": module.config.packing,
    }


def _result(record: Mapping[str, Any], plan: TrainingPlan, folder: Path, *, reused: bool) -> TrainingResult:
    return TrainingResult(
        model_folder=folder / "model",
        metrics=record["metrics"],
        curve=record["curve"],
        held_out=record["held_out"],
        set_aside=plan.set_aside,
        seconds=record["seconds"],
        reused=reused,
    )


def _training_set(plan: TrainingPlan) -> str:
    """Hash over ids, tokens and weights of what is trained on, in order."""
    digest = hashlib.sha256()
    for row in plan.rows:
        digest.update(f"{row.example_id} {row.weight!r} {len(row.prompt_ids)} ".encode())
        digest.update(np.asarray([*row.prompt_ids, *row.target_ids], np.int32).tobytes())
    return digest.hexdigest()[:32]


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
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
