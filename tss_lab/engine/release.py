"""What the jobs of one process must not leave to each other."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def letting_go() -> Iterator[None]:
    """Gives back memory and compiled attention in the end, whatever happens: a sweep's jobs share one process."""
    try:
        yield
    finally:
        if "torch" in sys.modules:  # else this job never needed it
            from tss_lab.engine.flex import forget_compiled
            from tss_lab.models import free_memory

            forget_compiled()
            free_memory()
