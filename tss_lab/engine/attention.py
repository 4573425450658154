"""Attention over a ``TreeLayout``, registered with transformers under the name ``tss_tree``.

The models' own code runs; only the attention in the middle is ours. The layout reaches it as the
keyword ``tree`` of the base model's forward. One rule says who sees whom (``sees``): on a CPU it is
cut into blocks for scaled-dot-product attention, on a GPU it is flex attention's mask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from tss_lab.engine.flex import flex, takes_flex
from tss_lab.engine.tree import Run, TreeLayout
from tss_lab.errors import ModelError

NAME = "tss_tree"
BLOCK_TOKENS = 128
"""Queries of a masked block at most: beyond it the masked upper triangle costs more than another call."""
CALL_COST = 2000
"""What one more call costs, in query-key products (measured on a CPU, 576 to 1024 head channels)."""
_NOT_COVERED = ("softcap", "s_aux", "sinks", "position_bias", "indices", "block_indices", "cache")
"""Keywords by which models ask their attention for more than a causal softmax over the keys in a window."""


class TreeUnsupportedError(ModelError):
    """The tree engine can't compute this model exactly; the plain path can."""


@dataclass(frozen=True, eq=False)
class Block:
    """Queries ``start <= i < end`` against the keys of ``runs``; ``mask`` is None for plain causal."""

    start: int
    end: int
    runs: list[Run]
    mask: Tensor | None


def sees(layout: TreeLayout, window: int | None) -> Callable[[Any, Any], Any]:
    """The rule, for index arrays of queries and keys that broadcast: ancestors and oneself, within the window."""
    end, position = layout.subtree_end_T, layout.position_ids_T

    def rule(query: Any, key: Any) -> Any:
        seen = (key <= query) & (query < end[key])
        return seen if window is None else seen & (position[query] - position[key] < window)

    return rule


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    tree: TreeLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one flat row: query (1, H, T, d), key and value (1, H_kv, T, d) -> (1, T, H, d).

    Raises TreeUnsupportedError for what the rule doesn't cover (score capping, attention sinks, biases,
    chosen keys, dropout, caches, non-causal layers).
    """
    if tree is None:
        raise TreeUnsupportedError(f"attention {NAME} was called without the keyword tree=TreeLayout")
    asked = [name for name in _NOT_COVERED if kwargs.get(name) is not None]
    if getattr(module, "is_causal", True) is False:
        asked.append("non-causal attention")
    if dropout:
        asked.append("dropout")
    if asked or attention_mask is not None or key.shape[2] != tree.num_tokens or query.shape[0] != 1:
        what = ", ".join(asked) or "a mask, a cache or a batch"
        raise TreeUnsupportedError(f"{type(module).__name__} asks for {what}, which the tree engine doesn't compute")
    # A window that no path is longer than hides nothing; without it the layer shares the other layers' masks.
    window = sliding_window if sliding_window is not None and sliding_window <= _deepest(tree) else None
    if takes_flex(query):
        return flex(query, key, value, scaling, window, tree), None
    outputs = [
        functional.scaled_dot_product_attention(
            query[:, :, block.start : block.end],
            _gathered(key, block.runs),
            _gathered(value, block.runs),
            attn_mask=block.mask,
            is_causal=block.mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        ).transpose(1, 2)
        for block in _blocks(tree, window, query.dtype, query.device)
    ]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), None


def _gathered(heads: Tensor, runs: list[Run]) -> Tensor:
    if len(runs) == 1:  # a view: most blocks need no copy
        return heads[:, :, runs[0][0] : runs[0][1]]
    return torch.cat([heads[:, :, start:end] for start, end in runs], dim=2)


def _deepest(tree: TreeLayout) -> int:
    """The largest distance between a token and an ancestor of its."""
    if "deepest" not in tree.prepared:
        tree.prepared["deepest"] = int(tree.position_ids_T.max(initial=0))
    return int(tree.prepared["deepest"])


def _blocks(tree: TreeLayout, window: int | None, dtype: torch.dtype, device: torch.device) -> list[Block]:
    found = tree.prepared.get((window, dtype, device))
    if found is None:
        found = [_block(tree, start, end, window, dtype, device) for start, end in _ranges(tree, window)]
        tree.prepared[(window, dtype, device)] = found
    return list(found)


def _ranges(tree: TreeLayout, window: int | None) -> Iterator[Run]:
    """Cuts the flat row into blocks: whole roots, long segments in pieces, short neighbours together."""
    held: tuple[int, int, int] | None = None
    for start, end, parent in zip(tree.start_S.tolist(), tree.end_S.tolist(), tree.parent_S.tolist(), strict=True):
        if parent < 0 and (window is None or end - start <= window):
            # A root alone is a plain causal triangle, which the kernel knows without a mask, at any length.
            if held:
                yield held[:2]
            held = None
            yield start, end
            continue
        for piece in range(start, end, BLOCK_TOKENS):
            stop = min(piece + BLOCK_TOKENS, end)
            depth = int(tree.position_ids_T[piece])
            if held and _cost(held[0], stop, held[2]) <= _cost(*held) + _cost(piece, stop, depth):
                held = (held[0], stop, held[2])
                continue
            if held:
                yield held[:2]
            held = (piece, stop, depth)
    if held:
        yield held[:2]


def _cost(start: int, end: int, depth: int) -> int:
    return CALL_COST + (end - start) * (depth + end - start)


def _block(
    tree: TreeLayout, start: int, end: int, window: int | None, dtype: torch.dtype, device: torch.device
) -> Block:
    before = tree.ancestor_runs(start)
    # A later branch of the block may begin nearer to the root than its first token, and so see further back.
    unseen = int(tree.position_ids_T[start:end].min()) - window + 1 if window is not None else 0
    runs: list[Run] = []
    for first, last in before:
        dropped = min(max(unseen, 0), last - first)
        unseen -= dropped
        if first + dropped < last:
            runs.append((first + dropped, last))
    if runs and runs[-1][1] == start:
        runs[-1] = (runs[-1][0], end)
    else:
        runs.append((start, end))
    keys = np.concatenate([np.arange(first, last) for first, last in runs])
    seen = sees(tree, window)(np.arange(start, end)[:, None], keys[None, :])
    if len(keys) == end - start and np.array_equal(seen, np.tril(np.ones_like(seen))):
        return Block(start, end, runs, None)
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(torch.from_numpy(~seen), float("-inf"))
    return Block(start, end, runs, mask.to(device))


def _no_mask(*_args: Any, **_kwargs: Any) -> None:
    """The layout says who sees whom, so transformers builds no mask."""
    return


@contextlib.contextmanager
def tree_attention_in(model: PreTrainedModel) -> Iterator[None]:
    """Lets the model use ``tss_tree`` inside the block, and its own attention again after it.

    Whether the model can be asked before (``support.tree_refusal``).
    """
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, _no_mask)
