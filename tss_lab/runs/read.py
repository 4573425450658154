"""The reading side of a run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tss_lab.config import RunConfig
from tss_lab.errors import ArtifactError
from tss_lab.runs import names
from tss_lab.runs.run import Run


def read_run(folder: Path | str) -> Run:
    """The run that lies in ``folder``, finished or not.

    Raises ArtifactError, in one sentence that says what to do, for what is no run, is of another format, or was
    edited into something that can't be read.
    """
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise ArtifactError(f"{path} {'is not a folder' if path.exists() else 'is not there'}; give a run's folder")
    if not (path / names.CONFIG).exists() or not (path / names.RECORD).exists():
        raise ArtifactError(f"{path} is no run: it has no {names.CONFIG} and {names.RECORD}; give a run's folder")
    record = _mapping(path / names.RECORD)
    version = record.get("format_version")
    if not isinstance(version, int) or version > names.FORMAT_VERSION:
        raise ArtifactError(
            f"{path} is of format {version}, and this version of tss_lab reads {names.FORMAT_VERSION}; update tss_lab"
        )
    if version < names.FORMAT_VERSION:
        raise ArtifactError(
            f"{path} was written by an older tss_lab (format {version}); run its command again with overwrite=true: "
            "likelihoods and alternatives are taken from the store"
        )
    try:
        config = RunConfig.model_validate(_mapping(path / names.CONFIG))
    except ValueError as error:
        first = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise ArtifactError(
            f"{path / names.CONFIG} isn't what this version of tss_lab writes ({first}); put it back, or run again "
            "with overwrite=true"
        ) from error
    metrics = _mapping(path / names.METRICS) if (path / names.METRICS).exists() else {}
    wrong = [name for name, value in metrics.items() if not isinstance(value, (int, float))]
    if wrong:
        raise ArtifactError(f"{path / names.METRICS}: {wrong[0]} is no number; run the same command again")
    return Run(path, config, record, metrics)


def _mapping(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = names.read_yaml(text) if path.suffix == ".yaml" else json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"{path} can't be read ({reason}); run the same command again with overwrite=true"
        ) from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} doesn't hold values by name; run the same command again with overwrite=true")
    return content
