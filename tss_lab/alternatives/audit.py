"""The audit: are the alternatives other tasks, do they give the output away, do they differ among themselves?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tss_lab.alternatives.clean import fold
from tss_lab.alternatives.embed import Embedder
from tss_lab.config import AlternativesConfig
from tss_lab.store import Store
from tss_lab.types import Alternative, Example

LEAK_WORDS, LEAK_CHARACTERS = 5, 12
PARAPHRASE_SIMILARITY = 0.85


def audit(
    examples: Sequence[Example], by_example: Mapping[str, Sequence[Alternative]], config: AlternativesConfig, store: Store, cache: Path
) -> dict[str, Any]:
    """Figures of the alternatives' quality; shares are of alternatives, unless they say otherwise.

    ``duplicate_share``: equal to I when folded. ``paraphrase_share``: cosine similarity to I above 0.85.
    ``leak_share``: a run of five words (or the whole output, where it is shorter) and 12 characters stands in
    the output too, but neither in I nor in X. ``pair_similarity``: mean cosine within an example.
    At most ``config.audit_sample`` examples are looked at, evenly spread; ``examples`` says how many.
    """
    chosen = [example for example in examples if by_example.get(example.example_id)]
    step = max(1, -(-len(chosen) // config.audit_sample))
    chosen = chosen[::step]
    pairs = [(example, alternative) for example in chosen for alternative in by_example[example.example_id]]
    texts = list(dict.fromkeys([*(example.instruction for example in chosen), *(found.instruction for _, found in pairs)]))
    vectors = dict(zip(texts, Embedder(config.embedder, store, cache).embed(texts), strict=True)) if texts else {}
    similarity_P = np.array([float(vectors[example.instruction] @ vectors[found.instruction]) for example, found in pairs])
    words_P = np.array([len(found.instruction.split()) for _, found in pairs])
    within = [
        float(vectors[one.instruction] @ vectors[other.instruction])
        for example in chosen
        for one, other in combinations(by_example[example.example_id], 2)
    ]
    leaks = [leak(found.instruction, example) for example, found in pairs]
    sources = sorted({found.source for _, found in pairs})
    return {
        "examples": len(chosen),
        "alternatives": len(pairs),
        "duplicate_share": _share(fold(found.instruction) == fold(example.instruction) for example, found in pairs),
        "paraphrase_share": _share(similarity_P > PARAPHRASE_SIMILARITY),
        "leak_share": _share(text is not None for text in leaks),
        "leaks": [text for text in leaks if text is not None][:20],
        "similarity_to_instruction": _spread(similarity_P),
        "words": _spread(words_P),
        "pair_similarity": _mean(within),
        "near_duplicate_pair_share": _share(value > config.similarity_ceiling for value in within),
        "distinct_first_word_share": _mean(
            [
                len({found.instruction.split()[0].casefold() for found in by_example[example.example_id]}) / len(by_example[example.example_id])
                for example in chosen
            ]
        ),
        "source_share": {source: _share(found.source == source for _, found in pairs) for source in sources},
    }


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


def _share(values: Any) -> float:
    found = [bool(value) for value in values]
    return sum(found) / len(found) if found else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _spread(values_P: np.ndarray) -> dict[str, float]:
    if not len(values_P):
        return {}
    return {"mean": float(values_P.mean()), "5%": float(np.quantile(values_P, 0.05)), "50%": float(np.median(values_P)), "95%": float(np.quantile(values_P, 0.95))}
