"""TSS against the alternatives' mixture at each token: a lower-variance form of Eq. 1 (docs/method.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tss_lab.errors import DataError
from tss_lab.methods.base import Evidence, Needs
from tss_lab.types import FloatArray, IntArray, PromptKind, TokenLikelihoods


def token_advantage(tokens: TokenLikelihoods, count_R: IntArray) -> FloatArray:
    """log p(y_t | I) − log( (1/K) Σ_k p(y_t | I_k) ) of each target token: (R,), in nats.

    ``count_R`` is the number of alternatives of each token's example.
    """
    return np.asarray(
        tokens.true_R - (np.logaddexp.reduce(tokens.alternative_RK, axis=1) - np.log(count_R)), dtype=np.float64
    )


@dataclass(frozen=True)
class MixtureTaskSpecificity:
    """Σ_t log p(y_t | I, X, y_<t) − log( (1/K) Σ_k p(y_t | I_k, X, y_<t) ), in nats.

    Eq. 1 mixes whole outputs, so that after a few tokens the one alternative that fits them best stands for all.
    Here the rival is a reader who doesn't know the instruction and at every token gives each alternative the same
    say.
    """

    @property
    def needs(self) -> Needs:
        return Needs(frozenset({PromptKind.TRUE, PromptKind.ALTERNATIVE}), per_token=True)

    def score(self, evidence: Evidence, seed: int) -> FloatArray:
        table = evidence.likelihoods
        if table.tokens is None:
            raise DataError("tss_mix reads single tokens, which this table doesn't hold; take scoring.per_token=true")
        if np.any(table.num_alternatives_N < 1):
            raise ValueError(f"{int(np.sum(table.num_alternatives_N < 1))} examples have no alternative instruction")
        count_R = np.repeat(table.num_alternatives_N, table.num_target_tokens_N)
        return np.asarray(np.add.reduceat(token_advantage(table.tokens, count_R), table.tokens.first_N))

    def preference(self, score_N: FloatArray) -> FloatArray:
        return score_N
