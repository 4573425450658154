"""What a pass costs, from the model's config and the packs, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tss_lab.engine.tree import shared_prefix, sort_key
from tss_lab.types import TokenPair


@dataclass(frozen=True)
class PassCost:
    """Tokens and floating-point operations of a pass. ``num_tokens`` counts shared prefixes once a pack."""

    num_pairs: int
    num_tokens: int
    num_tokens_unshared: int
    num_target_tokens: int
    flops: float


def pass_cost(config: Any, pairs: Sequence[TokenPair], packs: Sequence[Sequence[int]]) -> PassCost:
    """Cost of scoring ``pairs`` in ``packs`` of indices, each in the order of ``sort_key``.

    Args:
        config: the model's transformers config (of its text part).
    """
    num_tokens = unshared = targets = 0
    attended = 0.0
    for pack in packs:
        previous = b""
        for index in pack:
            key = sort_key(pairs[index].prompt_ids, pairs[index].target_ids)
            length, shared = len(key) // 4, shared_prefix(previous, key)
            num_tokens += length - shared
            attended += (length * (length + 1) - shared * (shared + 1)) / 2
            unshared += length
            targets += len(pairs[index].target_ids)
            previous = key
    flops = forward_flops(config, num_tokens, attended, targets)
    return PassCost(sum(map(len, packs)), num_tokens, unshared, targets, flops)


def forward_flops(config: Any, num_tokens: float, attended: float, num_targets: float) -> float:
    """Multiplications and additions of a decoder's matrix products.

    Args:
        config: as for ``pass_cost``; sizes are read under transformers' common names.
        attended: query-key pairs, summed over tokens, without regard to sliding windows.
        num_targets: positions that are projected to the vocabulary.
    """
    width, heads = config.hidden_size, config.num_attention_heads
    channels = heads * (getattr(config, "head_dim", None) or width // heads)
    key_channels = channels * (getattr(config, "num_key_value_heads", None) or heads) // heads
    inner = getattr(config, "intermediate_size", None) or 4 * width
    layer = width * (2 * channels + 2 * key_channels) + 3 * width * inner
    body = 2.0 * config.num_hidden_layers * layer * num_tokens
    attention = 4.0 * config.num_hidden_layers * channels * attended
    return float(body + attention + 2.0 * width * config.vocab_size * num_targets)
