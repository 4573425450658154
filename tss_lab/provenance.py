"""What made a run's numbers: versions, commit, hardware, and which process of several this one is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from tss_lab.version import __version__

_PACKAGES = (
    "torch", "transformers", "pytorch-lightning", "lm-eval", "datasets", "tokenizers", "numpy", "polars",
    "hydra-core", "sentence-transformers", "gguf",
)  # fmt: skip
_RANK_VARIABLES = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


def versions() -> dict[str, str]:
    """Versions of this package and of those that numbers depend on; absent ones are left out."""
    found = {"tss_lab": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The checkout's commit, with ``+changes`` where it is not clean; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if status.strip() else "")


def hardware() -> dict[str, Any]:
    """Processor, cores, memory (GiB), and the accelerators that torch sees."""
    import torch

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(pages / 2**30, 1),
        "accelerators": devices,
    }


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        with info.open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor()


def peak_memory_gib() -> float:
    """The largest resident size of this process so far, in GiB."""
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def global_rank() -> int:
    """Which of several cooperating processes this one is; 0 when it is alone."""
    for variable in _RANK_VARIABLES:
        if os.environ.get(variable, "").isdigit():
            return int(os.environ[variable])
    return 0
