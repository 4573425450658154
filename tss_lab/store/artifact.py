"""The store: a folder an artefact, ``<store>/<kind>/<fingerprint>/``.

In it lie ``manifest.json`` (its identity in words) and Parquet shards
``part-<sequence>-<sha256>.parquet``. A shard's name carries the hash of its bytes, so a truncated or
altered one is found when it is read: it is renamed ``*.corrupt``, named in the log, and what it held
counts as missing. Shards appear by an atomic rename and are never rewritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import polars as pl

from tss_lab.errors import ArtifactError
from tss_lab.store.files import file_sha256, fingerprint, parquet_bytes, write_atomic, write_json

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
CORRUPT = ".corrupt"
_HASH_LETTERS = 32

_checked: dict[tuple[str, int, int, int], bool] = {}
"""Shards that this process has hashed: (path, bytes, time of change, inode) -> whether the name was right."""


class Artifact:
    """One folder of the store. Reading needs no lock; several processes may append at once.

    ``lock()`` is for jobs that would otherwise compute the same rows twice.
    """

    def __init__(self, folder: Path, kind: str, identity: Mapping[str, Any]):
        self.folder = folder
        self.kind = kind
        self.identity = dict(identity)

    @property
    def fingerprint(self) -> str:
        return self.folder.name

    def shards(self) -> list[Path]:
        """All shards by name, oldest first, unverified."""
        return sorted(self.folder.glob("part-*.parquet"))

    def verified_shards(self, *, thorough: bool = False) -> list[Path]:
        """The shards whose bytes match their name; others are renamed ``*.corrupt`` and logged.

        A shard is hashed once in a process for as long as its size and time don't change; ``thorough``
        hashes it again.
        """
        good = []
        for shard in self.shards():
            try:
                if shard_is_whole(shard, thorough=thorough):
                    good.append(shard)
                    continue
                aside = shard.with_name(shard.name + CORRUPT)
                os.replace(shard, aside)
            except FileNotFoundError:
                continue  # another process has set it aside already
            log.warning("%s is altered or truncated; kept as %s, what it held is computed again", shard, aside.name)
        return good

    def scan(self) -> pl.LazyFrame | None:
        """A lazy frame over the verified shards, or None when there is none."""
        good = self.verified_shards()
        with contextlib.suppress(OSError):  # when it was last of use, for gc; a store may be read-only
            os.utime(self.folder / MANIFEST)
        return pl.scan_parquet(good) if good else None

    def append(self, rows: pl.DataFrame) -> Path:
        """Adds a shard atomically and returns its path. Rows must be new; readers see all or nothing.

        Raises ArtifactError, and leaves nothing behind, when the disk doesn't take it.
        """
        content = parquet_bytes(rows)
        digest = hashlib.sha256(content).hexdigest()[:_HASH_LETTERS]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Not ``lock()``'s: that one is held for the hours of a computation, in which it appends; this one only
            # keeps two writers from the same sequence number.
            with filelock.FileLock(self.folder / ".append.lock"):
                shard = self.folder / f"part-{self._next_sequence():06d}-{digest}.parquet"
                write_atomic(shard, content)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ArtifactError(f"can't write to {self.folder}: {reason}; free some room and run again") from error
        _checked[_state(shard)] = True
        return shard

    def _next_sequence(self) -> int:
        names = [path.name for path in self.folder.glob("part-*")]
        return max((int(name.split("-")[1]) for name in names), default=-1) + 1

    def write_manifest(
        self,
        *,
        complete: bool,
        counts: Mapping[str, Any],
        versions: Mapping[str, str],
        quality: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes what the artefact is, what it holds, what made it and, where that was measured, how good it is."""
        write_json(
            self.folder / MANIFEST,
            {
                "format_version": FORMAT_VERSION,
                "kind": self.kind,
                "fingerprint": self.fingerprint,
                "identity": self.identity,
                "counts": dict(counts),
                "versions": dict(versions),
                "complete": complete,
                **({"quality": dict(quality)} if quality else {}),
            },
        )

    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None before the first write. Raises ArtifactError on a newer or unreadable one."""
        path = self.folder / MANIFEST
        if not path.exists():
            return None
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ArtifactError(
                f"{path} is not valid JSON ({error}); remove it, the next run writes it again"
            ) from error
        if content.get("format_version", 0) > FORMAT_VERSION:
            version = content["format_version"]
            raise ArtifactError(f"{path} was written by a newer tss_lab (format {version}); update tss_lab")
        return content

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the artefact for computing; jobs that need the same one wait here. Freed if we die."""
        held = self.try_lock(0)
        if held is None:
            log.info("another run is computing %s; waiting for it", self.folder)
            held = self.try_lock(-1)
        assert held is not None  # without a limit there is no giving up
        try:
            yield
        finally:
            held.release()

    def try_lock(self, seconds: float) -> filelock.BaseFileLock | None:
        """The same lock, to be released by the caller; None when another job held it for so long (below 0: wait)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(self.folder / ".lock")
        try:
            held.acquire(timeout=seconds)
        except filelock.Timeout:
            return None
        return held


def shard_is_whole(shard: Path, *, thorough: bool = False) -> bool:
    """Whether a shard's bytes hash to what its name says."""
    state = _state(shard)
    if thorough or state not in _checked:
        _checked[state] = file_sha256(shard)[:_HASH_LETTERS] == shard.stem.rsplit("-", 1)[-1]
    return _checked[state]


def _state(path: Path) -> tuple[str, int, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns, status.st_ino


class Store:
    """The folder shared by all runs."""

    def __init__(self, root: Path):
        self.root = root

    def artifact(self, kind: str, identity: Mapping[str, Any]) -> Artifact:
        """The artefact of this identity; nothing is read or written yet."""
        return Artifact(self.root / kind / fingerprint(identity), kind, identity)

    def artifacts(self) -> list[Artifact]:
        """All artefacts that have a manifest, by kind and fingerprint."""
        found = []
        for path in sorted(self.root.glob(f"*/*/{MANIFEST}")):
            artifact = Artifact(path.parent, path.parent.parent.name, {})
            artifact.identity = dict((artifact.manifest() or {}).get("identity", {}))
            found.append(artifact)
        return found
