"""The writing side of a run's folder: opened once, recorded a step at a time, whole after every step."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import polars as pl
import yaml

from tss_lab.config import RunConfig
from tss_lab.errors import ArtifactError
from tss_lab.provenance import commit, global_rank, hardware, peak_memory_gib, versions
from tss_lab.runs import names
from tss_lab.runs.owner import has_results, refuse_another_run
from tss_lab.store import parquet_bytes, write_atomic, write_json
from tss_lab.types import SetAside

if TYPE_CHECKING:
    from tss_lab.models import LocalModel

log = logging.getLogger(__name__)


class RunFolder:
    """Collects what a run did and writes it at once, so that a run that dies leaves its record.

    Further processes of a distributed run keep the same record but write nothing.
    """

    def __init__(self, config: RunConfig):
        self.path = config.paths.runs / config.run_name
        self.config = config
        self.metrics: dict[str, float] = {}
        self.record: dict[str, Any] = {}
        self.is_writer = global_rank() == 0
        self._set_aside: dict[str, list[SetAside]] = {}
        self._fresh: set[str] = {names.CONFIG, names.RECORD, names.METRICS, names.LOG}

    def holds(self, name: str) -> bool:
        """Whether a file or folder of this name is there."""
        return (self.path / name).exists()

    def note(self, **facts: Any) -> None:
        """Adds facts to ``run.json``."""
        self.record.update(facts)
        if self.is_writer:
            write_json(self.path / names.RECORD, self.record)

    def claim(self, what: str, identity: Any) -> None:
        """Says what the run is made of (its data, its model); called before anything of a step is written.

        Raises ArtifactError where the folder's earlier steps were made of something else (a data file that
        changed under the same name, say), unless ``overwrite`` or unless they have no result: then they are removed.
        """
        claimed = self.record.setdefault("made_of", {})
        if self.is_writer and claimed.get(what, identity) != identity:
            if has_results(self.path) and not self.config.overwrite:
                raise ArtifactError(
                    f"{self.path} holds a run whose {what} was another: it changed since, under the same settings. "
                    "Give another run_name, or overwrite=true to begin this one anew"
                )
            _empty(self.path, spared=self._fresh)
            self.metrics.clear()
            self._set_aside.clear()
        claimed[what] = identity

    def claim_model(self, local: LocalModel) -> None:
        """Says which model the run is made of."""
        self.claim("model", local.identity())
        self.note(model={"name": local.name, "licence": local.licence, **local.identity()})

    def measure(self, prefix: str, values: Mapping[str, Any]) -> None:
        """Adds the finite numbers among ``values`` to ``metrics.json`` as ``prefix/name``."""
        for name, value in values.items():
            flat_name = f"{prefix}/{name}" if prefix else name
            if isinstance(value, Mapping):
                self.measure(flat_name, value)
            elif isinstance(value, (int, float)) and math.isfinite(value):
                self.metrics[flat_name] = value
        if self.is_writer:
            write_json(self.path / names.METRICS, dict(sorted(self.metrics.items())))

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """One step of the pipeline: what it says and writes, how long it took, the peak memory after it."""
        began, cpu_began = time.perf_counter(), time.process_time()
        yield Step(self, name)
        cost = {
            "seconds": round(time.perf_counter() - began, 3),
            "cpu_seconds": round(time.process_time() - cpu_began, 3),
            "peak_memory_gib": round(peak_memory_gib(), 3),
        }
        self.record.setdefault("costs", {})[name] = cost
        self.note()
        self.measure(f"cost/{name}", cost)

    def put_aside(self, step: str, rows: Sequence[SetAside]) -> None:
        """The rows that a step doesn't use, in place of those it named before; listed in ``set_aside.jsonl``."""
        self._set_aside[step] = list(rows)
        lines = [
            json.dumps({"step": one, **asdict(row)}, ensure_ascii=False) + "\n"
            for one, mine in self._set_aside.items()
            for row in mine
        ]
        if self.is_writer:
            write_atomic(self.path / names.SET_ASIDE, "".join(lines))

    @property
    def reasons(self) -> dict[str, str]:
        """Example -> why a step of this run set it aside."""
        return {row.example_id: row.reason for rows in self._set_aside.values() for row in rows if row.example_id}


