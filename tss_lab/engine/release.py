"""What a job gives back at its end."""

from __future__ import annotations

import sys


def let_go() -> None:
    """Gives back memory and compiled attention: the jobs of a sweep share one process."""
    if "torch" not in sys.modules:
        return  # this job never needed it
    from tss_lab.engine.flex import forget_compiled
    from tss_lab.models import free_memory

    forget_compiled()
    free_memory()
