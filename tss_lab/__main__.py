"""The command line: compose the config, check it, run the pipeline. The only file that imports hydra."""

from __future__ import annotations

import argparse
import errno
import hashlib
import logging
import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from tss_lab import __version__
from tss_lab.config import STAGES, ModelConfig, RunConfig, data_name
from tss_lab.errors import ConfigError, TssError
from tss_lab.hints import several_values, unknown_choice, unknown_setting

log = logging.getLogger("tss_lab")

USER_ERROR = 2
_REMEDIES = {
    "rho": "; give a share in (0, 1], such as rho=0.15",
    "stages": "; give a list, such as stages=[dataset]",
}
# Overrides that are in the run's name already, or that change where things go but not what they are.
_NOT_IN_HASH = re.compile(
    r"^\+?(experiment|experiment_name|method|rho|seed|stages|run_name|paths\..*|logger(\..*)?|trainer)="
)


def config_folder() -> Path:
    """``conf/`` of the installed package, or of the checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def checked(composed: dict[str, Any], overrides: Sequence[str]) -> RunConfig:
    """A composed config as a typed one. Raises ConfigError that names the first wrong setting."""
    given = {override.partition("=")[0].lstrip("+") for override in overrides}
    _follow_path(composed["model"], "model", given)
    _follow_path(composed["generator"]["model"], "generator.model", given)
    if "generator.model.path" in given and "generator.name" not in given:
        composed["generator"]["name"] = composed["generator"]["model"]["name"]
    composed["dataset"]["name"] = composed["dataset"].get("name") or data_name(composed["dataset"].get("path"))
    composed["experiment_name"] = (
        composed["experiment_name"] or f"{composed['model']['name']}_{composed['dataset']['name']}"
    )
    composed["run_name"] = composed["run_name"] or default_run_name(composed, overrides)
    _require_names(composed)
    try:
        return RunConfig.model_validate(composed)
    except ValidationError as error:
        raise ConfigError(_first_problem(error, overrides)) from error


def _follow_path(model: dict[str, Any] | None, group: str, given: Collection[str]) -> None:
    """A path on the command line is another model: what the yaml says of its own doesn't hold for it."""
    if model is None or model.get("path") is None or f"{group}.path" not in given:
        return
    licence = ModelConfig.model_fields["licence"].default
    of_it = {"name": Path(str(model["path"])).name, "licence": licence, "revision": None, "gguf": None}
    said = {name.removeprefix(f"{group}.").partition(".")[0] for name in given if name.startswith(f"{group}.")}
    model.update({key: value for key, value in of_it.items() if key not in said})


def _require_names(composed: dict[str, Any]) -> None:
    """Refuses what no type says: a run's folder lies in paths.runs, and a run has stages."""
    name = composed["run_name"]
    if isinstance(name, str) and (name in {".", ".."} or "/" in name or "\\" in name):
        raise ConfigError(
            f"run_name={name} is no plain folder name; leave out / and .., and move the runs with paths.runs"
        )
    if composed["stages"] == []:
        raise ConfigError(f"stages=[] names no stage; give some of {', '.join(STAGES)}, such as stages=[dataset]")


def default_run_name(composed: dict[str, Any], overrides: Sequence[str]) -> str:
    """Experiment, method, ρ and seed, readable; further overrides as a short hash."""
    name = f"{composed['experiment_name']}-{composed['method']['name']}-rho{composed['rho']}-seed{composed['seed']}"
    others = sorted(override for override in overrides if not _NOT_IN_HASH.match(override))
    if others:
        name += "-" + hashlib.sha256("\n".join(others).encode()).hexdigest()[:6]
    return re.sub(r"[^\w.+-]+", "_", name)


def _first_problem(error: ValidationError, overrides: Sequence[str]) -> str:
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
        written = _given(overrides).get(place, first["input"])
        text = f"{place}={written} is read as a number or a truth value; quote it twice: '{place}=\"{written}\"'"
    else:
        text = f"{place}={first['input']} can't be used: {message[0].lower()}{message[1:]}{_REMEDIES.get(place, '')}"
    more = f" ({len(problems) - 1} more problems after this one)" if len(problems) > 1 else ""
    return text + more


def _refuse_unsafe_multirun(config: RunConfig, launcher: str) -> None:
    """Lightning's own launcher starts each further process with the whole command, sweep included."""
    several = config.trainer.devices != 1 or config.trainer.num_nodes > 1
    launched = {"RANK", "LOCAL_RANK", "SLURM_PROCID"} & set(os.environ)
    if several and not launched and launcher.endswith("BasicLauncher"):
        raise ConfigError(
            "a sweep (-m) over several devices would be run again by every process; start it with "
            "torchrun --nproc_per_node=N -m tss_lab ..., or take hydra/launcher=submitit_slurm"
        )


