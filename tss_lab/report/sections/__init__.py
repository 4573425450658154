"""One file a section of a run's page; each module in this folder is one, and there is no list to add it to.

A section's module has

- ``ORDER``: its place on the page,
- a function called as the module: ``def training(run: Run) -> Section | None``, None where the run has nothing for it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from tss_lab.report.parts import Section
from tss_lab.runs import Run


def build_sections(run: Run) -> list[Section]:
    """The sections that the run has something for, in order."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    sections = []
    for module in sorted(modules, key=lambda module: (module.ORDER, module.__name__)):
        build: Callable[[Run], Section | None] = getattr(module, module.__name__.rpartition(".")[2])
        section = build(run)
        if section is not None:
            sections.append(section)
    return sections
