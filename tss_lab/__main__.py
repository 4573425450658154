"""The command line: compose the config, check it, run the pipeline. Hydra is known here and in ``cli`` alone."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tss_lab.cli import config_folder
from tss_lab.cli.compose import checked_job, hydra_for, planned, show, with_mode
from tss_lab.cli.sweep import Job, Outcome, closing_table, how_to_compare, same_run_before
from tss_lab.cli.words import in_words, parsed
from tss_lab.console import output, show_log
from tss_lab.errors import TssError
from tss_lab.provenance import global_rank
from tss_lab.version import __version__

log = logging.getLogger("tss_lab")
OUR_ERROR, USER_ERROR, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Entry of ``python -m tss_lab`` and ``tss-lab``.

    Exits with 2 on what the user can mend, 1 on a fault of ours or on a check that failed under doctor.strict.
    """
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"tss_lab {__version__}\n")
        return
    folders = [config_folder()]
    try:
        with _errors_in_words(folders):
            flags = parsed(parser := get_args_parser(), sys.argv[1:], folders)
            if flags.config_dir:
                folders.insert(0, Path(flags.config_dir).absolute())
            if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
                show(flags, parser, main)
                return
            hydra = hydra_for(flags)
            flags.overrides, sweeps = with_mode(hydra, flags)
            jobs = planned(hydra, flags, sweeps)
        outcomes = _launched(hydra, flags, jobs, sweeps)
    except KeyboardInterrupt:
        sys.stderr.write("\ntss_lab: interrupted; the same command continues where it stopped\n")
        sys.exit(INTERRUPTED)
    except TssError as error:  # of a job that wasn't planned
        if _wants_tracebacks():
            raise
        _fail([str(error)], error.exit_code)
    finally:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
    _conclude(jobs, outcomes, sweeps)


@contextlib.contextmanager
def _errors_in_words(folders: Sequence[Path]) -> Iterator[None]:
    """What is wrong before any run: a sentence, or with HYDRA_FULL_ERROR=1 the traceback."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, TssError, OSError, ValueError, yaml.YAMLError) as error:
        if _wants_tracebacks():
            raise
        _fail([in_words(error, sys.argv[1:], folders)], USER_ERROR)


def _wants_tracebacks() -> bool:
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def _begin_log() -> None:
    show_log(logging.INFO if global_rank() == 0 else logging.WARNING)  # further ranks say the same


@dataclass(frozen=True)
class Task:
    """What Hydra calls for each job: in this process or, by another launcher, in one elsewhere."""

    jobs: Sequence[Job]
    sweeps: bool

    def __call__(self, composed: DictConfig) -> Outcome:
        """Runs a job. In a sweep nothing that goes wrong in one keeps the others from running."""
        _begin_log()
        config = checked_job(composed)
        folder, name = config.paths.runs / config.run_name, config.run_name
        if self.sweeps:
            number = int(HydraConfig.get().job.num)
            name = f"job {number + 1}"
            if self.jobs:
                name = f"job {number + 1} of {len(self.jobs)} ({self.jobs[number].varied or config.run_name})"
                if (same := same_run_before(self.jobs, number)) is not None:
                    log.info("%s is the same run as job %d and isn't done again", name, same + 1)
                    return Outcome(folder, "same run", 0.0)
            log.info("%s", name)
        began = time.perf_counter()
        try:
            from tss_lab.pipeline import run

            run(config, list(HydraConfig.get().overrides.task))
        except TssError as error:
            if self.sweeps or _wants_tracebacks():
                log.error("%s stopped: %s", name, error, exc_info=_wants_tracebacks())
            return Outcome(folder, "stopped", time.perf_counter() - began, str(error), error.exit_code)
        except Exception as error:
            if not self.sweeps:
                raise
            log.exception("%s failed", name)
            said = f"{type(error).__name__}: {error}"
            return Outcome(folder, "failed", time.perf_counter() - began, said, OUR_ERROR)
        return Outcome(folder, "finished", time.perf_counter() - began)


def _launched(hydra: Hydra, flags: Namespace, jobs: Sequence[Job], sweeps: bool) -> list[Outcome]:
    task = Task(jobs, sweeps)
    if not sweeps:
        return [hydra.run(flags.config_name, task, flags.overrides).return_value]
    _begin_log()
    log.info("%s", f"{len(jobs)} jobs, all checked" if jobs else "a sweep whose jobs follow from each other")
    batches = hydra.multirun(flags.config_name, task, flags.overrides)
    return [job.return_value for batch in batches or [] for job in batch]


def _conclude(jobs: Sequence[Job], outcomes: Sequence[Outcome], sweeps: bool) -> None:
    """The closing words, and the exit code where not all went well."""
    if sweeps and global_rank() == 0:
        console = output()
        console.print(closing_table(outcomes))
        if hint := how_to_compare(outcomes):
            console.print(hint, markup=False, highlight=False, soft_wrap=True)
    codes = {outcome.exit_code for outcome in outcomes} - {0}
    if codes:
        names = [job.varied or job.config.run_name for job in jobs] or [outcome.folder.name for outcome in outcomes]
        bad = [(name, outcome.said) for name, outcome in zip(names, outcomes, strict=True) if outcome.said]
        _fail(
            [f"[{name}] {said}" if sweeps else said for name, said in bad],
            min(codes),
        )


def _fail(sentences: Sequence[str], code: int) -> NoReturn:
    for sentence in sentences:
        sys.stderr.write(f"tss_lab: {sentence}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
