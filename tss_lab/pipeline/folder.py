"""The folder of one run: its resolved config, its record (``run.json``), its log and its metrics."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import filelock
import yaml

from tss_lab.config import RunConfig
from tss_lab.errors import ArtifactError
from tss_lab.provenance import commit, global_rank, hardware, peak_memory_gib, versions
from tss_lab.store import write_atomic, write_json

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_OF_THE_COMMAND = {"stages", "paths", "trainer", "logger"}
"""Settings that may differ between two commands for the same run."""


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """Without the numbers that JSON has no word for."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _read_json(path: Path) -> dict[str, Any]:
    """A record of this run; an empty one where there is none or it can't be read, which is said."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        log.warning("%s can't be read (%s) and is begun anew", path, error)
        return {}


class RunFolder:
    """Collects what a run did and writes it after every step, so that a run that dies leaves its record.

    Further processes of a distributed run keep the same books but write nothing.
    """

    def __init__(self, config: RunConfig):
        self.path = config.paths.runs / config.run_name
        self.config = config
        self.metrics: dict[str, float] = {}
        self.record: dict[str, Any] = {}
        self.is_writer = global_rank() == 0

    @contextlib.contextmanager
    def opened(self) -> Iterator[RunFolder]:
        """Holds the run for this process, with a log file beside its results.

        Raises ArtifactError when another process is working on the same run.
        """
        if not self.is_writer:
            yield self
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise ArtifactError(
                f"another process is working on {self.path}; wait for it, or give this run another run_name"
            ) from error
        handler = logging.FileHandler(self.path / "run.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger("tss_lab").addHandler(handler)
        try:
            self._begin()
            yield self
            self.note(status="finished")
        except BaseException as error:
            self.note(status=f"stopped: {type(error).__name__}: {error}")
            raise
        finally:
            logging.getLogger("tss_lab").removeHandler(handler)
            handler.close()
            lock.release()

    def _begin(self) -> None:
        settings = self.config.model_dump(mode="json")
        if self._is_this_run(settings):
            self.metrics = _read_json(self.path / "metrics.json")
            self.record = _read_json(self.path / "run.json")
        write_atomic(self.path / "config.yaml", yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
        self.note(
            format_version=FORMAT_VERSION,
            run_name=self.config.run_name,
            status="running",
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            commit=commit(),
            versions=versions(),
            hardware=hardware(),
        )

    def _is_this_run(self, settings: Mapping[str, Any]) -> bool:
        """Whether the folder's record is of the same settings, so that a command for some steps adds to it."""
        path = self.path / "config.yaml"
        if not path.exists():
            return False
        known = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(known, dict):
            return False
        return {name: known.get(name) for name in settings if name not in _OF_THE_COMMAND} == {
            name: value for name, value in settings.items() if name not in _OF_THE_COMMAND
        }

    def note(self, **facts: Any) -> None:
        """Adds facts to ``run.json``."""
        self.record.update(facts)
        if self.is_writer:
            write_json(self.path / "run.json", self.record)

    def measure(self, prefix: str, values: Mapping[str, Any]) -> None:
        """Adds the finite numbers among ``values`` to ``metrics.json`` as ``prefix/name``."""
        for name, value in values.items():
            flat_name = f"{prefix}/{name}" if prefix else name
            if isinstance(value, Mapping):
                self.measure(flat_name, value)
            elif isinstance(value, (int, float)) and math.isfinite(value):
                self.metrics[flat_name] = value
        if self.is_writer:
            write_json(self.path / "metrics.json", dict(sorted(self.metrics.items())))

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Records how long a step took, and the peak memory of the process after it."""
        began, cpu_began = time.perf_counter(), time.process_time()
        yield
        costs = self.record.setdefault("costs", {})
        costs[step] = {
            "seconds": round(time.perf_counter() - began, 3),
            "cpu_seconds": round(time.process_time() - cpu_began, 3),
            "peak_memory_gib": round(peak_memory_gib(), 3),
        }
        self.note()
        self.measure(f"cost/{step}", costs[step])
