"""What is typed, through Hydra, to the jobs it asks for: composed and checked before any begins."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir, version
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import _run_hydra, create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import env_override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from tss_lab.cli import config_folder
from tss_lab.cli.check import checked, refuse_unsafe_sweep, require_folders, require_writable
from tss_lab.cli.sweep import Job, refuse_shared_folders, varying
from tss_lab.cli.words import in_words
from tss_lab.config import RunConfig
from tss_lab.console import readable_by_head
from tss_lab.errors import ConfigError


def show(flags: Namespace, parser: ArgumentParser, task: Callable[..., Any]) -> None:
    """Help or settings, in Hydra's way."""
    with env_override({"HYDRA_FULL_ERROR": "1"}), readable_by_head():  # its errors come to us, who have words for them
        _run_hydra(flags, parser, task, config_path=str(config_folder()), config_name="config")


def hydra_for(flags: Namespace) -> Hydra:
    """Hydra over our yaml files and, with ``--config-dir``, the user's. Raises ConfigError."""
    version.setbase("1.3")
    path = create_config_search_path(str(Path(flags.config_path).absolute() if flags.config_path else config_folder()))
    if flags.experimental_rerun:
        raise ConfigError("--experimental-rerun is not supported; give the settings of that command again")
    if flags.config_dir:
        if not Path(flags.config_dir).is_dir():
            raise ConfigError(f"--config-dir {flags.config_dir} is not a directory; check the path")
        own = f"file://{Path(flags.config_dir).absolute()}"
        path.prepend(provider="command-line", path=own, anchor=SearchPathQuery(provider="schema"))
    return Hydra.create_main_hydra2(task_name="tss_lab", config_search_path=path)


def with_mode(hydra: Hydra, flags: Namespace) -> tuple[list[str], bool]:
    """The overrides with the mode among them, and whether it is a sweep: by -m, or by a yaml's hydra.mode."""
    flags.config_name = flags.config_name or "config"
    sweeps = flags.multirun or hydra.get_mode(flags.config_name, flags.overrides) == RunMode.MULTIRUN
    overrides = [override for override in flags.overrides if not override.startswith("hydra.mode=")]
    return [*overrides, f"hydra.mode={'MULTIRUN' if sweeps else 'RUN'}"], sweeps


def planned(hydra: Hydra, flags: Namespace, sweeps: bool) -> list[Job]:
    """The jobs of the command, composed and checked, before any begins and before any folder is made.

    Empty for a sweeper that chooses each job by the results of those before. Raises ConfigError.
    """
    mode = RunMode.MULTIRUN if sweeps else RunMode.RUN
    composed = hydra.compose_config(flags.config_name, list(flags.overrides), mode)
    settings = composed.hydra
    if not sweeps:
        job = Job(_config(composed, settings.run.dir))
        require_writable("hydra.run.dir", Path(settings.run.dir).absolute())
        return [job]
    if not settings.sweeper["_target_"].endswith("BasicSweeper"):
        return []
    parameters = [f"{name}={value}" for name, value in (settings.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=hydra.config_loader)
    parsed = parser.parse_overrides([*parameters, *_typed(composed)])
    overrides_J = BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]
    jobs = []
    for number, (overrides, varied) in enumerate(zip(overrides_J, varying(overrides_J), strict=True)):
        of_job = hydra.config_loader.load_sweep_config(composed, list(overrides))
        with open_dict(of_job):
            of_job.hydra.job.num = of_job.hydra.job.id = number
        jobs.append(Job(_config(of_job, settings.sweep.dir), varied))
        refuse_unsafe_sweep(jobs[-1].config, str(settings.launcher["_target_"]))
    require_writable("hydra.sweep.dir", Path(settings.sweep.dir).absolute())
    refuse_shared_folders(jobs)
    return jobs


def _config(composed: DictConfig, directory: str) -> RunConfig:
    """A job's settings as they will be when Hydra runs it."""
    with read_write(composed.hydra), open_dict(composed.hydra):
        composed.hydra.runtime.output_dir = str(Path(directory).absolute())
    HydraConfig.instance().set_config(composed)  # settings may refer to it, as in ${hydra:job.num}
    config = checked_job(OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]))
    require_folders(config)
    return config


def checked_job(composed: DictConfig) -> RunConfig:
    """The typed settings of the job that HydraConfig is set to. Raises ConfigError."""
    plain: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    return checked(plain, _typed(HydraConfig.instance().cfg))


def _typed(composed: Any) -> list[str]:
    """The settings as they were typed: what they refer to, as in ``run_name=a-${rho}``, is another in each job."""
    typed: Any = OmegaConf.to_container(composed.hydra.overrides.task, resolve=False)
    return list(typed)


def config_of(overrides: Sequence[str]) -> RunConfig:
    """The settings that a command with these overrides has, without running it. Raises ConfigError in a sentence."""
    folder = config_folder()
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            plain: Any = OmegaConf.to_container(compose("config", list(overrides)), resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(in_words(error, overrides, [folder])) from error
    return checked(plain, overrides)