def _require_folders(config: RunConfig) -> None:
    """Found out before hours of work: both folders can be had, and the run's can be written to."""
    for setting, folder in (("paths.runs", config.paths.runs), ("paths.store", config.paths.store)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(_cant_write(setting, str(folder), error)) from error
    for folder in (config.paths.runs, config.paths.runs / config.run_name):
        if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
            reason = PermissionError(errno.EACCES, os.strerror(errno.EACCES)) if folder.is_dir() else FileExistsError()
            raise ConfigError(_cant_write("paths.runs", str(folder), reason))


def _cant_write(setting: str, folder: str, error: OSError) -> str:
    taken = isinstance(error, FileExistsError)
    return f"can't write to {setting}={folder}: {'it is a file' if taken else error.strerror}; give another folder"


def _show_log() -> None:
    """Few full sentences for people on standard error; everything else goes to the run's log file."""
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S")
    own = logging.getLogger("tss_lab")
    own.handlers[:] = [handler]
    own.setLevel(logging.INFO)
    own.propagate = False
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars would fill a log file with fragments


def main() -> None:
    """Entry of ``python -m tss_lab`` and ``tss-lab``."""
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"tss_lab {__version__}\n")
        return
    failures: list[tuple[str, TssError]] = []
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"

    begun = False

    def job(composed: DictConfig) -> None:
        nonlocal begun
        begun = True
        settings = HydraConfig.get()
        launcher = str(settings.launcher.get("_target_", ""))
        try:
            from tss_lab.pipeline import run

            _show_log()
            container = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
            config = checked(container, list(settings.overrides.task))  # type: ignore[arg-type]
            if settings.mode == RunMode.MULTIRUN:
                _refuse_unsafe_multirun(config, launcher)
            _require_folders(config)
            run(config)
        except TssError as error:
            # In this process a sweep goes on and reports at its end; from another process it must travel.
            if full_error or (settings.mode == RunMode.MULTIRUN and not launcher.endswith("BasicLauncher")):
                raise
            failures.append((" ".join(settings.overrides.task), error))

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors to us; we make sentences of them.
    entry = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")(job)
    try:
        entry()
    except (HydraException, OmegaConfBaseException, TssError) as error:
        if full_error:
            raise
        _fail([("", _as_sentence(error))])
    except (OSError, ValueError, yaml.YAMLError) as error:
        # Hydra's own, before any job: a folder, a flag, a yaml. A launcher's jobs begin in other processes.
        if begun or full_error or "hydra/launcher" in _given(sys.argv[1:]):
            raise
        _fail([("", _as_sentence(error))])
    except KeyboardInterrupt:
        sys.stderr.write("\ntss_lab: interrupted; the same command continues where it stopped\n")
        sys.exit(130)
    if failures:
        _fail([(overrides if len(failures) > 1 else "", str(error)) for overrides, error in failures])


def _fail(problems: Sequence[tuple[str, str]]) -> None:
    for overrides, sentence in problems:
        sys.stderr.write(f"tss_lab: {f'[{overrides}] ' if overrides else ''}{sentence}\n")
    sys.exit(USER_ERROR)


def _as_sentence(error: BaseException) -> str:
    """Hydra's and OmegaConf's multi-line messages as one sentence with the remedy."""
    if isinstance(error, TssError):
        return str(error)
    chain = list(_causes(error))
    given, folders = _given(sys.argv[1:]), _config_folders(sys.argv[1:])
    if isinstance(error, OSError) and error.filename is not None:
        setting = next((name for name in ("hydra.run.dir", "hydra.sweep.dir") if name in given), "paths.runs")
        return _cant_write(setting, given.get(setting, str(error.filename)), error)
    for cause in chain:
        if isinstance(cause, yaml.MarkedYAMLError) and cause.problem_mark:
            mark = cause.problem_mark
            return f"{mark.name}, line {mark.line + 1}, is not valid YAML: {cause.problem}; correct it"
        if isinstance(cause, MissingConfigException) and cause.options is not None:
            return unknown_choice(str(cause.missing_cfg_file), cause.options)
        if isinstance(cause, OverrideParseException) and "=" not in str(cause.override):
            return f"{cause.override} can't be read as key=value; give it a value"
        if isinstance(cause, OverrideParseException):
            return f"{cause.override} can't be read as key=value; close its brackets and quote it for the shell"
    text = "\n".join(str(cause) for cause in chain)
    if several := re.search(r"Ambiguous value for argument '([^=']+)=([^']*)'", text):
        return several_values(several[1].lstrip("+"), several[2], folders)
    if twice := re.search(
        r"Could not append to config. An item is already at '([^']+)'|Multiple values for (\w+)", text
    ):
        name = twice[1] or twice[2]
        return f"{name} is a setting already; write {name}={given.get(name, '...')} without the plus sign"
    if unknown := re.search(r"Could not (?:override|append|delete)[^']*'([^'=]+)", text):
        return unknown_setting(unknown[1].strip(), given, folders)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:2]) or type(error).__name__


def _given(arguments: Sequence[str]) -> dict[str, str]:
    """Overrides by key, as they were written."""
    pairs = (argument.partition("=") for argument in arguments if not argument.startswith("-") and "=" in argument)
    return {key.lstrip("+"): value for key, _, value in pairs}


def _config_folders(arguments: Sequence[str]) -> list[Path]:
    """Where yaml files are looked for: the user's folder, then ours."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    user = parser.parse_known_args(arguments)[0].config_dir
    return [*([user.absolute()] if user else []), config_folder()]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    main()
