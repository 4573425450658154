"""Checkpoints that are whole or absent, and that belong to one training."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO

from tss_lab.errors import TrainingError
from tss_lab.store import fingerprint, sync_folder, write_json

log = logging.getLogger(__name__)

RECORD = "training.json"
"""What a folder's training is, and, once it is finished, what came of it."""


class AtomicCheckpointIO(CheckpointIO):
    """Streams to a hidden file (no second copy in memory), then renames; reads plain tensors only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        except (OSError, RuntimeError) as error:
            raise TrainingError(
                f"can't write the checkpoint {target} ({error}); the last one is kept. Free some room, or set "
                "sft.checkpoint_every higher, and run the same command again"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(target.parent)

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        with named_when_damaged(path):
            content: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True, mmap=True)
        return content

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


@contextlib.contextmanager
def named_when_damaged(path: str | Path) -> Iterator[None]:
    """Raises TrainingError, with the remedy, for whatever reading the checkpoint raises."""
    try:
        yield
    except Exception as error:
        raise TrainingError(
            f"the checkpoint {path} can't be read ({error}); delete it and run the same command again"
        ) from error


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step in ``folder/checkpoints``."""
    found = sorted((folder / "checkpoints").glob("step-*.ckpt"))
    return found[-1] if found else None


def remove_checkpoints(folder: Path, keep: Path | None = None) -> None:
    """Deletes the folder's checkpoints and half-written ones, except ``keep``."""
    for path in [*(folder / "checkpoints").glob("step-*.ckpt"), *(folder / "checkpoints").glob(".step-*.tmp")]:
        if path != keep:
            path.unlink(missing_ok=True)


class CheckpointEvery(pl.Callback):
    """Saves every n optimiser steps and then drops the one before; the finished model needs none."""

    def __init__(self, folder: Path, every: int, steps: int):
        self.folder, self.every, self.steps = folder, every, steps

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        step = trainer.global_step
        if step % self.every or step >= self.steps:
            return
        path = self.folder / "checkpoints" / f"step-{step:08d}.ckpt"
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            remove_checkpoints(self.folder, keep=path)


def finished_record(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of this very training when it is finished; None when it is new or unfinished.

    Raises TrainingError when the folder holds another training.
    """
    path = folder / RECORD
    if not path.exists():
        if newest_checkpoint(folder):
            raise TrainingError(
                f"{folder} holds checkpoints of an unknown training; take another run_name, "
                f"or delete {folder / 'checkpoints'}"
            )
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known, theirs = record["fingerprint"], record["identity"]
    except (ValueError, KeyError) as error:
        raise TrainingError(
            f"{path} can't be read ({error}); delete it together with {folder / 'checkpoints'}"
        ) from error
    if known != fingerprint(identity):
        differing = sorted(key for key in {*theirs, *identity} if theirs.get(key) != identity.get(key))
        raise TrainingError(
            f"{folder} holds another training (it differs in {', '.join(differing)}); take another run_name, or delete "
            f"{path}, {folder / 'checkpoints'} and {folder / 'model'}"
        )
    return record if record.get("complete") else None


def write_record(folder: Path, identity: Mapping[str, Any], *, complete: bool, result: Mapping[str, Any]) -> None:
    """Says whose training the folder holds; ``complete`` once the model is written."""
    write_json(
        folder / RECORD,
        {"fingerprint": fingerprint(identity), "identity": dict(identity), "complete": complete, **result},
    )
