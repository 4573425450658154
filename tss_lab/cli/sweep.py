"""A command's jobs: planned and checked before the first begins, and told about when the last has ended."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tss_lab.config import RunConfig
from tss_lab.errors import ConfigError

Status = Literal["finished", "stopped", "failed", "same run"]
"""stopped: by what the user can mend. failed: by a fault of ours. same run: as an earlier job, so not done again."""
_HEADLINES = (
    ("eval/tuned/sum", "tuned SUM"), ("held_out/nll/after", "held-out loss"), ("sft/loss_last", "training loss"),
    ("eval/zero_shot/sum", "zero-shot SUM"), ("selection/kept", "kept"), ("selection/effective_size", "effective size"),
    ("dataset/examples", "examples"),
)  # fmt: skip
"""Names in ``metrics.json``, the most telling first; the closing table shows two of them."""
_MOST_NUMBERS = 2
_MOST_FOLDERS = 8


@dataclass(frozen=True)
class Job:
    """One run that a command asks for; ``varied`` are the overrides in which it differs from its fellows."""

    config: RunConfig
    varied: str = ""

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.config.paths.runs / self.config.run_name


@dataclass(frozen=True)
class Outcome:
    """What came of a job; of one that didn't finish the sentence that says why, and the command's exit code."""

    folder: Path
    status: Status
    seconds: float
    said: str = ""
    exit_code: int = 0


def varying(overrides_J: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs have, as one text a job."""
    common = set.intersection(*map(set, overrides_J)) if overrides_J else set()
    return [" ".join(override for override in overrides if override not in common) for overrides in overrides_J]


def refuse_shared_folders(jobs: Sequence[Job]) -> None:
    """Raises ConfigError where runs of different settings would follow each other in one folder."""
    first: dict[Path, Job] = {}
    for job in jobs:
        other = first.setdefault(job.folder, job)
        if other.config.identity() != job.config.identity():
            name = job.config.run_name
            differing = other.varied.split()[0].partition("=")[0] if other.varied else "seed"
            raise ConfigError(
                f"the jobs {other.varied or name} and {job.varied or name} would both write to {job.folder}, where one "
                f"run has room; leave run_name out, or let it differ: 'run_name={name}-${{{differing}}}'"
            )


def same_run_before(jobs: Sequence[Job], number: int) -> int | None:
    """The earlier job that is the very same run, which needn't be done twice; None where there is none."""
    return next((n for n, job in enumerate(jobs[:number]) if job.config == jobs[number].config), None)


def closing_table(outcomes: Sequence[Outcome]) -> Any:
    """A rich table, a row a job: name, status, the most telling numbers, seconds."""
    from rich.table import Table

    metrics_J = [_metrics(outcome) for outcome in outcomes]
    shown = [column for column in _HEADLINES if any(column[0] in metrics for metrics in metrics_J)][:_MOST_NUMBERS]
    table = Table(box=None, pad_edge=False)
    table.add_column("job", justify="right")
    table.add_column("run", overflow="fold")
    table.add_column("status")
    for title in (*(title for _, title in shown), "seconds"):
        table.add_column(title, justify="right")
    for number, (outcome, metrics) in enumerate(zip(outcomes, metrics_J, strict=True), 1):
        numbers = (f"{metrics[name]:.4g}" if name in metrics else "–" for name, _ in shown)
        table.add_row(str(number), outcome.folder.name, outcome.status, *numbers, f"{outcome.seconds:.1f}")
    return table


def _metrics(outcome: Outcome) -> dict[str, float]:
    """The run's numbers; none of a run that didn't end well or whose folder is on another machine."""
    path = outcome.folder / "metrics.json"
    if outcome.status not in ("finished", "same run") or not path.is_file():
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8")))


def how_to_compare(outcomes: Sequence[Outcome]) -> str:
    """The command that puts the finished runs side by side; empty where there are fewer than two."""
    folders = list(dict.fromkeys(outcome.folder for outcome in outcomes if outcome.status == "finished"))
    if len(folders) < 2:
        return ""
    return f"compare them: python -m tss_lab.report {_pattern(folders)}"


def _pattern(folders: Sequence[Path]) -> str:
    """The folders one by one, or the pattern that stands for just them where they are many."""
    parents = {folder.parent for folder in folders}
    if len(folders) > _MOST_FOLDERS and len(parents) == 1:
        first, last = min(folders).name, max(folders).name
        beginning = "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last)))  # noqa: B905
        parent = parents.pop()
        if {path.parent for path in parent.glob(f"{beginning}*/run.json")} == set(folders):
            return f"{_written(parent / beginning)}*"
    return " ".join(map(_written, folders))


def _written(path: Path) -> str:
    """A path as one would type it."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
