"""Readers of sources: one file a reader, found by its module's name.

``dataset.reader=NAME`` is ``read`` in ``NAME.py`` beside this file, which takes a DatasetConfig and yields rows; what
lives outside the package is named by its dotted path.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator

from tss_lab.config import DatasetConfig
from tss_lab.data.rows import FilteredRows, RawRow, UnusableRow
from tss_lab.errors import ConfigError

Reader = Callable[[DatasetConfig], Iterator[RawRow | UnusableRow | FilteredRows]]


def find_reader(name: str) -> Reader:
    """The function that ``dataset.reader`` names. Raises ConfigError where there is none."""
    ours = sorted(module.name for module in pkgutil.iter_modules(__path__))
    module_name, _, function = name.rpartition(".") if "." in name else (f"{__name__}.{name}", "", "read")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"dataset.reader={name} is not there ({error}); take {', '.join(ours)}, or the dotted path of a function"
        ) from error
    reader = getattr(module, function, None)
    if not callable(reader):
        raise ConfigError(
            f"dataset.reader={name}: {module_name} has no function {function!r}; "
            "name a function that takes a DatasetConfig and yields rows"
        )
    found: Reader = reader
    return found
