"""What a selection method and a chooser are, and what they may look at.

A method gives every example a score; a chooser turns the preferences into a set. Each is one file with a class
and one yaml (``conf/method``, ``conf/choose``) whose ``target`` is the class's dotted path; the yaml's other keys
are the class's own fields. Both may live outside this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tss_lab.errors import DataError
from tss_lab.types import BoolArray, Example, FloatArray, IntArray, Likelihoods, PromptKind


@dataclass(frozen=True, slots=True)
class Needs:
    """What a score is made of; nothing else is computed for it."""

    kinds: frozenset[PromptKind] = frozenset()
    """Prompts under which each output's log-likelihood is taken; none: no forward pass."""
    direct_context: Literal["bos", "response_header"] = "bos"
    """What stands before Y in ℓ(Y): nothing but the beginning token, or the template's response header."""
    per_token: bool = False
    """Whether values of single target tokens are looked at (``Likelihoods.tokens``)."""


def _not_provided(what: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise DataError(f"these examples carry no {what}; give Evidence a function that makes them")

    return refuse


@dataclass(frozen=True)
class Evidence:
    """All that a method or a chooser may look at: N examples that can be scored, in one order.

    What is costly is made when it is first read: ``num_target_tokens_N`` needs the tokenizer where no likelihood
    was taken, ``embedding_ND`` the sentence-embedding model.
    """

    examples: Sequence[Example]
    table: Likelihoods | None = None
    """None for a method whose ``Needs`` names no prompt kind."""
    count_target_tokens: Callable[[], IntArray] = field(default=_not_provided("target token counts"), repr=False)
    embed_instructions: Callable[[], FloatArray] = field(default=_not_provided("embeddings"), repr=False)
    known_embeddings: Callable[[], FloatArray | None] = field(default=lambda: None, repr=False)
    """The same where they needn't be computed; None elsewhere."""

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def example_id_N(self) -> npt.NDArray[np.object_]:
        return np.array([example.example_id for example in self.examples], dtype=object)

    @cached_property
    def category_N(self) -> npt.NDArray[np.object_]:
        """The category of each example; "" where it has none."""
        return np.array([example.category or "" for example in self.examples], dtype=object)

    @property
    def likelihoods(self) -> Likelihoods:
        """Columns that ``Needs`` doesn't name are NaN. Raises DataError where it names no prompt kind at all."""
        if self.table is None:
            raise DataError("no likelihood was taken: the method's needs name no prompt kind")
        return self.table

    @cached_property
    def num_target_tokens_N(self) -> IntArray:
        """Tokens of each output as the model reads it."""
        return self.count_target_tokens() if self.table is None else self.table.num_target_tokens_N

    @cached_property
    def embedding_ND(self) -> FloatArray:
        """A unit vector an instruction."""
        return self.embed_instructions()


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be kept: the share ``rho`` of the examples, or of the target tokens."""

    kind: Literal["examples", "tokens"]
    rho: float

    def num_examples(self, evidence: Evidence) -> int:
        """round(ρ·N), at least one."""
        return max(1, round(self.rho * len(evidence)))

    def num_tokens(self, evidence: Evidence) -> float:
        """ρ times the target tokens of all examples."""
        return self.rho * int(evidence.num_target_tokens_N.sum()) * (1 + 1e-12)


@runtime_checkable
class Method(Protocol):
    """Maps evidence to one score an example. Hyper-parameters are fields of the implementing class."""

    @property
    def needs(self) -> Needs:
        """What the score is made of."""
        ...

    def score(self, evidence: Evidence, seed: int) -> FloatArray:
        """The score as it is defined and shown: (N,), one finite number an example."""
        ...

    def preference(self, score_N: FloatArray) -> FloatArray:
        """Larger is kept first: (N,). The score itself, unless low scores are the good ones."""
        ...


@runtime_checkable
class Chooser(Protocol):
    """Turns preferences into a set. Hyper-parameters are fields of the implementing class."""

    def choose(self, preference_N: FloatArray, evidence: Evidence, budget: Budget, seed: int) -> BoolArray:
        """Which examples are kept: (N,), at least one, within the budget."""
        ...
