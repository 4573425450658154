"""The model's numbers on a sample: are they finite, exact, the same as others', and how long will all of them take?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tss_lab.runs.findings import Figures, Finding, Status, skipped
from tss_lab.scoring.pace import in_words
from tss_lab.statistics import spearman
from tss_lab.types import FloatArray, IntArray

HARNESS_TOLERANCE = 5e-3
"""Nats a pair, in float32 on both sides; lm-eval takes its log-softmax in float64 here."""
PACKED_TOLERANCE = 5e-4
"""Nats a pair, in float32 (docs/method.md, Exactness)."""
_GOOD_RANKS, _POOR_RANKS = 0.99, 0.9
_LONG_HOURS = 24.0


@dataclass(frozen=True)
class Passes:
    """Summed log-likelihoods of P pairs of a sample in nats, each computed in several ways; None where it wasn't.

    The pairs are those of the likelihood pass: an output under its own instruction, under those of other rows of the
    sample in the place of its alternatives, and by itself where the score asks for it. Q of them, the first ones, are
    under their own instruction.
    """

    dtype: str
    engine: str
    packed_P: FloatArray
    num_target_tokens_Q: IntArray
    alone_Q: FloatArray | None
    """Each by itself, through the model's own attention and a log-softmax in float64."""
    exact_Q: FloatArray | None
    """Packed, in float32."""
    harness_Q: FloatArray | None
    """lm-eval's, of the float32 model."""
    seconds: float
    """What ``packed_P`` took."""
    num_examples: int
    """Examples of the whole data set."""
    pairs_an_example: int
    """Of the method's score; 0 for one that needs no likelihood."""
    length_ratio: float
    """Mean tokens of a pair of the whole data set, over that of the sample."""
    alone_tolerance: float
    """Nats a target token that packed and alone may differ by in a precision below float32."""
    damaged_weight: str | None = None
    """A weight with a number that is not finite."""
    grown_bytes: int = 0
    """How far the memory in use went up while the model was loaded and ``packed_P`` computed."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Check -> why it couldn't be made."""

    @property
    def packed_Q(self) -> FloatArray:
        return self.packed_P[: len(self.num_target_tokens_Q)]


def finite(passes: Passes) -> Finding:
    """No likelihood is NaN or infinite."""
    bad = int(np.sum(~np.isfinite(passes.packed_P)))
    figures: Figures = {"pairs": len(passes.packed_P), "not_finite": bad}
    if not bad:
        return Finding("finite", "ok", f"all {len(passes.packed_P):,} log-likelihoods are finite numbers", "", figures)
    text = f"{bad:,} of {len(passes.packed_P):,} log-likelihoods are no finite numbers"
    if passes.damaged_weight:
        return Finding("finite", "failure", f"{text}: {passes.damaged_weight} holds some itself",
                       "take an undamaged copy of the model", figures)  # fmt: skip
    remedy = "take scoring.dtype=float32" if passes.dtype != "float32" else "take another model"
    return Finding("finite", "failure", f"{text}: the logits overflow in {passes.dtype}", remedy, figures)


def one_and_many(passes: Passes) -> Finding:
    """A pair has one likelihood, whether it is computed alone or with others."""
    if passes.alone_Q is None:
        return skipped("one_and_many", passes.problems["one_and_many"])
    apart_Q = np.abs(passes.packed_Q - passes.alone_Q)
    worst, largest = _largest(apart_Q), _largest(apart_Q / passes.num_target_tokens_Q)
    figures: Figures = {
        "pairs": len(apart_Q),
        "largest_nats": worst,
        "largest_nats_a_token": largest,
        "engine": passes.engine,
    }
    text = (
        f"{len(apart_Q):,} pairs together and each alone are at most {worst:.1e} nats apart ({passes.engine} engine, "
        f"{passes.dtype})"
    )
    passed = worst <= PACKED_TOLERANCE if passes.dtype == "float32" else largest <= passes.alone_tolerance
    if not passed:
        return Finding("one_and_many", "failure", text, "take scoring.engine=plain, and report the model", figures)
    if passes.engine == "plain":
        text = "the engine computes a pair at a time: exact, and several times slower"
        return Finding("one_and_many", "warning", text, "the log says why; a newer transformers may help", figures)
    return Finding("one_and_many", "ok", text, "", figures)


def evaluation_harness(passes: Passes) -> Finding:
    """The same ids are worth the same to lm-evaluation-harness."""
    if passes.harness_Q is None or passes.exact_Q is None:
        return skipped("evaluation_harness", passes.problems["evaluation_harness"])
    worst = _largest(np.abs(passes.exact_Q - passes.harness_Q))
    text = (
        f"{len(passes.harness_Q):,} pairs are at most {worst:.1e} nats from lm-evaluation-harness's, in float32 "
        f"({HARNESS_TOLERANCE:g} allowed)"
    )
    figures: Figures = {"pairs": len(passes.harness_Q), "largest_nats": worst, "allowed_nats": HARNESS_TOLERANCE}
    if worst <= HARNESS_TOLERANCE:
        return Finding("evaluation_harness", "ok", text, "", figures)
    return Finding(
        "evaluation_harness", "failure", text, "compare with scoring.engine=plain, and report the model", figures
    )


def precision(passes: Passes) -> Finding:
    """What a precision below float32 does to the numbers and to their order."""
    if passes.dtype == "float32":
        return Finding("precision", "ok", "float32: nothing is lost", "", {"dtype": "float32"})
    if passes.exact_Q is None:
        return skipped("precision", passes.problems["precision"])
    low_Q = passes.packed_Q
    worst = _largest(np.abs(low_Q - passes.exact_Q))
    ranks = spearman(low_Q / passes.num_target_tokens_Q, passes.exact_Q / passes.num_target_tokens_Q)
    figures: Figures = {"dtype": passes.dtype, "pairs": len(low_Q), "largest_nats": worst, "rank_correlation": ranks}
    text = (
        f"{passes.dtype} is at most {worst:.2g} nats from float32 on {len(low_Q):,} pairs; rank correlation of means a "
        f"token {ranks:.4f}"
    )
    if ranks >= _GOOD_RANKS:
        return Finding("precision", "ok", text, "", figures)
    status: Status = "warning" if ranks >= _POOR_RANKS else "failure"  # not a number fails
    return Finding("precision", status, text, "take scoring.dtype=float32", figures)


def throughput(passes: Passes) -> Finding:
    """How long the likelihood pass takes, by the sample's pace."""
    rate = len(passes.packed_P) / passes.seconds
    if not passes.pairs_an_example:
        return skipped("throughput", "the method needs no likelihood")
    pairs = passes.num_examples * passes.pairs_an_example
    seconds = pairs * passes.length_ratio / rate
    figures: Figures = {"pairs_per_second": rate, "pairs": pairs, "estimated_seconds": seconds}
    text = (
        f"{rate:,.1f} pairs a second; {pairs:,} pairs ({passes.num_examples:,} examples x {passes.pairs_an_example}) "
        f"take about {in_words(seconds)}, less what the store holds"
    )
    if seconds <= _LONG_HOURS * 3600:
        return Finding("throughput", "ok", text, "", figures)
    remedy = "take a GPU (trainer=gpu), a smaller model, fewer alternatives, or dataset.limit"
    return Finding("throughput", "warning", text, remedy, figures)


def _largest(values: FloatArray) -> float:
    """The largest; infinite where one is no number."""
    return float(np.max(np.where(np.isnan(values), np.inf, values), initial=0.0))


CHECKS = (finite, one_and_many, evaluation_harness, precision, throughput)
