"""Checks of what a run will compute."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tss_lab.config.section import Count, Section


class DoctorConfig(Section):
    """Which checks are made, on how much; they determine no result."""

    at_start: bool = True
    """A run that computes likelihoods or trains makes the cheap ones first; warnings and failures are logged."""
    strict: bool = False
    """A failure ends the run with exit code 1."""
    rows: Count = 2000
    """So many evenly spaced examples have their ids looked at."""
    sample: Count = 32
    """So many of these go through the model."""
    longest: Count = 1024
    """Tokens of prompt and output together that an example of the sample has at most: whole logits are compared."""
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Texts that share so much of their three-word sequences (Jaccard) are near-duplicates."""
    ngram: Count = 13
    """Words in a row that a benchmark's item and a row of the data share, to be named."""
