"""Which devices a run may have, and how many processes it is, told before Lightning is asked."""

from __future__ import annotations

import os

from tss_lab.config import TrainerConfig
from tss_lab.errors import ConfigError

_INTERACTIVE_JOBS = ("bash", "interactive")


def num_processes(trainer: TrainerConfig) -> int:
    """Processes of a distributed run, the same number in each of them, before any has met another.

    torchrun and Lightning's launcher name it in ``WORLD_SIZE``, srun in ``SLURM_NTASKS``; a process
    that is about to launch the others has only its settings to go by.
    """
    if os.environ.get("WORLD_SIZE", "").isdigit():
        return int(os.environ["WORLD_SIZE"])
    if os.environ.get("SLURM_NTASKS", "").isdigit() and os.environ.get("SLURM_JOB_NAME") not in _INTERACTIVE_JOBS:
        return int(os.environ["SLURM_NTASKS"])
    if isinstance(trainer.devices, int):
        return trainer.devices * trainer.num_nodes
    if trainer.accelerator == "cpu":
        return trainer.num_nodes
    import torch

    return max(1, torch.cuda.device_count()) * trainer.num_nodes


def accelerator(trainer: TrainerConfig) -> str:
    """What Lightning is given: ``auto`` is a GPU of NVIDIA's or AMD's kind, else the CPU."""
    if trainer.accelerator != "auto":
        return trainer.accelerator
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def local_cuda_device() -> str:
    """The GPU of this process among those of its machine."""
    return f"cuda:{os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID', '0'))}"


def check_devices(trainer: TrainerConfig) -> None:
    """Raises ConfigError when the devices that ``trainer`` asks for are not on this machine."""
    if trainer.accelerator == "cpu":
        return
    import torch

    there = torch.cuda.device_count()
    if trainer.accelerator == "gpu" and not there:
        kind = "only Apple's, whose float64 sums are missing" if torch.backends.mps.is_available() else "none"
        raise ConfigError(f"trainer.accelerator=gpu, but of GPUs torch sees {kind}; take trainer=cpu")
    if there and isinstance(trainer.devices, int) and trainer.devices > there:
        raise ConfigError(f"trainer.devices={trainer.devices}, but torch sees {there} GPUs; lower trainer.devices")
