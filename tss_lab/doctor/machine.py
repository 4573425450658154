"""Whether model, pass and training fit into memory and onto the disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tss_lab.runs.findings import Figures, Finding

_TIGHT = 0.8
"""A larger share of what is free is tight: other programs, and caches, want some too."""
_ROOM_LEFT = 1 << 30


@dataclass(frozen=True)
class Use:
    """What one piece of work needs of a memory or a disk."""

    what: str
    """Scoring or training, and what isn't counted of it."""
    needed_bytes: int
    free_bytes: int
    where: str


@dataclass(frozen=True)
class Machine:
    """What is needed and what is free, as it was before the work."""

    memory: Sequence[Use]
    disks: Sequence[Use]
    ran_out: str = ""
    """What the pass said when it ran out of memory."""


def memory(machine: Machine) -> Finding:
    """The model and its passes against the free memory."""
    remedy = "take a smaller model, scoring.dtype=bfloat16 (scoring), sft.lora or bf16-mixed on a GPU (training)"
    if machine.ran_out:
        return Finding("memory", "failure", machine.ran_out, remedy)
    return _judged("memory", machine.memory, remedy, spare_bytes=0)


def disk(machine: Machine) -> Finding:
    """What will be written against the room on the disks."""
    remedy = "free some room, or set paths.runs and paths.store to another disk"
    return _judged("disk", machine.disks, remedy, spare_bytes=_ROOM_LEFT)


def _judged(name: str, uses: Sequence[Use], remedy: str, spare_bytes: int) -> Finding:
    text = "; ".join(
        f"{use.what} takes {gigabytes(use.needed_bytes)} of {gigabytes(use.free_bytes)} free {use.where}"
        for use in uses
    )
    figures: Figures = {
        f"{use.what.split()[0]}_{kind}": value
        for use in uses
        for kind, value in (("needed_bytes", use.needed_bytes), ("free_bytes", use.free_bytes))
    }
    if any(use.needed_bytes > use.free_bytes for use in uses):
        return Finding(name, "failure", text, remedy, figures)
    if any(use.needed_bytes > min(_TIGHT * use.free_bytes, use.free_bytes - spare_bytes) for use in uses):
        return Finding(name, "warning", text, remedy, figures)
    return Finding(name, "ok", text, "", figures)


def gigabytes(number: int) -> str:
    """Bytes for people."""
    return f"{number / 1e9:.1f} GB" if number >= 5e7 else f"{number / 1e6:.1f} MB"


CHECKS = (memory, disk)
