"""Retrieved alternatives: nearest neighbours of I among the corpus's own instructions (section 3.5)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tss_lab.alternatives.clean import fold
from tss_lab.alternatives.embed import Embedder, Vectors
from tss_lab.alternatives.generate import ALTERNATIVE_COLUMNS
from tss_lab.config import AlternativesConfig
from tss_lab.errors import ConfigError
from tss_lab.provenance import versions
from tss_lab.store import Artifact, Store
from tss_lab.types import Example

log = logging.getLogger(__name__)

Neighbour = tuple[str, float]  # instruction, cosine similarity
Search = Callable[[Vectors, int], "tuple[Vectors, npt.NDArray[np.int64]]"]
_BLOCK_BYTES = 256 << 20
_MARGIN = 16  # neighbours looked at beyond those wanted, for the near-duplicates that fall out


def retrieve(
    examples: Sequence[Example], corpus: Sequence[Example], count: int, config: AlternativesConfig,
    embedder: Embedder, store: Store,
) -> tuple[dict[str, list[Neighbour]], str]:  # fmt: skip
    """Up to ``count`` neighbours of each example's instruction, nearest first, and the artefact's fingerprint.

    Neighbours are other instructions of the corpus: not I itself in any spelling that folding makes equal,
    none more similar to it than the ceiling, no two that fold to the same text.
    """
    instructions = _distinct(corpus)
    identity = {
        "source": "retrieved",
        "embedder": embedder.identity(),
        "corpus_sha256": hashlib.sha256("\0".join(instructions).encode()).hexdigest(),
        "similarity_ceiling": config.similarity_ceiling,
        "search": "exact" if len(instructions) <= config.exact_search_up_to else "faiss IVF SQ8, rescored",
    }
    table = store.artifact("alternatives", identity)
    found = _read(table, examples)
    short = [example for example in examples if len(found.get(example.example_id, [])) < count]
    if short:
        with table.lock():
            found = _read(table, examples)
            neighbours = nearest(
                sorted({example.instruction for example in short}), instructions, count, config, embedder
            )
            rows = []
            for example in short:
                own = neighbours[example.instruction]
                rows += [
                    (example.example_id, index, text, "retrieved", similarity)
                    for index, (text, similarity) in enumerate(own)
                    if index >= len(found.get(example.example_id, []))
                ]
                found[example.example_id] = own
            if rows:
                table.append(pl.DataFrame(rows, schema=ALTERNATIVE_COLUMNS, orient="row"))
            counts = {"corpus_instructions": len(instructions)}
            table.write_manifest(complete=True, counts=counts, versions=versions())
    return {example.example_id: found.get(example.example_id, [])[:count] for example in examples}, table.fingerprint


def nearest(
    queries: Sequence[str], instructions: Sequence[str], count: int, config: AlternativesConfig, embedder: Embedder
) -> dict[str, list[Neighbour]]:
    """Up to ``count`` neighbours of each query, looking further where near-duplicates crowd the first ones."""
    if not instructions:
        return {query: [] for query in queries}
    vectors = embedder.embed([*instructions, *queries])
    search = _searcher(vectors[: len(instructions)], config.exact_search_up_to)
    query_vectors = dict(zip(queries, vectors[len(instructions) :], strict=True))
    result: dict[str, list[Neighbour]] = {}
    pending, depth = list(queries), count + _MARGIN
    while pending:
        depth = min(depth, len(instructions))
        similarity, place = search(np.stack([query_vectors[query] for query in pending]), depth)
        for row, query in enumerate(pending):
            candidates = [
                (instructions[at], float(value))
                for at, value in zip(place[row], similarity[row], strict=True)
                if at >= 0
            ]
            result[query] = _chosen(query, candidates, count, config.similarity_ceiling)
        pending = [] if depth == len(instructions) else [query for query in pending if len(result[query]) < count]
        depth *= 4
    return result


def _chosen(query: str, candidates: Sequence[Neighbour], count: int, ceiling: float) -> list[Neighbour]:
    taken = {fold(query)}
    chosen: list[Neighbour] = []
    for text, similarity in sorted(candidates, key=lambda candidate: (-candidate[1], candidate[0])):
        if similarity <= ceiling and fold(text) not in taken and len(chosen) < count:
            taken.add(fold(text))
            chosen.append((text, similarity))
    return chosen


def _distinct(corpus: Sequence[Example]) -> list[str]:
    """The corpus's instructions, one of each that fold to the same text, in order."""
    by_fold: dict[str, str] = {}
    for instruction in sorted({example.instruction for example in corpus}):
        by_fold.setdefault(fold(instruction), instruction)
    return sorted(by_fold.values())


def _read(table: Artifact, examples: Sequence[Example]) -> dict[str, list[Neighbour]]:
    rows = table.scan()
    if rows is None:
        return {}
    names = pl.Series([example.example_id for example in examples], dtype=pl.String)
    chosen = rows.filter(pl.col("example_id").is_in(names.implode())).collect()
    chosen = chosen.unique(["example_id", "alternative_index"], keep="first").sort("example_id", "alternative_index")
    found: dict[str, list[Neighbour]] = {}
    for name, _, text, _, similarity in chosen.select(list(ALTERNATIVE_COLUMNS)).iter_rows():
        found.setdefault(name, []).append((text, similarity))
    return found


def _searcher(vectors: Vectors, exact_up_to: int) -> Search:
    return _exact(vectors) if len(vectors) <= exact_up_to else _indexed(vectors)


def _exact(vectors: Vectors) -> Search:
    """All similarities, in blocks of queries that fit a fixed memory."""
    import torch

    corpus = torch.from_numpy(vectors)
    rows = max(1, _BLOCK_BYTES // (4 * len(vectors)))

    def search(queries: Vectors, depth: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
        blocks = [
            (torch.from_numpy(queries[start : start + rows]) @ corpus.T).topk(depth, dim=1)
            for start in range(0, len(queries), rows)
        ]
        return (
            torch.cat([values for values, _ in blocks]).numpy(),
            torch.cat([places for _, places in blocks]).numpy(),
        )

    return search


def _indexed(vectors: Vectors) -> Search:
    """An inverted index with 8-bit vectors finds candidates, the exact product ranks them."""
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            f"{len(vectors)} instructions are more than alternatives.exact_search_up_to, which needs an index library: "
            "pip install -e '.[large]' in the checkout of tss_lab, or raise alternatives.exact_search_up_to"
        ) from error
    num_lists = int(4 * np.sqrt(len(vectors)))
    index: Any = faiss.index_factory(vectors.shape[1], f"IVF{num_lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[np.random.default_rng(0).permutation(len(vectors))[: 64 * num_lists]])
    index.add(vectors)
    index.nprobe = max(16, num_lists // 16)

    def search(queries: Vectors, depth: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
        rows = max(1, _BLOCK_BYTES // (4 * depth * vectors.shape[1]))
        similarity, place = np.empty((len(queries), depth), np.float32), np.empty((len(queries), depth), np.int64)
        for start in range(0, len(queries), rows):
            block = slice(start, start + rows)
            place[block] = index.search(queries[block], depth)[1]
            similarity[block] = _products(queries[block], vectors, place[block])
        return similarity, place

    return search


def _products(queries: Vectors, vectors: Vectors, place_QK: npt.NDArray[np.int64]) -> Vectors:
    """Each query's products with its candidates: (Q, K). A place of −1 is none, and its product means nothing."""
    products: Vectors = np.einsum("qd,qkd->qk", queries, vectors[np.maximum(place_QK, 0)])
    return products
