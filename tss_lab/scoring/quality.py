"""What a low precision does to the likelihoods: their ranking against float32, kept in the artefact's manifest.

A comparison is over a sample of a plan and kept under the sample's name, so that the same plan finds its own.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tss_lab.config import ScoringConfig
from tss_lab.statistics import spearman
from tss_lab.store import Artifact, fingerprint
from tss_lab.types import FloatArray, TokenPair

log = logging.getLogger(__name__)

SAMPLE = 64
"""Pairs that are computed in float32 too."""
_NO_MEMORY = "there was no memory for the float32 model"


@dataclass(frozen=True)
class Quality:
    """One comparison, over ``float32_pairs`` pairs; without a figure ``float32_problem`` says why."""

    float32_rank_correlation: float | None
    float32_pairs: int
    float32_problem: str = ""


def sample_of(pairs: Sequence[TokenPair]) -> list[TokenPair]:
    """At most ``SAMPLE`` evenly spaced pairs."""
    return list(pairs[:: max(1, -(-len(pairs) // SAMPLE))])


def noted_qualities(artifact: Artifact) -> dict[str, Quality]:
    """All comparisons of an artefact by their samples' names, the last one last."""
    noted = (artifact.manifest() or {}).get("quality", {})
    return {name: Quality(**values) for name, values in noted.items()}


def quality_of(artifact: Artifact, pairs: Sequence[TokenPair]) -> Quality | None:
    """The comparison over this plan's sample, else the last one over another; None where there is none."""
    noted = noted_qualities(artifact)
    return noted.get(sample_name(sample_of(pairs)), next(reversed(noted.values()), None))


def sample_name(sample: Sequence[TokenPair]) -> str:
    return fingerprint({"pair_ids": [pair.pair_id for pair in sample]})


def with_quality(noted: Mapping[str, Quality], name: str, quality: Quality) -> dict[str, Quality]:
    """The comparisons with a new one as the last."""
    return {**{key: value for key, value in noted.items() if key != name}, name: quality}


def against_float32(
    folder: Path, scoring: ScoringConfig, pairs: Sequence[TokenPair], loglik_P: FloatArray, device: str
) -> Quality:
    """Computes ``pairs`` in float32 and compares; a lack of memory is noted and no failure."""
    import torch

    from tss_lab.engine.score import TooLargeError, out_of_memory, score_pairs
    from tss_lab.models import load_model

    exact = scoring.model_copy(update={"dtype": "float32", "engine": "plain" if scoring.engine == "plain" else "auto"})
    try:
        exact_P, _ = score_pairs(load_model(folder, "float32", device=device), pairs, exact)
    except (TooLargeError, torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not (isinstance(error, TooLargeError) or out_of_memory(error)):
            raise
        log.warning("%s is not compared with float32: %s", scoring.dtype, _NO_MEMORY)
        return Quality(None, len(pairs), _NO_MEMORY)
    found = spearman(loglik_P, exact_P)
    if math.isnan(found):
        return Quality(None, len(pairs), "too few different likelihoods to rank")
    log.info("%s against float32 on %d pairs: rank correlation %.4f", scoring.dtype, len(pairs), found)
    return Quality(found, len(pairs), "")
