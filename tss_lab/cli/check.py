"""A composed configuration as a typed one, or the sentence that says what is wrong with it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tss_lab.config import STAGES, ModelConfig, RunConfig, data_name
from tss_lab.errors import ConfigError

_REMEDIES = {
    "rho": "; give a share in (0, 1], such as rho=0.15",
    "stages": "; give a list, such as 'stages=[dataset]'",
}
# Overrides that are in the run's name already, or that change where things go but not what they are.
_NOT_IN_HASH = re.compile(
    r"^\+?(experiment|experiment_name|method|rho|seed|stages|run_name|overwrite|paths\..*|logger(\..*)?|trainer|"
    r"(audit|doctor|probe)(\..*)?)="
)
_UNNAMED = "unnamed"


def checked(composed: dict[str, Any], overrides: Sequence[str]) -> RunConfig:
    """A composed config as a typed one, with the names that were left to us; ρ is 1 where it isn't used.

    Raises ConfigError that names the first wrong setting, the method's own among them.
    """
    from tss_lab.methods import build_chooser, build_method

    given = settings_in(overrides)
    _follow_path(composed["model"], "model", given)
    _follow_path(composed["generator"]["model"], "generator.model", given)
    if "generator.model.path" in given and "generator.name" not in given:
        composed["generator"]["name"] = composed["generator"]["model"]["name"]
    composed["dataset"]["name"] = composed["dataset"].get("name") or data_name(composed["dataset"].get("path"))
    composed["experiment_name"] = (
        composed["experiment_name"] or f"{composed['model']['name']}_{composed['dataset']['name']}"
    )
    _require_names(composed)
    try:
        config = RunConfig.model_validate({**composed, "run_name": composed["run_name"] or _UNNAMED})
    except ValidationError as error:
        raise ConfigError(_first_problem(error, given)) from error
    build_method(config.method)
    build_chooser(config.choose)
    name = composed["run_name"] or default_run_name(config, overrides)
    return config.model_copy(update={"rho": config.share, "run_name": name})


def settings_in(overrides: Iterable[str]) -> dict[str, str]:
    """Overrides by their setting's name, as they were written."""
    pairs = (override.partition("=") for override in overrides if "=" in override)
    return {key.lstrip("+"): value for key, _, value in pairs}


def default_run_name(config: RunConfig, overrides: Sequence[str]) -> str:
    """Experiment, method, ρ (where it applies) and seed, readable; further overrides as a short hash."""
    share = f"-rho{config.rho}" if config.method.uses_rho else ""
    name = f"{config.experiment_name}-{config.method.name}{share}-seed{config.seed}"
    others = sorted(override for override in overrides if not _NOT_IN_HASH.match(override))
    if others:
        name += "-" + hashlib.sha256("\n".join(others).encode()).hexdigest()[:6]
    return re.sub(r"[^\w.+-]+", "_", name)


def require_writable(setting: str, folder: Path) -> None:
    """Raises ConfigError where ``folder`` couldn't be made or written to; nothing is made."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        reason = "it is a file" if there == folder else os.strerror(errno.ENOTDIR)
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = os.strerror(errno.EACCES)
    else:
        return
    raise ConfigError(f"can't write to {setting}={folder}: {reason}; give another folder")


def require_folders(config: RunConfig) -> None:
    """Found out before hours of work: both folders can be had, and the run's own."""
    require_writable("paths.store", config.paths.store)
    require_writable("paths.runs", config.paths.runs)
    require_writable("paths.runs", config.paths.runs / config.run_name)


def refuse_unsafe_sweep(config: RunConfig, launcher: str) -> None:
    """Lightning's own launcher starts each further process with the whole command, sweep included."""
    several = config.trainer.devices != 1 or config.trainer.num_nodes > 1
    launched = {"RANK", "LOCAL_RANK", "SLURM_PROCID"} & set(os.environ)
    if several and not launched and launcher.endswith("BasicLauncher"):
        raise ConfigError(
            "a sweep (-m) over several devices would be run again by every process; start it with "
            "torchrun --nproc_per_node=N -m tss_lab ..., or take hydra/launcher=submitit_slurm"
        )


def _follow_path(model: dict[str, Any] | None, group: str, given: Collection[str]) -> None:
    """A path on the command line is another model: what the yaml says of its own doesn't hold for it."""
    if model is None or model.get("path") is None or f"{group}.path" not in given:
        return
    licence = ModelConfig.model_fields["licence"].default
    of_it = {"name": Path(str(model["path"])).name, "licence": licence, "revision": None, "gguf": None}
    said = {name.removeprefix(f"{group}.").partition(".")[0] for name in given if name.startswith(f"{group}.")}
    model.update({key: value for key, value in of_it.items() if key not in said})


def _require_names(composed: Mapping[str, Any]) -> None:
    """Refuses what no type says: a run's folder lies in paths.runs, and a run has stages."""
    name = composed["run_name"]
    if isinstance(name, str) and (name in {".", ".."} or "/" in name or "\\" in name):
        raise ConfigError(
            f"run_name={name} is no plain folder name; leave out / and .., and move the runs with paths.runs"
        )
    if composed["stages"] == []:
        raise ConfigError(f"stages=[] names no stage; give some of {', '.join(STAGES)}, such as 'stages=[dataset]'")


def _first_problem(error: ValidationError, given: Mapping[str, str]) -> str:
    problems = error.errors()
    first = problems[0]
    # Choices of a union add the tried type to the place; only the setting's own name helps the reader.
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        text = f"{place} is not a setting of tss_lab; take it out or correct its spelling"
    elif not place or first["type"] == "value_error":
        text = message
    elif first["type"] == "string_type" and isinstance(first["input"], (bool, int, float)):
        written = given.get(place, first["input"])
        text = f"{place}={written} is read as a number or a truth value; quote it twice: '{place}=\"{written}\"'"
    else:
        text = f"{place}={first['input']} can't be used: {message[0].lower()}{message[1:]}{_REMEDIES.get(place, '')}"
    more = f" ({len(problems) - 1} more problems after this one)" if len(problems) > 1 else ""
    return text + more
