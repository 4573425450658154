"""What a training needs, told before the hours of work that come first."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tss_lab.config import SftConfig, TrainerConfig
from tss_lab.engine.head import head_of
from tss_lab.errors import TrainingError
from tss_lab.models import model_config
from tss_lab.models.devices import accelerator, check_devices
from tss_lab.sft.cross_entropy import check_liger, check_liger_fits
from tss_lab.sft.packing import decided
from tss_lab.sft.sharding import prepared_outline

_BYTES = 4
"""Of a weight, and of each of its two moments: float32 on the disk, whatever the precision."""
_SMALL_FILES = 64 << 20
"""Tokenizer, card and records."""


def refuse_training_early(sft: SftConfig, trainer: TrainerConfig, model_folder: Path, room_bytes: int) -> None:
    """Raises what the training would raise, as far as it can be known without examples and weights.

    Args:
        room_bytes: what the run's folder may hold (``room_for_training``).

    Raises ConfigError when the device, peft or Liger isn't there, when the loss's kernel or the adapters don't fit
    the model, or the packing its attention; TrainingError when model and checkpoints don't fit on the disk.
    """
    check_devices(trainer)
    decided(sft, model_config(model_folder))
    outline = prepared_outline(model_folder, sft, seed=0)
    head = head_of(outline)
    if sft.cross_entropy == "liger":
        check_liger()
        check_liger_fits(head, on_gpu=accelerator(trainer) == "gpu")
    size = TrainingSize.of(outline, sft)
    needed = size.bytes_on_disk(sft.checkpoint_every, sft.max_steps)
    if needed > room_bytes:
        raise TrainingError(
            f"the training writes up to {_gigabytes(needed)} at a time (the model {_gigabytes(size.model_bytes)}, "
            f"a checkpoint {_gigabytes(size.checkpoint_bytes)}), and the disk has {_gigabytes(room_bytes)} left; free "
            "some room, set paths.runs to another disk, or sft.checkpoint_every higher than the training has steps"
        )


@dataclass(frozen=True)
class TrainingSize:
    """Parameters that are trained, and those of the model that is written in the end."""

    trained: int
    written: int

    @classmethod
    def of(cls, model: object, sft: SftConfig) -> TrainingSize:
        """Of a prepared model, or of its outline."""
        parameters = list(model.parameters())  # type: ignore[attr-defined]
        trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        if sft.lora is None:
            return cls(trained, sum(parameter.numel() for parameter in parameters))
        frozen = sum(parameter.numel() for parameter in parameters if not parameter.requires_grad)
        return cls(trained, frozen if sft.lora.merge else trained)

    @property
    def model_bytes(self) -> int:
        return _BYTES * self.written

    @property
    def checkpoint_bytes(self) -> int:
        """Weights and both moments of what is trained."""
        return 3 * _BYTES * self.trained

    def bytes_on_disk(self, checkpoint_every: int, steps: int | None) -> int:
        """The most that is there at a time; for a training of any length where ``steps`` isn't known.

        A checkpoint is written before the last one is dropped, and the model before the last checkpoint is.
        """
        made = 2 if steps is None else (steps - 1) // checkpoint_every
        beside_another = min(2, made) * self.checkpoint_bytes
        beside_the_model = min(1, made) * self.checkpoint_bytes + self.model_bytes
        return max(beside_another, beside_the_model) + _SMALL_FILES


def room_for_training(folder: Path) -> int:
    """Bytes that a training in ``folder`` may take: what is free on its disk, and what its checkpoints hold already.

    The folder needn't be there yet.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    held = sum(path.stat().st_size for path in (folder / "checkpoints").glob("*step-*"))
    return shutil.disk_usage(there).free + held


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB"
