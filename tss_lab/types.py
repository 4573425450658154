"""The values that rooms hand to each other, and the legend of shapes and units.

Axes are written as suffixes: N examples, K alternatives of an example, P (prompt, target) pairs,
B batch, T tokens, R target positions, D hidden size, V vocabulary.
Log-likelihoods are natural and in nats; ``loglik`` is a sum over target tokens, ``mean_loglik`` that
sum divided by the number of target tokens. ``seconds`` are wall-clock unless named ``cpu_seconds``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Example:
    """One training triple (I, X, Y). ``example_id`` is a hash of its content and survives reordering."""

    example_id: str
    instruction: str
    input: str
    output: str
    category: str | None = None
    source: str = ""
    extra: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that isn't used, with the reason in words; listed in ``set_aside.jsonl``, never dropped silently.

    ``example_id`` is empty for a row that never became an example.
    """

    where: str
    reason: str
    detail: str = ""
    example_id: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row as the source has it, and what became of it.

    ``example_id`` is None for a row that never became an example; ``reason`` says why a row is not among those to
    choose from (bad, a duplicate, held out, not drawn), and is None where it is.
    """

    where: str
    columns: Mapping[str, Any]
    example_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Alternative:
    """The ``alternative_index``-th alternative instruction of an example.

    ``source`` is ``generated`` or ``retrieved``; ``similarity`` is the cosine similarity to the true
    instruction where an embedding was computed, else None.
    """

    example_id: str
    alternative_index: int
    instruction: str
    source: str
    similarity: float | None = None


Alternatives = Mapping[str, Sequence[Alternative]]
"""Alternative instructions by ``example_id``."""


class PromptKind(str, enum.Enum):
    """Which prompt a target is scored under."""

    TRUE = "true"
    ALTERNATIVE = "alternative"
    UNCONDITIONAL = "unconditional"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A prompt's ids and a target's ids: the unit of scoring.

    ``pair_id`` is a hash of both id sequences, so that identical pairs are computed once.
    ``alternative_index`` is −1 unless ``kind`` is ``ALTERNATIVE``.
    """

    pair_id: str
    example_id: str
    kind: PromptKind
    alternative_index: int
    prompt_ids: Sequence[int]
    target_ids: Sequence[int]
    truncated: bool = False


@dataclass(frozen=True)
class TokenLikelihoods:
    """Log-likelihoods of single target tokens, in nats: R tokens of all N examples on end, those of one together.

    ``first_N`` is where each example's begin. ``alternative_RK`` is padded with −inf as in ``Likelihoods``;
    ``unconditional_R`` and ``true_R`` are NaN where the plan didn't ask for them.
    """

    first_N: IntArray
    true_R: FloatArray
    alternative_RK: FloatArray
    unconditional_R: FloatArray


@dataclass(frozen=True)
class Likelihoods:
    """The likelihoods of N examples as dense arrays, the input of every scoring method.

    ``alternative_loglik_NK`` is padded with −inf (probability zero: it drops out of Eq. 1 and Eq. 2)
    where an example has fewer than K alternatives; ``num_alternatives_N`` counts the real ones.
    Columns that the plan did not ask for are NaN.
    """

    example_id_N: npt.NDArray[np.object_]
    true_loglik_N: FloatArray
    alternative_loglik_NK: FloatArray
    num_alternatives_N: IntArray
    unconditional_loglik_N: FloatArray
    num_target_tokens_N: IntArray
    tokens: TokenLikelihoods | None = None
    """None where values of single tokens weren't asked for."""

    def __len__(self) -> int:
        return len(self.example_id_N)

    @property
    def true_mean_loglik_N(self) -> FloatArray:
        """s(I, X, Y): nats a target token."""
        return self.true_loglik_N / self.num_target_tokens_N

    @property
    def alternative_mean_loglik_NK(self) -> FloatArray:
        """s(I_k, X, Y): nats a target token; −inf where there is no k-th alternative."""
        return self.alternative_loglik_NK / self.num_target_tokens_N[:, None]


@dataclass(frozen=True)
class Selection:
    """What a method and a budget made of N scored examples, in the order of ``example_id_N``.

    ``rank_N`` is 0 for the best; ``weight_N`` has mean 1 over the kept examples and is 0 elsewhere
    (under ``scope=full`` every example is kept).
    """

    example_id_N: npt.NDArray[np.object_]
    score_N: FloatArray
    rank_N: IntArray
    kept_N: BoolArray
    weight_N: FloatArray

    @property
    def num_kept(self) -> int:
        return int(self.kept_N.sum())


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error, over ``n`` independent observations."""

    value: float
    standard_error: float
    n: int

    @classmethod
    def of_mean(cls, values_N: FloatArray) -> Estimate:
        """Sample mean and its standard error s/√N (NaN for fewer than two observations)."""
        n = len(values_N)
        if n == 0:
            return cls(float("nan"), float("nan"), 0)
        spread = float(np.std(values_N, ddof=1)) if n > 1 else float("nan")
        return cls(float(np.mean(values_N)), spread / n**0.5, n)

    @classmethod
    def of_ratio(cls, total_N: FloatArray, weight_N: FloatArray | IntArray) -> Estimate:
        """``Σ total / Σ weight`` with the standard error of a ratio of means (NaN for fewer than two observations)."""
        n, weight = len(total_N), float(weight_N.sum())
        value = float(total_N.sum()) / weight
        if n < 2:
            return cls(value, float("nan"), n)
        residual_N = total_N - value * weight_N
        return cls(value, (n / (n - 1) * float(np.sum(residual_N**2))) ** 0.5 / weight, n)


@dataclass(frozen=True, slots=True)
class BenchmarkScore:
    """Accuracy in percent on one benchmark. ``display_name`` is what pages and logs call it.

    ``chance`` is the accuracy of blind guessing, in percent.
    """

    name: str
    display_name: str
    accuracy: Estimate
    chance: float = float("nan")


@dataclass(frozen=True)
class EvaluationResult:
    """One model on a set of benchmarks, with what every item came to.

    ``total`` is the paper's SUM, the unweighted sum of the accuracies, in percent points; its ``n`` counts
    all items. ``item_id_N`` names an item by its content, so that two models can be compared on the same
    items; ``item_benchmark_N`` holds a ``BenchmarkScore.name``. ``is_demonstration``: the items travel with the
    package and say nothing about the benchmarks.
    """

    label: str
    total_name: str
    benchmarks: tuple[BenchmarkScore, ...]
    total: Estimate
    item_id_N: npt.NDArray[np.object_]
    item_benchmark_N: npt.NDArray[np.object_]
    correct_N: BoolArray
    is_demonstration: bool = False


@dataclass(frozen=True, slots=True)
class HeldOutMeasure:
    """A measure on held-out examples before and after tuning; ``difference`` is paired, after − before.

    ``name`` is flat and for machines, ``title`` for people; ``better`` is ``lower`` or ``higher``.
    """

    name: str
    title: str
    unit: str
    better: str
    before: Estimate
    after: Estimate | None = None
    difference: Estimate | None = None

    def figures(self) -> dict[str, float]:
        """Flat names for ``metrics.json``: ``before``, ``before_stderr``, and so on."""
        named = {"before": self.before, "after": self.after, "difference": self.difference}
        found: dict[str, float] = {}
        for when, estimate in named.items():
            if estimate is not None:
                found |= {when: estimate.value, f"{when}_stderr": estimate.standard_error}
        return found
