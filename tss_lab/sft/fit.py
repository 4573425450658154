"""Fine-tuning from examples and weights to a model directory: planned, resumable, on many devices."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import ModelParallelStrategy

from tss_lab.config import SftConfig, TrainerConfig
from tss_lab.errors import ArtifactError, TrainingError
from tss_lab.models import LocalModel, free_memory, load_model, model_config
from tss_lab.prompts import PromptEncoder
from tss_lab.sft import checkpoints
from tss_lab.sft.adapt import parameter_counts, prepare_model
from tss_lab.sft.export import export_model
from tss_lab.sft.inputs import TargetModel
from tss_lab.sft.module import WeightedTuning
from tss_lab.sft.packing import decided
from tss_lab.sft.plan import TrainingPlan, plan_training
from tss_lab.sft.rows import encode_rows
from tss_lab.sft.sample import sample_after, sample_before
from tss_lab.sft.sharding import prepared_outline, share_out
from tss_lab.sft.trainer import make_trainer, quiet_lightning
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
        folder: gets ``checkpoints/`` (while training), ``model/`` and ``training.json``; one that holds another
            training is refused.
        card: what the model card states beside the plan and the recipe.
        steps_fraction, clipped_share: see ``plan_training``.
        may_train: whether an unfinished training may go on; else ArtifactError is raised.

    Raises TrainingError on unusable weights, a loss that isn't finite, a foreign checkpoint or a full
    disk; ConfigError when the device, peft or Liger isn't there, or the model can't have ``sft.packing``.
    """
    plan = plan_training(
        examples, weight_N, encoder, sft, seed, steps_fraction=steps_fraction, clipped_share=clipped_share
    )
    identity = _identity(plan, local_model, encoder, sft, trainer, seed)
    record = checkpoints.finished_record(folder, identity)
    if record and (folder / "model").is_dir():
        log.info("%s holds this training already, finished; nothing is trained", folder)
        return _result(record, plan, folder, reused=True)
    if not may_train:
        raise ArtifactError(f"{folder} holds no finished training of these settings; add sft to stages")
    sft = decided(sft, model_config(local_model.folder))
    job = _Job(plan, local_model, encoder, sft, trainer, seed, folder, identity)
    outcome = _train(job, examples, held_out, loggers, card or {})
    free_memory()
    return _result(outcome, plan, folder, reused=False)


@dataclass(frozen=True)
class _Job:
    """A planned training, its packing decided."""

    plan: TrainingPlan
    base: LocalModel
    encoder: PromptEncoder
    sft: SftConfig
    trainer: TrainerConfig
    seed: int
    folder: Path
    identity: Mapping[str, Any]


