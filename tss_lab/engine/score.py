"""Log-likelihoods of (prompt, target) pairs under a model held in memory.

``Scorer`` computes one pack and survives running out of memory; ``score_pairs`` does any number of
pairs. Where the tree can't be had, the plain path (``plain.py``) computes a pair at a time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from tss_lab.config import ScoringConfig
from tss_lab.engine.attention import TreeUnsupportedError, tree_attention_in
from tss_lab.engine.forward import encode
from tss_lab.engine.head import head_of, target_logprobs
from tss_lab.engine.plain import plain_logprobs
from tss_lab.engine.self_check import SelfCheck, self_check
from tss_lab.engine.support import tree_asked_for, tree_failed, tree_refusal
from tss_lab.engine.tree import build_pack, shared_prefix, sort_key
from tss_lab.errors import ModelError
from tss_lab.types import BoolArray, FloatArray, TokenPair

log = logging.getLogger(__name__)

CPU_TOKENS = 1024
"""Tokens of a pack on a CPU: larger ones fall out of its caches, smaller ones repeat the shared prefix."""
_LARGEST_PACK = 1 << 15
_MASK_BYTES = 12
"""Bytes that building a GPU's mask takes a pair of tokens, as measured."""


class TooLargeError(ModelError):
    """A single pair doesn't fit into the device's memory."""


