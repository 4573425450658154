"""The candidate set C(X) of every example: generated, retrieved or both (docs/method.md, Alternative instructions)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tss_lab.alternatives.asking import Asking
from tss_lab.alternatives.clean import fold
from tss_lab.alternatives.embed import Embedder
from tss_lab.alternatives.generate import Generated, generate
from tss_lab.alternatives.generators import make_generator
from tss_lab.alternatives.retrieve import Neighbour, retrieve
from tss_lab.config import AlternativesConfig, GeneratorConfig
from tss_lab.errors import DataError
from tss_lab.models import free_memory
from tss_lab.store import Store
from tss_lab.types import Alternative, Example, SetAside

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlternativesRun:
    """The alternatives of a run's examples.

    ``by_example`` holds those that have any, in the order of the examples; ``fingerprints`` names the
    artefacts they come from (``generated``, ``retrieved``); ``prompt_example`` is the exact text that was
    sent for the first example, empty where nothing is generated.
    """

    by_example: dict[str, list[Alternative]]
    counts: dict[str, Any]
    set_aside: list[SetAside]
    fingerprints: dict[str, str]
    prompt_example: str


@dataclass
class _Parts:
    """What each example has so far."""

    generated: dict[str, list[str]] = field(default_factory=dict)
    retrieved: dict[str, list[Neighbour]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    prompt_example: str = ""


def make_alternatives(
    examples: Sequence[Example],
    corpus_examples: Sequence[Example],
    config: AlternativesConfig,
    generator: GeneratorConfig,
    store: Store,
    cache: Path,
    *,
    may_generate: bool = True,
    embedder: Callable[[], Embedder] | None = None,
) -> AlternativesRun:
    """K alternatives of each kind asked for, from the store where they are there.

    Retrieved ones come from ``corpus_examples``' instructions. Generated ones that are too few are filled up
    with retrieved ones (``alternatives=generated``). Raises DataError when no example gets any,
    and ArtifactError when generated ones are missing and ``may_generate`` is false.
    """
    if not examples:
        raise DataError("there are no examples to find alternatives for; check dataset.path and dataset.limit")
    parts = _Parts()
    if config.kind in ("generated", "mixed"):
        _generate(examples, config, generator, store, cache, parts, may_generate)
    short = [example for example in examples if len(parts.generated.get(example.example_id, [])) < config.k]
    wanted = list(examples) if config.kind in ("retrieved", "mixed") else short
    if wanted:
        found = embedder() if embedder else Embedder(config.embedder, store, cache)
        # Twice K: some may be among the generated ones already.
        depth = config.k if config.kind == "retrieved" else 2 * config.k
        parts.retrieved, parts.fingerprints["retrieved"] = retrieve(
            wanted, corpus_examples, depth, config, found, store
        )
    return _together(examples, config, parts)


def _generate(
    examples: Sequence[Example],
    config: AlternativesConfig,
    generator: GeneratorConfig,
    store: Store,
    cache: Path,
    parts: _Parts,
    may_generate: bool,
) -> None:
    asking = Asking(generator, config.max_words)
    writer = make_generator(generator, cache)
    made: Generated = generate(examples, config.k, asking, writer, store, may_generate=may_generate)
    if made.new_alternatives:
        del writer  # with its model
        free_memory()
    parts.generated = {name: found[: config.k] for name, found in made.by_example.items()}
    parts.fingerprints["generated"] = made.fingerprint
    parts.prompt_example = made.prompt_example
    rate = made.new_alternatives / made.seconds if made.new_alternatives else 0.0
    parts.counts = {
        **made.counts,
        "resumed_examples": made.resumed,
        "generated_now": made.new_alternatives,
        "generation_seconds": made.seconds,
        "items_per_second": rate,
    }
    log.info(
        "%d alternatives written for %d examples, %.1f a second; %d examples came from the store; parse rate %.0f %%",
        made.new_alternatives, len(examples) - made.resumed, rate, made.resumed, 100 * made.counts["parse_rate"],
    )  # fmt: skip


def _together(examples: Sequence[Example], config: AlternativesConfig, parts: _Parts) -> AlternativesRun:
    by_example: dict[str, list[Alternative]] = {}
    set_aside: list[SetAside] = []
    num_generated = num_retrieved = num_filled = examples_filled = examples_short = 0
    full = 2 * config.k if config.kind == "mixed" else config.k
    for example in examples:
        generated = parts.generated.get(example.example_id, [])
        retrieved = _without(parts.retrieved.get(example.example_id, []), generated)
        retrieved = retrieved[: config.k if config.kind == "mixed" else config.k - len(generated)]
        total = len(generated) + len(retrieved)
        examples_short += total < full
        if total == 0 or (total < config.k and config.on_too_few == "set_aside"):
            detail = f"{total} of {config.k} alternatives could be generated or retrieved"
            set_aside.append(
                SetAside(f"example {example.example_id}", "too few alternatives", detail, example.example_id)
            )
            continue
        num_generated += len(generated)
        num_retrieved += len(retrieved)
        if config.kind == "generated" and retrieved:
            num_filled += len(retrieved)
            examples_filled += 1
        texts: list[tuple[str, str, float | None]] = [(text, "generated", None) for text in generated]
        texts += [(text, "retrieved", similarity) for text, similarity in retrieved]
        by_example[example.example_id] = [
            Alternative(example.example_id, index, text, source, similarity)
            for index, (text, source, similarity) in enumerate(texts)
        ]
    if not by_example:
        raise DataError(_nothing_found(examples, config))
    counts = {
        "kind": config.kind,
        "k": config.k,
        "examples": len(examples),
        "alternatives": num_generated + num_retrieved,
        "generated": num_generated,
        "retrieved": num_retrieved,
        "filled_from_retrieval": num_filled,
        "examples_filled": examples_filled,
        "examples_short": examples_short,
        "set_aside": len(set_aside),
        **parts.counts,
    }
    if num_filled:
        log.info("%d alternatives of %d examples were filled up from retrieval", num_filled, examples_filled)
    return AlternativesRun(by_example, counts, set_aside, parts.fingerprints, parts.prompt_example)


def _without(retrieved: Sequence[Neighbour], generated: Sequence[str]) -> list[Neighbour]:
    taken = {fold(text) for text in generated}
    return [neighbour for neighbour in retrieved if fold(neighbour[0]) not in taken]


def _nothing_found(examples: Sequence[Example], config: AlternativesConfig) -> str:
    same = len({fold(example.instruction) for example in examples}) == 1
    why = (
        "all instructions are the same, so there is nothing to retrieve"
        if same
        else "nothing else in the corpus is far enough from them"
    )
    remedy = (
        "take alternatives=generated"
        if config.kind == "retrieved"
        else "take another generator, or a form of asking that guides it (generator.ask=line_by_line)"
    )
    if config.on_too_few == "set_aside":
        remedy += ", or alternatives.on_too_few=keep"
    return f"no example has enough alternative instructions: {why}; {remedy}"
