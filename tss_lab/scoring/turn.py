"""The right to compute what an artefact lacks: held by one job at a time, waited for by all of its processes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol, TypeVar

import filelock
import polars as pl

from tss_lab.store import Artifact
from tss_lab.types import TokenPair

log = logging.getLogger(__name__)

BEAT_SECONDS = 20.0
"""The leader tries so long for the lock before it tells the others that it hasn't got it."""

_Value = TypeVar("_Value")


class Group(Protocol):
    """The processes of a job: a Lightning strategy."""

    @property
    def is_global_zero(self) -> bool: ...

    def broadcast(self, obj: _Value) -> _Value: ...


class Turn:
    """A job's turn at an artefact; the lock is the leader's until ``close``.

    All processes wait inside the process group, a beat at a time: neither its set-up nor any operation
    in it lasts as long as another job may take, and none runs into a time-out.

    Args:
        tokens: the artefact of single tokens' likelihoods, where those are wanted too.

    ``new`` are the indices of the pairs that ``artifact`` itself lacks, known after ``take``.
    """

    def __init__(self, artifact: Artifact, pairs: Sequence[TokenPair], tokens: Artifact | None = None):
        self.artifact = artifact
        self.pairs = pairs
        self.tokens = tokens
        self.new: frozenset[int] = frozenset()
        self._lock: filelock.BaseFileLock | None = None

    def take(self, group: Group) -> list[int]:
        """Waits for the turn; returns the indices of the pairs that the store doesn't hold then, in whole."""
        waited = False
        # Each broadcast lasts a beat at most, so the others never wait in one for as long as its time-out.
        while not group.broadcast(group.is_global_zero and self._acquired()):
            if group.is_global_zero and not waited:
                log.info("another run is computing %s; waiting for it", self.artifact.folder)
            waited = True
        # Asked after the lock is held, since the job before may have computed all of it; and by the leader alone, since
        # processes that saw different shards would share out different pairs.
        lacking, new = self.lacking() if group.is_global_zero else ([], [])
        lacking, new = group.broadcast((lacking, new))
        self.new = frozenset(new)
        return lacking

    def lacking(self) -> tuple[list[int], list[int]]:
        """Indices of the pairs of which anything is missing, and of those that the artefact itself lacks."""
        new = missing(self.artifact, self.pairs)
        if self.tokens is None:
            return new, new
        return sorted({*new, *missing(self.tokens, self.pairs)}), new

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _acquired(self) -> bool:
        """Whether the lock is ours, after a beat at most."""
        self._lock = self.artifact.try_lock(BEAT_SECONDS)
        return self._lock is not None


def missing(artifact: Artifact, pairs: Sequence[TokenPair]) -> list[int]:
    """Indices of the pairs that the store doesn't hold."""
    asked = pl.DataFrame({"pair_id": [pair.pair_id for pair in pairs]}, schema={"pair_id": pl.String}).with_row_index()
    stored = artifact.scan()
    if stored is None:
        return list(range(len(pairs)))
    found = asked.lazy().join(stored.select("pair_id"), on="pair_id", how="anti").collect(engine="streaming")
    return sorted(found["index"].to_list())
