"""tss_lab: how much do instructions matter? Task-specificity scoring, data selection and weighted tuning.

From Python: ``score`` rows, ``select`` from the scores, ``read_run`` what the command line left.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tss_lab.version import __version__

if TYPE_CHECKING:
    from tss_lab.api import score, select
    from tss_lab.runs import Run, read_run

__all__ = ["Run", "__version__", "read_run", "score", "select"]

_FROM = {"score": "tss_lab.api", "select": "tss_lab.api", "read_run": "tss_lab.runs", "Run": "tss_lab.runs"}


def __getattr__(name: str) -> Any:
    """What is public is imported when it is first used: ``import tss_lab`` brings nothing heavy."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FROM[name]), name)


def __dir__() -> list[str]:
    return __all__
