"""What a job leaves in its process."""

from __future__ import annotations

from tss_lab.engine import flex
from tss_lab.models import load


def let_go() -> None:
    """Gives back memory and compiled attention: the jobs of a sweep share one process."""
    flex.forget_compiled()
    load.free_memory()
