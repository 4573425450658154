"""The model's numbers on a sample, each in several ways: loads the model, once in each precision that is compared."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from tss_lab.config import RunConfig
from tss_lab.doctor.gather import pairs_an_example, spaced
from tss_lab.doctor.passes import Passes
from tss_lab.doctor.tokens import Tokens
from tss_lab.engine.plain import plain_score
from tss_lab.engine.score import Scorer, TooLargeError, out_of_memory, pack_indices, score_pairs
from tss_lab.engine.self_check import TOLERANCE
from tss_lab.evaluation.harness import harness_loglik
from tss_lab.methods import Needs
from tss_lab.models import free_memory, load_model
from tss_lab.models.devices import accelerator
from tss_lab.models.prompted import PromptedModel
from tss_lab.provenance import peak_memory_gib
from tss_lab.scoring import plan_pairs
from tss_lab.types import Alternative, Example, FloatArray, PromptKind, TokenPair

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

_Value = TypeVar("_Value")


class NoRoomError(Exception):
    """A computation doesn't fit into memory."""


def take_passes(tokens: Tokens, model: PromptedModel, config: RunConfig, needs: Needs, num_examples: int) -> Passes:
    """Computes a sample's pairs packed, alone, by lm-eval, and in float32 where the run's precision is another.

    Raises NoRoomError where the packed pass doesn't fit into memory.
    """
    own, others = sampled_pairs(tokens, model, config, needs)
    pairs, problems = [*own, *others], dict[str, str]()
    device = "cuda" if accelerator(config.trainer) == "gpu" else "cpu"
    dtype, folder, tokenizer = config.scoring.dtype, model.local.folder, model.encoder.tokenizer
    log.info("the model computes %d pairs of %d examples, and some of them in other ways too", len(pairs), len(own))
    before = _peak_bytes(device)
    with _room():
        loaded = load_model(folder, dtype, device=device)
        packed_P, seconds, engine = _timed(Scorer(loaded, config.scoring), pairs)
    grown = _peak_bytes(device) - before
    damaged = None if np.isfinite(packed_P).all() else _damaged_weight(loaded)

    def attempt(name: str, compute: Callable[[], _Value]) -> _Value | None:
        try:
            with _room():
                return compute()
        except NoRoomError as error:
            problems[name] = str(error)
            return None

    alone_Q = attempt("one_and_many", lambda: np.array([plain_score(loaded, pair)[0] for pair in own]))
    if dtype == "float32":
        exact_Q: FloatArray | None = packed_P[: len(own)]
    else:
        del loaded
        free_memory()
        exact = config.scoring.model_copy(update={"dtype": "float32", "engine": "auto"})
        loaded = load_model(folder, "float32", device=device)
        exact_Q = attempt("precision", lambda: score_pairs(loaded, own, exact)[0])
    harness_Q = attempt("evaluation_harness", lambda: harness_loglik(loaded, tokenizer, own))
    mean_tokens = np.mean([len(one) for one in (*tokens.prompt_ids_N, *tokens.target_ids_N)])
    mean_sampled = np.mean([len(one) for pair in own for one in (pair.prompt_ids, pair.target_ids)])
    return Passes(
        dtype=dtype, engine=engine, packed_P=packed_P, alone_Q=alone_Q, exact_Q=exact_Q, harness_Q=harness_Q,
        num_target_tokens_Q=np.array([len(pair.target_ids) for pair in own], dtype=np.int64), seconds=seconds,
        num_examples=num_examples, pairs_an_example=pairs_an_example(config, needs),
        length_ratio=float(mean_tokens / mean_sampled), alone_tolerance=TOLERANCE[dtype], damaged_weight=damaged,
        grown_bytes=grown, problems=problems,
    )  # fmt: skip


def sampled_pairs(
    tokens: Tokens, model: PromptedModel, config: RunConfig, needs: Needs
) -> tuple[list[TokenPair], list[TokenPair]]:
    """Distinct pairs of at most ``doctor.sample`` examples: under their own instructions, and what else is needed.

    The next examples' instructions stand in the place of an example's alternatives, which needn't be there yet.
    """
    lengths = zip(tokens.examples_N, tokens.prompt_ids_N, tokens.target_ids_N, strict=True)
    fitting = [one for one, prompt, target in lengths if len(prompt) + len(target) <= config.doctor.longest]
    sample = spaced(fitting or tokens.examples_N[:1], config.doctor.sample)
    count = pairs_an_example(config, Needs(needs.kinds & {PromptKind.ALTERNATIVE}))
    others = {one.example_id: _borrowed(sample, index, count) for index, one in enumerate(sample)}
    kinds = needs.kinds | {PromptKind.TRUE}
    if len(sample) < 2:
        kinds -= {PromptKind.ALTERNATIVE}
    plan = plan_pairs(sample, others, frozenset(kinds), model.encoder, needs.direct_context)
    own = {pair.pair_id: pair for pair in plan.pairs if pair.kind is PromptKind.TRUE}
    rest = {pair.pair_id: pair for pair in plan.pairs if pair.pair_id not in own}
    return list(own.values()), list(rest.values())


def _borrowed(sample: Sequence[Example], index: int, count: int) -> list[Alternative]:
    following = [sample[(index + step) % len(sample)] for step in range(1, min(count, len(sample) - 1) + 1)]
    return [Alternative(sample[index].example_id, k, one.instruction, "borrowed") for k, one in enumerate(following)]


def _timed(scorer: Scorer, pairs: Sequence[TokenPair]) -> tuple[FloatArray, float, str]:
    """Likelihoods (P,), the seconds that they took, and the engine that computed them."""
    scorer.score(pairs[:1])  # the first sets up kernels
    began, loglik_P = time.perf_counter(), np.full(len(pairs), np.nan)
    for indices in pack_indices(pairs, scorer.tokens_per_pack):
        loglik_P[indices], _ = scorer.score([pairs[index] for index in indices])
    return loglik_P, time.perf_counter() - began, scorer.engine


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except (TooLargeError, torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not (isinstance(error, TooLargeError) or out_of_memory(error)):
            raise
        raise NoRoomError(f"there was no memory for it ({str(error).splitlines()[0]})") from error


def _peak_bytes(device: str) -> int:
    """The most memory that was in use so far."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else int(peak_memory_gib() * 2**30)


def _damaged_weight(model: PreTrainedModel) -> str | None:
    weights = model.named_parameters()
    return next((name for name, weight in weights if not bool(weight.isfinite().all())), None)