class Scorer:
    """A frozen model, ready to score packs of pairs.

    Args:
        model: in evaluation mode, on its device.
        scoring: engine, memory, pack size and self-check; nothing else of it matters here.

    ``engine`` says which path runs, ``tokens_per_pack`` the budget now (halved after an out-of-memory),
    ``num_forwards`` the forward passes so far, ``checked`` what the self-check found. What the tree can't do
    for a model goes to the plain path, with a warning, unless ``engine=tree`` is asked for: then
    TreeUnsupportedError is raised.
    """

    def __init__(self, model: PreTrainedModel, scoring: ScoringConfig):
        self.model = model
        self.memory_bytes = scoring.logits_memory_mb << 20
        self.engine = "plain" if scoring.engine == "plain" else "tree"
        self.num_forwards = 0
        self.checked: SelfCheck | None = None
        self._check_pairs = scoring.self_check_pairs
        self._may_fall_back = scoring.engine == "auto"
        self._ran_short = False
        if self.engine == "tree":
            reason = tree_refusal(model)
            if reason and scoring.engine == "tree":
                raise tree_asked_for(reason)
            if reason:
                self.use_plain(reason)
        self.tokens_per_pack = scoring.tokens_per_pack or _fitting_tokens(model)

    def use_plain(self, reason: str) -> None:
        """From now on one pair at a time."""
        log.warning("pairs are computed one at a time by the plain path: %s", reason)
        self.engine = "plain"

    def check(self, pairs: Sequence[TokenPair]) -> None:
        """Compares the tree with the plain path on a few of the pairs, and falls back where they differ.

        To be called before the scorer is relied on. Raises ModelError where ``engine=tree`` was asked for.
        """
        if self.engine != "tree" or not self._check_pairs or not pairs:
            return
        kind = str(self.model.dtype).removeprefix("torch.")
        try:
            found = self_check(
                pairs, self._check_pairs, kind, lambda chosen: self.token_logprobs(chosen)[0], self._plain_logprobs
            )
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            log.warning("no self-check: there is no memory for whole logits by the plain path")
            return
        if self.engine != "tree":
            return  # the tree refused these pairs, and said why
        self.checked = found
        if found.passed:
            return
        if not self._may_fall_back:
            name = type(self.model).__name__
            raise ModelError(f"scoring.engine=tree: {found} for {name}; take scoring.engine=plain")
        self.use_plain(str(found))

    def score(self, pairs: Sequence[TokenPair]) -> tuple[FloatArray, BoolArray]:
        """Summed log-likelihood in nats (P,), and whether each target token is the model's first choice (P,).

        Raises TooLargeError when a single pair doesn't fit into memory.
        """
        logprobs, greedy_P = self.token_logprobs(pairs)
        return summed(logprobs), greedy_P

    @torch.inference_mode()
    def token_logprobs(self, pairs: Sequence[TokenPair]) -> tuple[list[FloatArray], BoolArray]:
        """Log-probability of each target token in nats, an array a pair, and greedy hits (P,). Raises as ``score``."""
        if self.engine == "plain":
            self.num_forwards += len(pairs)
            found = [plain_logprobs(self.model, pair) for pair in pairs]
            return [value_R.cpu().numpy() for value_R, _ in found], np.array([hit for _, hit in found], dtype=bool)
        if self._ran_short and len(packs := pack_indices(pairs, self.tokens_per_pack)) > 1:
            return self._in_parts(pairs, packs)
        try:
            return self._by_tree(pairs)
        except (TreeUnsupportedError, torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                if not (self._may_fall_back and tree_failed(error)):
                    raise
                self.use_plain(f"{type(error).__name__}: {str(error).splitlines()[0]}")
                return self.token_logprobs(pairs)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(pairs) == 1:
            length = len(pairs[0].prompt_ids) + len(pairs[0].target_ids)
            raise TooLargeError(
                f"a pair of {length} tokens doesn't fit into memory; lower scoring.max_length or take a larger device"
            )
        size = build_pack([(pair.prompt_ids, pair.target_ids) for pair in pairs]).num_tokens
        self.tokens_per_pack = max(1, min(self.tokens_per_pack, size) // 2)
        self._ran_short = True
        log.warning("out of memory; going on with at most %d tokens a pack", self.tokens_per_pack)
        return self._in_parts(pairs, pack_indices(pairs, self.tokens_per_pack))

    def _in_parts(self, pairs: Sequence[TokenPair], packs: Sequence[list[int]]) -> tuple[list[FloatArray], BoolArray]:
        logprobs: list[FloatArray] = [np.empty(0)] * len(pairs)
        greedy_P = np.zeros(len(pairs), dtype=bool)
        for indices in packs:
            found, greedy_P[indices] = self.token_logprobs([pairs[index] for index in indices])
            for index, value_R in zip(indices, found, strict=True):
                logprobs[index] = value_R
        return logprobs, greedy_P

    def _by_tree(self, pairs: Sequence[TokenPair]) -> tuple[list[FloatArray], BoolArray]:
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
        ends = np.cumsum([len(pair.target_ids) for pair in pairs])
        misses_P = np.bincount(pack.pair_R, weights=~greedy_R.cpu().numpy(), minlength=pack.num_pairs)
        return np.split(logprob_R.cpu().numpy(), ends[:-1]), misses_P == 0

    @torch.inference_mode()
    def _plain_logprobs(self, pairs: Sequence[TokenPair]) -> list[FloatArray]:
        return [plain_logprobs(self.model, pair)[0].cpu().numpy() for pair in pairs]


def summed(logprobs: Sequence[FloatArray]) -> FloatArray:
    """Log-likelihoods in nats (P,) from those of the tokens, an array a pair."""
    pair_R = np.repeat(np.arange(len(logprobs)), [len(logprob_R) for logprob_R in logprobs])
    loglik_P: FloatArray = np.bincount(pair_R, weights=np.concatenate(logprobs)).astype(np.float64)
    return loglik_P


def score_pairs(
    model: PreTrainedModel, pairs: Sequence[TokenPair], scoring: ScoringConfig, progress: str | None = None
) -> tuple[FloatArray, BoolArray]:
    """Log-likelihoods (P,) and greedy hits (P,) of any number of pairs, in their order, after a self-check.

    Args:
        progress: label of a bar on a terminal; None for none.
    """
    scorer = Scorer(model, scoring)
    scorer.check(pairs)
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


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device or the machine had no memory left."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _shown(packs: list[list[int]], progress: str | None) -> Iterator[list[int]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(packs, progress or "", console=console, disable=progress is None or not console.is_terminal)