def _train(
    job: _Job, examples: Sequence[Example], held_out: Sequence[Example], loggers: Sequence[Logger],
    card: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Trains and exports; what the record then says. No weights outlive the call."""
    with quiet_lightning():
        lightning = make_trainer(job.trainer, job.plan.steps, job.sft, job.folder, loggers)
    device = lightning.strategy.root_device
    model, hand_out = _model_on_devices(lightning, job)
    counts = parameter_counts(model.model)
    sample = None
    if lightning.is_global_zero:
        log.info("%s", job.plan.sentence(job.plan.flops(counts["body"], counts["head"])))
        checkpoints.write_record(job.folder, job.identity, complete=False, result={})
        if job.trainer.strategy != "fsdp":  # a shard can't generate
            sample = sample_before(model.model, held_out, examples, job.encoder, device)
    module = _module(job, model, held_out, hand_out)
    del hand_out  # the module lets it go once it is done, and with it a whole model
    _fit(lightning, module, job)
    outcome = _outcome(module, job.plan, counts)
    finished = _whole_model(lightning, module, job)
    if lightning.is_global_zero:
        sample = sample and sample_after(sample, finished, job.encoder, device)
        described = {**card, "training": job.plan.metrics(), "sft": job.sft.model_dump(), "seed": job.seed}
        merge = bool(job.sft.lora and job.sft.lora.merge)
        export_model(finished, job.encoder, job.base, job.folder, described, sample, merge_lora=merge)
        checkpoints.write_record(job.folder, job.identity, complete=True, result=outcome)
        checkpoints.remove_checkpoints(job.folder)
        log.info(
            "tuned in %.0f s, loss %.3f -> %.3f", module.seconds, module.curve[0]["loss"], module.curve[-1]["loss"]
        )
    lightning.strategy.barrier()
    return outcome


def _module(
    job: _Job, model: TargetModel, held_out: Sequence[Example],
    hand_out: Callable[[ModelParallelStrategy], None] | None,
) -> WeightedTuning:  # fmt: skip
    rows = encode_rows(held_out, np.ones(len(held_out)), job.encoder, job.sft.max_length)[0] if held_out else []
    dtype = "bfloat16" if job.trainer.precision == "bf16-mixed" else "float32"
    return WeightedTuning(model, job.plan, rows, job.sft, job.seed, dtype, hand_out)


def _fit(lightning: pl.Trainer, module: WeightedTuning, job: _Job) -> None:
    """All steps, from the last checkpoint on where there is one. Raises TrainingError when it ends before."""
    checkpoint = checkpoints.newest_checkpoint(job.folder)
    if checkpoint:
        log.info("going on from %s", checkpoint.name)
    with quiet_lightning(), module.attention:
        lightning.fit(module, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)
    done, steps = len(module.curve), job.plan.steps
    if done != steps:
        raise TrainingError(f"training stopped after {done} of {steps} steps; run the same command again to go on")


def _model_on_devices(
    lightning: pl.Trainer, job: _Job
) -> tuple[TargetModel, Callable[[ModelParallelStrategy], None] | None]:
    """The model to train; under ``trainer=fsdp`` an outline, and what fills it once the devices have met."""
    sharded = isinstance(lightning.strategy, ModelParallelStrategy)
    whole = None
    if lightning.is_global_zero or not sharded:
        whole = TargetModel(prepare_model(load_model(job.base.folder), job.sft, job.seed), job.sft)
    if not sharded:
        assert whole is not None
        return whole, None
    outline = TargetModel(prepared_outline(job.base.folder, job.sft, job.seed), job.sft)
    return outline, partial(share_out, target=outline, whole=whole, mixed=job.trainer.precision == "bf16-mixed")


def _whole_model(lightning: pl.Trainer, module: WeightedTuning, job: _Job) -> Any:
    """The tuned model on this device; gathered into a fresh one on the first device when it is sharded."""
    if not module.is_sharded:
        return module.target_model.model
    # Every device takes part in the gathering, though only the first is given the tensors.
    state = lightning.strategy.lightning_module_state_dict()
    if not lightning.is_global_zero:
        return None
    # Into a fresh model: merging adapters and save_pretrained want plain tensors, which shards are not.
    model = prepare_model(load_model(job.base.folder), job.sft, job.seed)
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


def _identity(
    plan: TrainingPlan, base: LocalModel, encoder: PromptEncoder, sft: SftConfig, trainer: TrainerConfig, seed: int
) -> dict[str, Any]:
    """What determines a training's outcome, as plain values."""
    return {
        "model": base.identity(),
        "prompts": encoder.identity(),
        "sft": sft.identity(),
        "precision": trainer.precision,
        "seed": seed,
        "training_set": _training_set(plan),
        "steps": plan.steps,
    }


def _training_set(plan: TrainingPlan) -> str:
    """Hash over ids, tokens and weights of what is trained on, in order."""
    digest = hashlib.sha256()
    for row in plan.rows:
        digest.update(f"{row.example_id} {row.weight!r} {len(row.prompt_ids)} ".encode())
        digest.update(np.asarray([*row.prompt_ids, *row.target_ids], np.int32).tobytes())
    return digest.hexdigest()[:32]
