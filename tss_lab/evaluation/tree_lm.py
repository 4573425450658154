"""lm-eval's HFLM with the prefix-tree engine under it: a question is computed once for all its choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.models.huggingface import HFLM

from tss_lab.prompts import pair_id
from tss_lab.types import BoolArray, FloatArray, PromptKind, TokenPair

PairScorer = Callable[[Sequence[TokenPair]], tuple[FloatArray, BoolArray]]
"""Pairs -> log-likelihoods in nats (P,), and whether greedy decoding gives exactly the target (P,)."""


class TreeLM(HFLM):  # type: ignore[misc]
    """Everything but the likelihood of ids is HFLM's: encoding, beginning token, and length limit.

    Args:
        score_pairs: the likelihood engine, bound to the model.
        settings: HFLM's own.
    """

    def __init__(self, score_pairs: PairScorer, **settings: Any) -> None:
        super().__init__(**settings)
        self._score_pairs = score_pairs

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        """(log-likelihood in nats, greedy) of each (text, context ids, continuation ids).

        A sequence beyond the model's limit loses tokens from the left of its context, as in HFLM.
        """
        pairs = [self._pair(context, continuation) for _, context, continuation in requests]
        loglik_P, greedy_P = self._score_pairs(pairs)
        answers = [(float(loglik), bool(greedy)) for loglik, greedy in zip(loglik_P, greedy_P, strict=True)]
        for (text, _, _), answer in zip(requests, answers, strict=True):
            if text is not None:
                self.cache_hook.add_partial("loglikelihood", text, answer)
        return answers

    def _pair(self, context: list[int], continuation: list[int]) -> TokenPair:
        excess = max(0, len(context) + len(continuation) - (self.max_length + 1))
        prompt = context[excess:]
        return TokenPair(
            pair_id=pair_id(prompt, continuation),
            example_id="",
            kind=PromptKind.TRUE,
            alternative_index=-1,
            prompt_ids=prompt,
            target_ids=continuation,
            truncated=excess > 0,
        )
