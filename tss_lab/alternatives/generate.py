"""Asks a generator for what is missing, and keeps every reply as it comes.

Two artefacts of one identity: ``replies`` holds what the generator wrote, ``alternatives`` what cleaning
made of it. Neither depends on K or on which examples are asked for; both only grow.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from tss_lab.alternatives.asking import Asking, Round, StoredReply
from tss_lab.alternatives.generators.base import Generator, Reply
from tss_lab.alternatives.progress import shown
from tss_lab.errors import ArtifactError, GeneratorError
from tss_lab.provenance import versions
from tss_lab.store import Artifact, Store
from tss_lab.types import Example

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_SHARDS = 15.0
_REPLY_COLUMNS = {
    "example_id": pl.String, "sample": pl.Int32, "round": pl.Int32, "round_size": pl.Int32, "wanted": pl.Int32,
    "asked_for": pl.Int32, "text": pl.String, "finished": pl.Boolean, "refused": pl.String,
}  # fmt: skip
ALTERNATIVE_COLUMNS = {
    "example_id": pl.String, "alternative_index": pl.Int32, "instruction": pl.String, "source": pl.String,
    "similarity": pl.Float64,
}  # fmt: skip


@dataclass
class Generated:
    """The clean alternatives of each example, all that there are, and how they came about."""

    by_example: dict[str, list[str]]
    fingerprint: str
    prompt_example: str
    resumed: int
    """Examples that were found complete in the store."""
    seconds: float
    new_alternatives: int
    counts: dict[str, Any] = field(default_factory=dict)


def generate(
    examples: Sequence[Example],
    k: int,
    asking: Asking,
    generator: Generator,
    store: Store,
    *,
    may_generate: bool = True,
) -> Generated:
    """K clean alternatives for each example, as far as the generator's tries go; only what is missing is asked.

    Raises ArtifactError when something is missing and ``may_generate`` is false.
    """
    identity = {"source": "generated", "generator": generator.identity(), "asking": asking.identity()}
    replies_artifact = store.artifact("replies", identity)
    table = store.artifact("alternatives", identity)
    replies = _read_replies(replies_artifact, examples)
    resumed = sum(not asking.next_round(example, replies[example.example_id], k) for example in examples)
    if resumed < len(examples) and not may_generate:
        raise ArtifactError(
            f"{len(examples) - resumed} of {len(examples)} examples have no alternatives in {table.folder} yet; "
            "add alternatives to stages"
        )
    before = sum(len(_accepted(example, replies, asking)) for example in examples)
    prompt_example = generator.render(_first_request(examples[0], k, asking))
    started = time.monotonic()
    if resumed < len(examples) or _behind(table, examples, replies, asking):
        with replies_artifact.lock():
            replies = _read_replies(replies_artifact, examples)  # another run may have worked while we waited
            note, made_with = {"prompt_example": prompt_example}, versions()
            replies_artifact.write_manifest(complete=False, counts=note, versions=made_with)
            try:
                _ask_until_done(examples, k, asking, generator, replies, replies_artifact)
            finally:
                _append_alternatives(table, examples, replies, asking)
            counts = {**note, **_totals(table)}
            for artifact in (replies_artifact, table):
                artifact.write_manifest(complete=True, counts=counts, versions=made_with)
    seconds = time.monotonic() - started
    accepted = {example.example_id: _accepted(example, replies, asking) for example in examples}
    new = sum(map(len, accepted.values())) - before
    counts = _counts(examples, k, asking, replies)
    return Generated(accepted, table.fingerprint, prompt_example, resumed, seconds, new, counts)


def _ask_until_done(
    examples: Sequence[Example], k: int, asking: Asking, generator: Generator,
    replies: dict[str, list[StoredReply]], artifact: Artifact,
) -> None:  # fmt: skip
    """Round by round, the examples that are furthest behind first, so that a resumed run repeats the same batches."""
    while True:
        rounds = {
            example.example_id: asking.next_round(example, replies[example.example_id], k) for example in examples
        }
        open_rounds = {name: found for name, found in rounds.items() if found is not None}
        if not open_rounds:
            return
        level = min(found.number for found in open_rounds.values())
        asked = {name: found for name, found in open_rounds.items() if found.number == level}
        expected = sum(len(found.requests) for found in asked.values())
        log.info(
            "%d of %d examples have no %d alternatives yet; %s %d requests for %d of them",
            len(open_rounds), len(examples), k, "asking again," if level else "asking,", expected, len(asked),
        )  # fmt: skip
        num_replies = _ask_once(asked, k, generator, replies, artifact)
        if num_replies < expected:
            raise GeneratorError(
                f"the generator left {expected - num_replies} of {expected} requests without a reply; "
                "what it wrote is kept, run again to go on"
            )


def _ask_once(
    asked: dict[str, Round], k: int, generator: Generator, replies: dict[str, list[StoredReply]], artifact: Artifact
) -> int:
    """Sends the requests and stores the replies in shards as they come; returns how many came."""
    waiting: list[dict[str, Any]] = []
    written, last = 0, time.monotonic()
    requests = [request for found in asked.values() for request in found.requests]
    with shown(len(requests)) as came:
        try:
            for batch in generator.ask(requests):
                for reply in batch:
                    name = reply.request.example.example_id
                    stored = _stored(reply, asked[name], k)
                    replies[name].append(stored)
                    waiting.append(_row(name, stored))
                written += len(batch)
                came(len(batch))
                if time.monotonic() - last > _SECONDS_BETWEEN_SHARDS:
                    _append_replies(artifact, waiting)
                    last = time.monotonic()
        finally:
            _append_replies(artifact, waiting)
    return written


def _stored(reply: Reply, found: Round, k: int) -> StoredReply:
    return StoredReply(
        reply.request.sample, found.number, found.size, k, found.asked_for, reply.text, reply.finished, reply.refused
    )


def _row(name: str, reply: StoredReply) -> dict[str, Any]:
    return {"example_id": name, **asdict(reply)}


def _append_replies(artifact: Artifact, waiting: list[dict[str, Any]]) -> None:
    if waiting:
        artifact.append(pl.DataFrame(waiting, schema=_REPLY_COLUMNS))
        waiting.clear()


def _read_replies(artifact: Artifact, examples: Sequence[Example]) -> dict[str, list[StoredReply]]:
    found: dict[str, list[StoredReply]] = defaultdict(list)
    table = artifact.scan()
    if table is not None:
        names = pl.Series([example.example_id for example in examples], dtype=pl.String)
        rows = table.filter(pl.col("example_id").is_in(names.implode())).collect()
        for row in rows.unique(["example_id", "sample"], keep="first", maintain_order=True).iter_rows(named=True):
            name = row.pop("example_id")
            found[name].append(StoredReply(**row))
    return found


def _accepted(example: Example, replies: dict[str, list[StoredReply]], asking: Asking) -> list[str]:
    return asking.clean(example, replies[example.example_id]).accepted


def _known(table: Artifact) -> dict[str, int]:
    rows = table.scan()
    if rows is None:
        return {}
    return dict(rows.group_by("example_id").agg(pl.len()).collect().iter_rows())


def _behind(
    table: Artifact, examples: Sequence[Example], replies: dict[str, list[StoredReply]], asking: Asking
) -> bool:
    """Whether replies are stored whose alternatives are not: a run was killed in between."""
    known = _known(table)
    return any(len(_accepted(example, replies, asking)) > known.get(example.example_id, 0) for example in examples)


def _append_alternatives(
    table: Artifact, examples: Sequence[Example], replies: dict[str, list[StoredReply]], asking: Asking
) -> None:
    known = _known(table)
    rows = [
        (example.example_id, index, text, "generated", None)
        for example in examples
        for index, text in enumerate(_accepted(example, replies, asking))
        if index >= known.get(example.example_id, 0)
    ]
    if rows:
        table.append(pl.DataFrame(rows, schema=ALTERNATIVE_COLUMNS, orient="row"))


def _totals(table: Artifact) -> dict[str, int]:
    known = _known(table)
    return {"examples": len(known), "alternatives": sum(known.values())}


def _first_request(example: Example, k: int, asking: Asking) -> Any:
    first = asking.next_round(example, [], k)
    assert first is not None
    return first.requests[0]


def _counts(
    examples: Sequence[Example], k: int, asking: Asking, replies: dict[str, list[StoredReply]]
) -> dict[str, Any]:
    """How asking went, over all stored replies of these examples."""
    rejected: Counter[str] = Counter()
    shortened = accepted = asked_for = requests = retries = complete_at_first = 0
    for example in examples:
        own = replies[example.example_id]
        cleaner = asking.clean(example, own)
        rejected.update(cleaner.rejected)
        shortened += cleaner.shortened
        accepted += len(cleaner.accepted)
        asked_for += sum(asking.num_asked_for(reply) for reply in own)
        requests += len(own)
        retries += sum(reply.round > 0 for reply in own)
        complete_at_first += len(asking.clean(example, [reply for reply in own if reply.round == 0]).accepted) >= k
    return {
        "requests": requests,
        "retries": retries,
        "parse_rate": accepted / asked_for if asked_for else 0.0,
        "complete_at_first_try": complete_at_first / len(examples),
        "rejected": dict(rejected.most_common()),
        "shortened_to_one_sentence": shortened,
        "inputs_cut": sum(asking.is_cut(example) for example in examples),
    }
