"""The audit: are the alternatives other tasks, do they give the output away, do they differ among themselves?"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tss_lab.alternatives.clean import fold
from tss_lab.alternatives.embed import Embedder
from tss_lab.config import AlternativesConfig
from tss_lab.errors import ModelError
from tss_lab.types import Alternative, Alternatives, Example

log = logging.getLogger(__name__)

LEAK_WORDS, LEAK_CHARACTERS = 5, 12
PARAPHRASE_SIMILARITY = 0.85


def audit(
    examples: Sequence[Example],
    by_example: Alternatives,
    config: AlternativesConfig,
    embedder: Callable[[], Embedder],
) -> dict[str, Any]:
    """Figures of the alternatives' quality; shares are of alternatives, unless they say otherwise.

    ``duplicate_share``: equal to I when folded. ``leak_share``: a run of five words (or the whole output, where
    it is shorter) and 12 characters stands in the output too, but neither in I nor in X. From embeddings,
    where the embedding model can be had (else they are left out, with a warning): ``paraphrase_share``, cosine
    similarity to I above 0.85; ``similarity_to_instruction``; ``pair_similarity``, the mean within an example.
    At most ``config.audit_sample`` examples are looked at for these, evenly spread; ``audited_examples`` says how
    many. The figures of ``tally`` are over all alternatives, and ``most_frequent`` is the text that stands most often.
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
        **tally(examples, by_example),
        "most_frequent": _most_frequent(by_example)[0],
    }
    try:
        found = embedder()
    except ModelError as error:
        log.warning("the audit of the alternatives goes without embeddings: %s", error)
        return figures
    return {**figures, **_similarities(chosen, by_example, found, config.similarity_ceiling)}


def tally(examples: Sequence[Example], by_example: Alternatives) -> dict[str, Any]:
    """Counts over all alternatives, where texts that fold to the same are one; numbers only.

    ``own_instruction_copies``: alternatives that are their example's I. ``repeated_within_example``: alternatives
    that stand before in their example. ``distinct_share``: different texts by alternatives.
    ``most_frequent_times``: how often the most frequent text stands. ``examples_with``: examples by their number
    of alternatives. ``by_source``: each source's alternatives, examples, words, and cosine similarities to I where
    they are known.
    """
    folded = {name: [fold(found.instruction) for found in own] for name, own in by_example.items()}
    total = sum(map(len, folded.values()))
    counts = Counter(len(folded.get(example.example_id, [])) for example in examples)
    by_source: dict[str, list[Alternative]] = {}
    for own in by_example.values():
        for found in own:
            by_source.setdefault(found.source, []).append(found)
    return {
        "own_instruction_copies": sum(
            folded.get(example.example_id, []).count(fold(example.instruction)) for example in examples
        ),
        "repeated_within_example": total - sum(len(set(own)) for own in folded.values()),
        "distinct_share": len({text for own in folded.values() for text in own}) / total if total else 0.0,
        "most_frequent_times": _most_frequent(by_example)[1],
        "examples_with": {str(k): counts[k] for k in sorted(counts, reverse=True)},
        "by_source": {source: _of_source(found) for source, found in sorted(by_source.items())},
    }


def _of_source(found: Sequence[Alternative]) -> dict[str, float]:
    words = [len(alternative.instruction.split()) for alternative in found]
    similarity = [alternative.similarity for alternative in found if alternative.similarity is not None]
    return {
        "alternatives": len(found),
        "examples": len({alternative.example_id for alternative in found}),
        "mean_words": _mean(words),
        "most_words": max(words),
        **(
            {"median_similarity": float(np.median(similarity)), "highest_similarity": max(similarity)}
            if similarity
            else {}
        ),
    }


def _most_frequent(by_example: Alternatives) -> tuple[str, int]:
    """A text as it first stands, and how often it stands in any spelling; the first of equals."""
    spelling: dict[str, str] = {}
    times: Counter[str] = Counter()
    for own in by_example.values():
        for found in own:
            folded = fold(found.instruction)
            spelling.setdefault(folded, found.instruction)
            times[folded] += 1
    if not times:
        return "", 0
    folded, count = times.most_common(1)[0]
    return spelling[folded], count


def _similarities(
    examples: Sequence[Example], by_example: Alternatives, embedder: Embedder, ceiling: float
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