class Step:
    """What one step of the pipeline says about itself."""

    def __init__(self, folder: RunFolder, name: str):
        self.folder, self.name = folder, name

    def record(self, **facts: Any) -> None:
        """Facts for ``run.json``; numbers that are not finite are left out."""
        self.folder.note(**_finite(facts))

    def measure(self, prefix: str, values: Mapping[str, Any]) -> None:
        """Numbers for ``metrics.json``, under ``prefix/name``."""
        self.folder.measure(prefix, values)

    def put_aside(self, rows: Sequence[SetAside]) -> None:
        """Rows that this step doesn't use, each with its reason."""
        self.folder.put_aside(self.name, rows)

    def write(self, name: str, content: pl.DataFrame | str | Iterator[str] | Mapping[str, Any]) -> None:
        """A file of the folder, whole or not at all: a frame as Parquet, a mapping as JSON, texts as they are."""
        if not self.folder.is_writer:
            return
        self.folder._fresh.add(name)
        path = self.folder.path / name
        if isinstance(content, pl.DataFrame):
            write_atomic(path, parquet_bytes(content))
        elif isinstance(content, Mapping):
            write_json(path, content)
        else:
            write_atomic(path, content)


@contextlib.contextmanager
def open_folder(config: RunConfig) -> Iterator[RunFolder]:
    """Holds a run's folder for this process, with a log file beside its results.

    Raises ArtifactError, before anything is written, when another process is working on it or when it holds
    another run; ``overwrite=true`` empties it in the second case.
    """
    folder = RunFolder(config)
    if not folder.is_writer:
        yield folder
        return
    refuse_another_run(folder.path, config)
    folder.path.mkdir(parents=True, exist_ok=True)
    with _held(folder.path):
        if refuse_another_run(folder.path, config):  # again, now that nobody else can change it
            _empty(folder.path)
        with _logged(folder.path / names.LOG):
            _begin(folder)
            try:
                yield folder
            except BaseException as error:
                folder.note(status=f"stopped: {type(error).__name__}: {error}")
                raise
            folder.note(status=names.FINISHED)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    lock = filelock.FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ArtifactError(
            f"another process is working on {path}; wait for it, or give this run another run_name"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("tss_lab").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("tss_lab").removeHandler(handler)
        handler.close()


def _begin(folder: RunFolder) -> None:
    """Takes up the folder's record, or begins a new one, and says what runs now."""
    if folder.holds(names.RECORD):
        folder.record, folder.metrics = _known(folder.path / names.RECORD), _known(folder.path / names.METRICS)
        for row in names.read_lines(folder.path / names.SET_ASIDE):
            folder._set_aside.setdefault(row.pop("step"), []).append(SetAside(**row))
    settings = folder.config.model_dump(mode="json")
    write_atomic(folder.path / names.CONFIG, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    folder.note(
        format_version=names.FORMAT_VERSION,
        run_name=folder.config.run_name,
        status="running",
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=commit(),
        versions=versions(),
        hardware=hardware(),
    )


def _known(path: Path) -> dict[str, Any]:
    """A record of this run; an empty one where there is none or it can't be read, which is said."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except (ValueError, TypeError) as error:
        log.warning("%s can't be read (%s) and is begun anew", path, error)
        return {}


def _empty(path: Path, spared: Collection[str] = ()) -> None:
    """Removes what runs write, and nothing that somebody else put there."""
    log.info("what %s held of another run is removed", path)
    for name in set(names.WRITTEN) - set(spared):
        if (path / name).is_dir():
            shutil.rmtree(path / name)
        else:
            (path / name).unlink(missing_ok=True)


def _finite(value: Any) -> Any:
    """Without the numbers that JSON has no word for; null in their place in a list."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items() if not _is_not_finite(one)}
    if isinstance(value, (list, tuple)):
        return [None if _is_not_finite(one) else _finite(one) for one in value]
    return value


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
