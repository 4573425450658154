"""Lightning loggers for a run, and what is sent to them: settings, curves, scores, results, the page.

Curves come from the Trainer that is given the loggers; the functions here send the rest. All of them do
nothing on processes other than the first.
"""

from __future__ import annotations

import contextlib
import logging
import netrc
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from tss_lab.config import LoggerConfig, RunConfig
from tss_lab.errors import ConfigError
from tss_lab.provenance import global_rank
from tss_lab.runs import Run, ScoredRow
from tss_lab.store import write_atomic
from tss_lab.tracking.secrets import without_secrets

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]
MAX_TABLE_ROWS = 10_000
"""Rows of the score table that go to Weights & Biases; the run folder holds all of them."""


def make_loggers(config: LoggerConfig, run_folder: Path, run_name: str, settings: Mapping[str, Any]) -> list[Logger]:
    """The run's loggers, with its settings written to them.

    Args:
        run_folder: everything local goes below it: ``logs/`` (CSV), ``tensorboard/``, ``wandb/``.
        settings: the resolved config as plain values; secrets in it are replaced before it is sent.

    Raises ConfigError when ``logger.mode=online`` can't be had.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    logger: Logger
    if config.kind == "csv":
        logger = CSVLogger(run_folder, name="logs")
    elif config.kind == "tensorboard":
        logger = TensorBoardLogger(run_folder, name="tensorboard", version="")
    else:
        logger = _wandb_logger(config, run_folder, run_name, settings)
    if global_rank() == 0:
        logger.log_hyperparams(without_secrets(settings))
    return [logger]


@contextlib.contextmanager
def open_loggers(config: RunConfig, run_folder: Path, *, wanted: bool) -> Iterator[list[Logger]]:
    """The run's loggers, ended with it, so that the next job of a sweep begins its own.

    A CSV logger holds nothing but curves, so there is none unless a training is ``wanted``.
    """
    if config.logger.kind == "csv" and not wanted:
        yield []
        return
    loggers = make_loggers(config.logger, run_folder, config.run_name, config.model_dump(mode="json"))
    succeeded = False
    try:
        yield loggers
        succeeded = True
    finally:
        close_loggers(loggers, succeeded)


def log_run(loggers: Sequence[Logger], run: Run, page: Path | None) -> None:
    """A finished run's numbers, scores and page."""
    log_summary(loggers, run.metrics)
    if loggers and run.selection is not None:
        log_scores(loggers, run.scored)
    if page is not None:
        log_page(loggers, page)


def log_summary(loggers: Sequence[Logger], metrics: Mapping[str, float]) -> None:
    """The run's final numbers, under the flat names of ``metrics.json``."""
    if global_rank() != 0:
        return
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(dict(metrics))
        else:
            logger.log_metrics({f"summary/{name}": value for name, value in metrics.items()}, step=0)
            logger.save()


def log_scores(loggers: Sequence[Logger], rows: Sequence[ScoredRow]) -> None:
    """The scores' distribution, and (Weights & Biases) a table of the ranking's first rows, without their texts."""
    if global_rank() != 0:
        return
    import numpy as np

    ranked = sorted((row for row in rows if row.rank is not None), key=lambda row: row.rank or 0)
    score_N = np.array([row.score for row in ranked], dtype=np.float64)
    if not len(score_N):
        return
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_histogram("scores", score_N, 0)
        if isinstance(logger, WandbLogger):
            import wandb

            columns = ["row", "example_id", "score", "rank", "kept", "weight"]
            first = [[getattr(row, name) for name in columns] for row in ranked[:MAX_TABLE_ROWS]]
            table = wandb.Table(columns=columns, data=first)
            logger.experiment.log({"scores": table, "score_distribution": wandb.Histogram(score_N)})
            if len(first) < len(ranked):
                log.info("the table of scores in Weights & Biases holds the first %d of %d", len(first), len(ranked))


def log_page(loggers: Sequence[Logger], page: Path) -> None:
    """The report: shown in Weights & Biases and kept there as an artifact."""
    if global_rank() != 0:
        return
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            run = logger.experiment
            run.log({"report": wandb.Html(page.read_text(encoding="utf-8"), inject=False)})
            artifact = wandb.Artifact(f"report-{run.id}", type="report")
            artifact.add_file(str(page))
            run.log_artifact(artifact)


