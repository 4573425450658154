"""Log-likelihoods of (prompt, target) pairs under a model held in memory.

``Scorer`` computes one pack and survives running out of memory; ``score_pairs`` does any number of
pairs. The plain path computes a pair at a time through the model's own attention and whole logits:
slower, for every causal language model, and the yardstick of the tree path.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from tss_lab.config import ScoringConfig
from tss_lab.engine.attention import TreeUnsupportedError, tree_attention_in, unsupported_reason
from tss_lab.engine.forward import encode
from tss_lab.engine.head import head_of, target_logprobs
from tss_lab.engine.tree import build_pack, shared_prefix, sort_key
from tss_lab.errors import ModelError
from tss_lab.types import BoolArray, FloatArray, TokenPair

log = logging.getLogger(__name__)

CPU_TOKENS = 1024
"""Tokens of a pack on a CPU: larger ones fall out of its caches, smaller ones repeat the shared prefix."""
_LARGEST_PACK = 1 << 15
_MASK_BYTES = 12
"""Bytes that building a GPU's mask takes a pair of tokens, as measured."""
_PLAIN_ROWS = 64


class Scorer:
    """A frozen model, ready to score packs of pairs.

    Args:
        model: in evaluation mode, on its device.
        scoring: engine, memory and pack size; nothing else of it matters here.

    ``engine`` says which path runs, ``tokens_per_pack`` the budget now (halved after an out-of-memory),
    ``num_forwards`` the forward passes so far. What the tree can't do for a model goes to the plain path,
    with a warning, unless ``engine=tree`` is asked for: then TreeUnsupportedError is raised.
    """

    def __init__(self, model: PreTrainedModel, scoring: ScoringConfig):
        self.model = model
        self.memory_bytes = scoring.logits_memory_mb << 20
        self.engine = "plain" if scoring.engine == "plain" else "tree"
        self.num_forwards = 0
        self._may_fall_back = scoring.engine == "auto"
        self._ran_short = False
        if self.engine == "tree":
            reason = _tree_refusal(model)
            if reason and scoring.engine == "tree":
                raise TreeUnsupportedError(f"scoring.engine=tree: {reason}; take scoring.engine=auto")
            if reason:
                self.use_plain(reason)
        self.tokens_per_pack = scoring.tokens_per_pack or _fitting_tokens(model)

    def use_plain(self, reason: str) -> None:
        """From now on one pair at a time."""
        log.warning("pairs are computed one at a time by the plain path: %s", reason)
        self.engine = "plain"

    @torch.inference_mode()
    def score(self, pairs: Sequence[TokenPair]) -> tuple[FloatArray, BoolArray]:
        """Summed log-likelihood in nats (P,), and whether each target token is the model's first choice (P,).

        Raises ModelError when a single pair doesn't fit into memory.
        """
        if self.engine == "plain":
            found = [plain_score(self.model, pair) for pair in pairs]
            self.num_forwards += len(pairs)
            return np.array([value for value, _ in found]), np.array([greedy for _, greedy in found], dtype=bool)
        if self._ran_short and len(packs := pack_indices(pairs, self.tokens_per_pack)) > 1:
            return self._in_parts(pairs, packs)
        try:
            return self._tree_score(pairs)
        except (TreeUnsupportedError, torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                if not (self._may_fall_back and _tree_failed(error)):
                    raise
                self.use_plain(f"{type(error).__name__}: {str(error).splitlines()[0]}")
                return self.score(pairs)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(pairs) == 1:
            length = len(pairs[0].prompt_ids) + len(pairs[0].target_ids)
            raise ModelError(
                f"a pair of {length} tokens doesn't fit into memory; lower scoring.max_length or take a larger device"
            )
        size = build_pack([(pair.prompt_ids, pair.target_ids) for pair in pairs]).num_tokens
        self.tokens_per_pack = max(1, min(self.tokens_per_pack, size) // 2)
        self._ran_short = True
        log.warning("out of memory; going on with at most %d tokens a pack", self.tokens_per_pack)
        return self._in_parts(pairs, pack_indices(pairs, self.tokens_per_pack))

    def _in_parts(self, pairs: Sequence[TokenPair], packs: Sequence[list[int]]) -> tuple[FloatArray, BoolArray]:
        loglik_P, greedy_P = np.full(len(pairs), np.nan), np.zeros(len(pairs), dtype=bool)
        for indices in packs:
            loglik_P[indices], greedy_P[indices] = self.score([pairs[index] for index in indices])
        return loglik_P, greedy_P

    def _tree_score(self, pairs: Sequence[TokenPair]) -> tuple[FloatArray, BoolArray]:
        pack = build_pack([(pair.prompt_ids, pair.target_ids) for pair in pairs])
        rows, row_of_R = np.unique(pack.row_R, return_inverse=True)
        self.num_forwards += 1
        with tree_attention_in(self.model):
            hidden_TD = encode(self.model, pack)
        device = hidden_TD.device
        logprob_R, greedy_R = target_logprobs(
            hidden_TD[torch.from_numpy(rows).to(device)],
            head_of(self.model),
            torch.from_numpy(pack.target_id_R).to(device),
            torch.from_numpy(row_of_R).to(device),
            self.memory_bytes,
        )
        loglik_P: FloatArray = np.bincount(
            pack.pair_R, weights=logprob_R.cpu().numpy(), minlength=pack.num_pairs
        ).astype(np.float64)
        misses_P = np.bincount(pack.pair_R, weights=~greedy_R.cpu().numpy(), minlength=pack.num_pairs)
        return loglik_P, misses_P == 0


def score_pairs(
    model: PreTrainedModel, pairs: Sequence[TokenPair], scoring: ScoringConfig, progress: str | None = None
) -> tuple[FloatArray, BoolArray]:
    """Log-likelihoods (P,) and greedy hits (P,) of any number of pairs, in their order.

    Args:
        progress: label of a progress bar; None for none.
    """
    scorer = Scorer(model, scoring)
    loglik_P, greedy_P = np.full(len(pairs), np.nan), np.zeros(len(pairs), dtype=bool)
    packs = pack_indices(pairs, scorer.tokens_per_pack)
    for indices in _shown(packs, progress):
        loglik_P[indices], greedy_P[indices] = scorer.score([pairs[index] for index in indices])
    return loglik_P, greedy_P


def pack_indices(pairs: Sequence[TokenPair], tokens_per_pack: int) -> list[list[int]]:
    """Cuts pairs into packs of at most so many trie tokens (a longer pair is a pack alone).

    Sorted by ids, so that pairs with a common prefix meet in one pack.
    """
    keys = [sort_key(pair.prompt_ids, pair.target_ids) for pair in pairs]
    packs: list[list[int]] = []
    size, previous = 0, b""
    for index in sorted(range(len(pairs)), key=keys.__getitem__):
        length = len(keys[index]) // 4
        added = length - shared_prefix(previous, keys[index])
        if not packs or size + added > tokens_per_pack:
            packs.append([])
            size, added = 0, length
        packs[-1].append(index)
        size, previous = size + added, keys[index]
    return packs


@torch.inference_mode()
def plain_score(model: PreTrainedModel, pair: TokenPair) -> tuple[float, bool]:
    """One pair by a single unpadded pass and whole logits, log-softmax in float64: the reference."""
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([[*pair.prompt_ids, *pair.target_ids]], device=device)[:, :-1]
    target = torch.as_tensor(list(pair.target_ids), device=device)
    settings: dict[str, Any] = {}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        settings["logits_to_keep"] = len(target)
    logits = model(input_ids=ids, use_cache=False, **settings).logits[0, -len(target) :]
    total, greedy = 0.0, True
    for start in range(0, len(target), _PLAIN_ROWS):
        part, wanted = logits[start : start + _PLAIN_ROWS].double(), target[start : start + _PLAIN_ROWS, None]
        total += float((part.gather(1, wanted)[:, 0] - part.logsumexp(1)).sum())
        greedy = greedy and bool((part.argmax(1) == wanted[:, 0]).all())
    return total, greedy


def _tree_refusal(model: PreTrainedModel) -> str | None:
    try:
        head_of(model)
    except TreeUnsupportedError as error:
        return str(error)
    return unsupported_reason(model)


def _fitting_tokens(model: PreTrainedModel) -> int:
    """Tokens of a pack for the model's device: what fits into half of a GPU's free memory."""
    device = model.get_input_embeddings().weight.device
    if device.type != "cuda":
        return CPU_TOKENS
    config = model.config.get_text_config()
    width = 12 * config.hidden_size + 3 * getattr(config, "intermediate_size", 4 * config.hidden_size)
    free_bytes, _ = torch.cuda.mem_get_info(device)
    fitting = min(free_bytes // 2 // (width * 4), math.isqrt(free_bytes // 4 // _MASK_BYTES))
    return int(min(_LARGEST_PACK, max(CPU_TOKENS, fitting)))


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _tree_failed(error: BaseException) -> bool:
    """Whether the tree path can't be had here: a model it doesn't know, or a GPU kernel that can't be built."""
    makers = ("torch._dynamo", "torch._inductor", "triton")
    return isinstance(error, TreeUnsupportedError) or type(error).__module__.startswith(makers)


def _shown(packs: list[list[int]], progress: str | None) -> Iterator[list[int]]:
    if progress is None:
        yield from packs
        return
    from rich.progress import track

    yield from track(packs, description=progress)
