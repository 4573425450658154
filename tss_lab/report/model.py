"""RunReport: what a run hands over to be shown. Only its identity is required; a run may be a part of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tss_lab.types import (
    Alternative,
    EvaluationResult,
    Example,
    FloatArray,
    HeldOutMeasure,
    IntArray,
    Likelihoods,
    Selection,
    SetAside,
)


@dataclass(frozen=True)
class ScoringFacts:
    """One likelihood pass. Counts are of pairs unless named otherwise; None: not known.

    ``self_check_difference`` is the largest difference, in nats, between the engine and a plain pass over
    ``self_check_pairs`` of the run's own pairs. ``merge_rate`` is the share of examples whose prompt and
    output would share a token if they were tokenised together.
    """

    num_pairs: int | None = None
    num_from_store: int | None = None
    num_truncated: int | None = None
    num_target_tokens: int | None = None
    num_tokens_computed: int | None = None
    teraflop: float | None = None
    merge_rate: float | None = None
    self_check_pairs: int | None = None
    self_check_difference: float | None = None
    engine: str | None = None


@dataclass(frozen=True)
class TrainingFacts:
    """Fine-tuning: its curve (S optimiser steps) and what it came to.

    ``loss_S`` is the weighted loss of each step, nats a target token; ``held_out_loss`` holds (step, loss).
    """

    step_S: IntArray
    loss_S: FloatArray
    held_out_loss: Sequence[tuple[int, float]] = ()
    num_examples: int | None = None
    num_target_tokens: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further rows of the section's table, name -> value (learning rate, epochs, ...)."""


@dataclass(frozen=True)
class RunReport:
    """One run. ``settings`` is the resolved config, ``record`` the content of ``run.json``, as plain values."""

    run_name: str
    experiment_name: str
    model_name: str
    dataset_name: str
    method_name: str
    rho: float
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    """Rows of the data, in words -> how many, in the order to be shown."""
    set_aside: Sequence[SetAside] = ()
    examples: Sequence[Example] = ()
    """At least the scored ones, in any order."""
    alternatives: Sequence[Alternative] = ()
    generation: Mapping[str, Any] = field(default_factory=dict)
    """What the generator did, in words -> number or text (asked again, unusable replies, ...)."""
    scoring: ScoringFacts | None = None
    likelihoods: Likelihoods | None = None
    selection: Selection | None = None
    clipped_share: float | None = None
    """Share of training examples whose weight stood outside the clip bounds."""
    training: TrainingFacts | None = None
    held_out: Sequence[HeldOutMeasure] = ()
    zero_shot: EvaluationResult | None = None
    tuned: EvaluationResult | None = None
