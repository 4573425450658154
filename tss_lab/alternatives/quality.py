"""The audit: are the alternatives other tasks, do they give the output away, do they differ among themselves?"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tss_lab.alternatives.clean import fold
from tss_lab.alternatives.embed import Embedder
from tss_lab.config import AlternativesConfig
from tss_lab.errors import ModelError
from tss_lab.store import Store
from tss_lab.types import Alternative, Example

log = logging.getLogger(__name__)

LEAK_WORDS, LEAK_CHARACTERS = 5, 12
PARAPHRASE_SIMILARITY = 0.85


def audit(
    examples: Sequence[Example],
    by_example: Mapping[str, Sequence[Alternative]],
    config: AlternativesConfig,
    store: Store,
    cache: Path,
) -> dict[str, Any]:
    """Figures of the alternatives' quality; shares are of alternatives, unless they say otherwise.

    ``duplicate_share``: equal to I when folded. ``leak_share``: a run of five words (or the whole output, where
    it is shorter) and 12 characters stands in the output too, but neither in I nor in X. From embeddings,
    where the embedding model can be had (else they are left out, with a warning): ``paraphrase_share``, cosine
    similarity to I above 0.85; ``similarity_to_instruction``; ``pair_similarity``, the mean within an example.
    At most ``config.audit_sample`` examples are looked at, evenly spread; ``audited_examples`` says how many.
    """
    chosen = [example for example in examples if by_example.get(example.example_id)]
    chosen = chosen[:: max(1, -(-len(chosen) // config.audit_sample))]
    pairs = [(example, found) for example in chosen for found in by_example[example.example_id]]
    leaks = [leak(found.instruction, example) for example, found in pairs]
    sources = sorted({found.source for _, found in pairs})
    figures = {
        "audited_examples": len(chosen),
        "audited_alternatives": len(pairs),
        "duplicate_share": _share(fold(found.instruction) == fold(example.instruction) for example, found in pairs),
        "leak_share": _share(text is not None for text in leaks),
        "leaks": [text for text in leaks if text is not None][:20],
        "words": _spread([len(found.instruction.split()) for _, found in pairs]),
        "distinct_first_word_share": _mean([_first_words(by_example[example.example_id]) for example in chosen]),
        "source_share": {source: _share(found.source == source for _, found in pairs) for source in sources},
    }
    try:
        embedder = Embedder(config.embedder, store, cache)
    except ModelError as error:
        log.warning("the audit of the alternatives goes without embeddings: %s", error)
        return figures
    return {**figures, **_similarities(chosen, by_example, embedder, config.similarity_ceiling)}


def _similarities(
    examples: Sequence[Example], by_example: Mapping[str, Sequence[Alternative]], embedder: Embedder, ceiling: float
) -> dict[str, Any]:
    texts = [example.instruction for example in examples]
    texts += [found.instruction for example in examples for found in by_example[example.example_id]]
    if not texts:
        return {}
    vectors = dict(zip(texts, embedder.embed(texts), strict=True))
    to_instruction, within = [], []
    for example in examples:
        own = [vectors[found.instruction] for found in by_example[example.example_id]]
        to_instruction += [float(vectors[example.instruction] @ vector) for vector in own]
        within += [float(one @ other) for one, other in combinations(own, 2)]
    return {
        "paraphrase_share": _share(value > PARAPHRASE_SIMILARITY for value in to_instruction),
        "similarity_to_instruction": _spread(to_instruction),
        "pair_similarity": _mean(within),
        "near_duplicate_pair_share": _share(value > ceiling for value in within),
    }


def _first_words(found: Sequence[Alternative]) -> float:
    return len({alternative.instruction.split()[0].casefold() for alternative in found}) / len(found)


def leak(instruction: str, example: Example) -> str | None:
    """The longest run of the output's words that the instruction gives away, or None.

    What I or X say already is no leak: the generator may know it from there.
    """
    words, output = fold(instruction).split(), fold(example.output).split()
    needed = min(LEAK_WORDS, len(output))
    given = f" {fold(example.instruction)} \0 {fold(example.input)} "
    text = f" {' '.join(output)} "
    best: str | None = None
    for start in range(len(words)):
        for stop in range(len(words), start + needed - 1, -1):
            run = " ".join(words[start:stop])
            if needed and f" {run} " in text:
                if len(run) >= LEAK_CHARACTERS and f" {run} " not in given and len(run) > len(best or ""):
                    best = run
                break
    return best


def _share(values: Iterable[bool]) -> float:
    found = [bool(value) for value in values]
    return sum(found) / len(found) if found else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95]).tolist()
    return {"mean": _mean(values), "5%": low, "50%": middle, "95%": high}
