"""Write-once artefacts, named by a fingerprint of all that determines their content.

An artefact is a folder ``<store>/<kind>/<fingerprint>/`` with ``manifest.json`` (its identity in
words) and Parquet shards ``part-<sequence>-<sha256>.parquet``. A shard's name carries the hash of its
bytes, so a truncated or altered one is found when it is read: it is renamed ``*.corrupt``, named in
the log, and what it held counts as missing. Shards appear by an atomic rename and are never rewritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import polars as pl

from tss_lab.errors import ArtifactError

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_HASH_LETTERS = 32


def fingerprint(identity: Mapping[str, Any]) -> str:
    """16 hex letters that change when any value of ``identity`` changes, whatever the keys' order."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False, default=_refuse)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refuse(value: object) -> None:
    raise TypeError(f"an identity holds plain values only, got {type(value).__name__}: {value!r}")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: Path, content: bytes | str) -> None:
    """Writes a whole file or none of it: hidden temporary name, fsync, atomic rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically; NaN and infinity are refused rather than written as non-JSON."""
    write_atomic(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


class Artifact:
    """One folder of the store. Reading needs no lock; writers hold ``lock()``."""

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

    def verified_shards(self) -> list[Path]:
        """The shards whose bytes match their name; others are renamed ``*.corrupt`` and logged."""
        good = []
        for shard in self.shards():
            if file_sha256(shard)[:_HASH_LETTERS] == shard.stem.rsplit("-", 1)[-1]:
                good.append(shard)
                continue
            aside = shard.with_name(shard.name + ".corrupt")
            os.replace(shard, aside)
            log.warning("%s is altered or truncated; kept as %s, what it held is computed again", shard, aside.name)
        return good

    def scan(self) -> pl.LazyFrame | None:
        """A lazy frame over the verified shards, or None when there is none."""
        good = self.verified_shards()
        return pl.scan_parquet(good) if good else None

    def append(self, rows: pl.DataFrame) -> Path:
        """Adds a shard atomically and returns its path. Rows must be new; readers see all or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            rows.write_parquet(temporary)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            digest = file_sha256(temporary)[:_HASH_LETTERS]
            shard = self.folder / f"part-{self._next_sequence():06d}-{digest}.parquet"
            os.replace(temporary, shard)
        except OSError as error:
            raise ArtifactError(f"can't write to {self.folder}: {error.strerror or error}; free some room and run again") from error
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(self.folder)
        return shard

    def _next_sequence(self) -> int:
        taken = [int(shard.name.split("-")[1]) for shard in self.shards()]
        return max(taken, default=-1) + 1

    def write_manifest(self, *, complete: bool, counts: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        """Writes what the artefact is, what it holds, and what made it."""
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
            },
        )

    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None before the first write. Raises ArtifactError on a newer format."""
        path = self.folder / MANIFEST
        if not path.exists():
            return None
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format_version", 0) > FORMAT_VERSION:
            raise ArtifactError(f"{path} was written by a newer tss_lab (format {content['format_version']}); update tss_lab")
        return content

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the artefact for writing; jobs that need the same one wait here. Freed if we die."""
        self.folder.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(self.folder / ".lock")
        try:
            held.acquire(timeout=0)
        except filelock.Timeout:
            log.info("another run is computing %s; waiting for it", self.folder)
            held.acquire()
        try:
            yield
        finally:
            held.release()


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
            content = json.loads(path.read_text(encoding="utf-8"))
            found.append(Artifact(path.parent, content["kind"], content["identity"]))
        return found