def close_loggers(loggers: Sequence[Logger], succeeded: bool = True) -> None:
    """Flushes and ends the loggers, so that the next job of a sweep begins its own."""
    if global_rank() != 0:
        return
    for logger in loggers:
        logger.finalize("success" if succeeded else "failed")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if succeeded else 1)


def _wandb_logger(config: LoggerConfig, run_folder: Path, run_name: str, settings: Mapping[str, Any]) -> WandbLogger:
    import wandb

    mode = wandb_mode(config)
    if global_rank() != 0:  # Lightning gives further processes a logger that does nothing
        return WandbLogger(name=run_name, save_dir=run_folder, project=config.project)
    if wandb.run is not None:  # a run that an earlier job of this process left open must not get this one's numbers
        wandb.finish()

    def begin(mode: Mode) -> Any:
        return wandb.init(
            name=run_name,
            dir=run_folder,
            id=_wandb_id(run_folder),
            resume="allow",
            project=config.project,
            group=config.group or settings.get("experiment_name"),
            tags=_tags(config, settings),
            mode=mode,
            # No questions, no console capture, no copy of code, command line or machine names.
            settings=wandb.Settings(
                console="off", silent=True, save_code=False, disable_git=True, disable_job_creation=True,
                x_disable_meta=True, init_timeout=30,
            ),
        )  # fmt: skip

    try:
        run = begin(mode)
    except (wandb.errors.Error, OSError) as error:
        if mode == "offline":
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if config.mode == "online":
            raise ConfigError(
                f"logger.mode=online: Weights & Biases can't be reached ({reason}); take logger.mode=offline"
            ) from error
        log.warning("Weights & Biases can't be reached (%s); the run is logged offline", reason)
        wandb.teardown()  # the service still holds the run's name
        mode = "offline"
        run = begin(mode)
    if mode == "offline":
        log.info("Weights & Biases is offline: `wandb sync %s` sends the run later", Path(run.dir).parent)
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return WandbLogger(experiment=run, name=run_name, save_dir=run_folder, project=config.project)


def _wandb_id(run_folder: Path) -> str:
    """The run's id in Weights & Biases: made once a run folder, so that the same command continues the same run."""
    path = run_folder / "wandb" / "run_id"
    if not path.exists():
        write_atomic(path, uuid.uuid4().hex[:12])
    return path.read_text(encoding="utf-8")


def wandb_mode(config: LoggerConfig) -> Mode:
    """``online``, ``offline`` or ``disabled``: as configured, else as WANDB_MODE says, else by whether there is a key.

    Raises ConfigError for ``online`` without a key, where Weights & Biases would ask for one.
    """
    if config.mode == "offline":
        return "offline"
    asked = os.environ.get("WANDB_MODE", "") if config.mode == "auto" else "online"
    if asked in {"offline", "dryrun"}:
        return "offline"
    if asked == "disabled":
        return "disabled"
    if _has_wandb_key():
        return "online"
    if asked == "online":
        raise ConfigError(
            "Weights & Biases has no key to go online with; run `wandb login` once, set WANDB_API_KEY, "
            "or take logger.mode=offline"
        )
    return "offline"


def _has_wandb_key() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    import wandb

    server = os.environ.get("WANDB_BASE_URL") or str(wandb.Settings().base_url)
    host = urlsplit(server).hostname or ""
    candidates = [os.environ.get("NETRC", ""), "~/.netrc", "~/_netrc"]
    for path in (Path(candidate).expanduser() for candidate in candidates if candidate):
        if not path.is_file():
            continue
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (netrc.NetrcParseError, OSError) as error:
            log.warning("can't read %s (%s); going on without a key from it", path, error)
    return False


def _tags(config: LoggerConfig, settings: Mapping[str, Any]) -> list[str]:
    """The configured tags, and the names that one looks for: method, model, dataset, ρ."""
    tags = list(config.tags)
    for section in ("method", "model", "dataset"):
        group = settings.get(section)
        if isinstance(group, Mapping) and group.get("name"):
            tags.append(str(group["name"]))
    if "rho" in settings:
        tags.append(f"rho={settings['rho']}")
    return list(dict.fromkeys(tag[:64] for tag in tags))  # the service takes 64 characters a tag
