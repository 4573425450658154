"""Who writes alternatives: one file a generator, found by its module's name.

``generator.kind=NAME`` is ``build`` in ``NAME.py`` beside this file, which takes (GeneratorConfig, cache folder) and
gives a ``Generator`` (``base.py``); what lives outside the package is named by its dotted path.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from tss_lab.alternatives.generators.base import Generator
from tss_lab.config import GeneratorConfig
from tss_lab.errors import ConfigError


def make_generator(config: GeneratorConfig, cache: Path) -> Generator:
    """The generator that ``config.kind`` names. Raises ConfigError where there is none, or its settings don't do."""
    ours = sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"base"})
    if "." in config.kind:
        module_name, _, name = config.kind.rpartition(".")
    elif config.kind in ours:
        module_name, name = f"{__name__}.{config.kind}", "build"
    else:
        raise ConfigError(
            f"generator.kind={config.kind} is not known; take {', '.join(ours)}, or the dotted path of a class"
        )
    try:
        build = getattr(importlib.import_module(module_name), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigError(
            f"generator.kind={config.kind} can't be loaded ({error}); "
            "name a class that takes (GeneratorConfig, cache folder)"
        ) from error
    generator: Generator = build(config, cache)
    return generator
