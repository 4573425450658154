"""Whose folder is it? A run's folder belongs to one resolved configuration."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tss_lab.config import RunConfig
from tss_lab.errors import ArtifactError
from tss_lab.runs import names

log = logging.getLogger(__name__)

_MOST_SHOWN = 3


def refuse_another_run(path: Path, config: RunConfig) -> str | None:
    """What sets the run in ``path`` apart from ``config``, in words; None where it is the same run or none.

    Settings that don't determine the results (stages, logger, paths, memory, devices) may differ. Raises
    ArtifactError for another run unless ``config.overwrite``, or unless it stopped before it had any result.
    """
    difference = _difference(path, config)
    if difference is None or config.overwrite or (_is_a_run(path) and not has_results(path)):
        return difference
    raise ArtifactError(
        f"{path} holds another run: {difference}. Nothing was changed; give this one another name, such as "
        f"run_name={_free_name(path)}, or overwrite=true to give that one up"
    )


def has_results(path: Path) -> bool:
    """Whether a run's folder has anything to lose."""
    return any((path / name).exists() for name in names.RESULTS_OF_A_RUN)


def _is_a_run(path: Path) -> bool:
    """Told by its record; a folder of somebody's own with a config.yaml in it is none."""
    try:
        return isinstance(json.loads((path / names.RECORD).read_text(encoding="utf-8"))["run_name"], str)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _difference(path: Path, config: RunConfig) -> str | None:
    if not (path / names.RECORD).exists() and not (path / names.CONFIG).exists():
        return None
    try:
        version = json.loads((path / names.RECORD).read_text(encoding="utf-8"))["format_version"]
        known = names.read_yaml((path / names.CONFIG).read_text(encoding="utf-8"))
        if not isinstance(known, dict):
            raise TypeError("it holds no settings")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        return f"its {names.CONFIG} or {names.RECORD} can't be read ({str(error).splitlines()[0]})"
    if version != names.FORMAT_VERSION:
        return f"it was written in format {version}, and this version of tss_lab writes {names.FORMAT_VERSION}"
    try:
        theirs = RunConfig.model_validate(known).identity()
    except ValueError as error:
        return f"its {names.CONFIG} isn't one of this version ({str(error).splitlines()[0]})"
    mine, theirs = flat(config.identity()), flat(theirs)
    apart = differing([theirs, mine])
    if not apart:
        return None
    shown = [f"{name} is {_plain(theirs.get(name))} there and {_plain(mine.get(name))} here" for name in apart]
    more = f", and {len(shown) - _MOST_SHOWN} more settings" if len(shown) > _MOST_SHOWN else ""
    return ", ".join(shown[:_MOST_SHOWN]) + more


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``group.name`` -> value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def differing(of_each: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names whose values aren't the same in all, in the order of the first that has them."""
    found = dict.fromkeys(name for one in of_each for name in one)
    return [name for name in found if any(one.get(name) != of_each[0].get(name) for one in of_each)]


def _plain(value: Any) -> str:
    return "unset" if value is None else str(value)


def _free_name(path: Path) -> str:
    number = 2
    while (path.parent / f"{path.name}-{number}").exists():
        number += 1
    return f"{path.name}-{number}"
