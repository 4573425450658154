"""From weighted examples to the token rows that are trained on.

No torch here: a plan can be made and printed without loading anything heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tss_lab.errors import DataError, TrainingError
from tss_lab.prompts import PromptEncoder
from tss_lab.types import Example, FloatArray, SetAside


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One example as ids. ``target_ids`` ends with ``PromptEncoder.end_ids``, unless the output was cut."""

    example_id: str
    prompt_ids: list[int]
    target_ids: list[int]
    weight: float
    truncated: bool = False

    @property
    def num_tokens(self) -> int:
        """Tokens that the model reads: the last target token predicts nothing and isn't read."""
        return len(self.prompt_ids) + len(self.target_ids) - 1

    @property
    def num_targets(self) -> int:
        return len(self.target_ids)


def checked_weights(weight_N: FloatArray, examples: Sequence[Example]) -> FloatArray:
    """The weights as float64 with mean 1. Raises TrainingError on weights that can't be trained with."""
    weight_N = np.asarray(weight_N, np.float64)
    if weight_N.shape != (len(examples),):
        raise TrainingError(
            f"{len(examples)} examples came with weights of shape {weight_N.shape}; give one weight an example"
        )
    if not len(weight_N):
        raise TrainingError("no example is left to train on; raise rho or look into the rows that were set aside")
    bad_N = ~np.isfinite(weight_N) | (weight_N < 0)
    if bad_N.any():
        named = ", ".join(f"{examples[i].example_id} ({weight_N[i]:g})" for i in np.flatnonzero(bad_N)[:5])
        raise TrainingError(
            f"{int(bad_N.sum())} of {len(weight_N)} weights are negative, infinite or not a number: {named}; look into "
            "scores.parquet, and set method.weighting.standardize=zscore or a smaller method.weighting.lambda_"
        )
    mean = float(weight_N.mean())
    if mean == 0:
        raise TrainingError(
            "all weights are zero, so nothing would be learned; look into scores.parquet and method.weighting.clip"
        )
    return weight_N / mean


def encode_rows(
    examples: Sequence[Example], weight_N: FloatArray, encoder: PromptEncoder, max_length: int
) -> tuple[list[TrainingRow], list[SetAside]]:
    """The rows of all usable examples, their weights with mean 1, and what was set aside and why.

    Prompt and output are encoded by docs/method.md's token rule; an output that wasn't cut is followed by its
    end. Raises TrainingError when no example is left, ConfigError when the tokenizer has no end token.
    """
    weight_N = checked_weights(weight_N, examples)
    end_ids = encoder.end_ids()
    limit = max_length if encoder.max_length is None else min(max_length, encoder.max_length)
    # The end needs its place.
    fitting = PromptEncoder(encoder.tokenizer, encoder.template, limit - len(end_ids))
    rows, weights, set_aside = [], [], []
    for example, weight in zip(examples, weight_N, strict=True):
        try:
            encoded = fitting.encode_example([example.instruction], example.input, example.output)
        except DataError as error:
            set_aside.append(
                SetAside(where=example.example_id, reason="no target tokens to train on", detail=str(error))
            )
            continue
        cut = encoded.truncated[0] and len(encoded.target_ids) < len(fitting.encode(example.output))
        target = encoded.target_ids if cut else [*encoded.target_ids, *end_ids]
        rows.append((example.example_id, encoded.prompt_ids[0], target, encoded.truncated[0]))
        weights.append(weight)
    if not rows:
        raise TrainingError(
            f"none of {len(examples)} examples has target tokens to train on "
            f"(first: {set_aside[0].where}: {set_aside[0].detail}); "
            "check the dataset's output field and sft.max_length"
        )
    kept = np.asarray(weights)
    if kept.sum() == 0:
        raise TrainingError(
            "all examples with a weight above zero were set aside, so nothing would be learned; look into run.json"
        )
    kept = kept / kept.mean()
    return [
        TrainingRow(example_id, prompt, target, float(weight), truncated)
        for (example_id, prompt, target, truncated), weight in zip(rows, kept, strict=True)
    ], set_aside
