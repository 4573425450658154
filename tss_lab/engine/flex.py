"""The tree's rule as flex attention's mask: the form for a GPU, compiled once a kind of call.

A kind is made by what Dynamo guards on: window or none, one block of tokens or several, type, head
shape, and whether gradients or inference tensors are about. Eager flex attention would hold T²·H
scores, so a kind too many is an error and never runs eagerly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tss_lab.engine.tree import TreeLayout

BACKEND: Any = "inductor"
"""What compiles; tests count with their own."""
MOST_KINDS = 64
"""Kinds of call that a process may compile between two resets. One model's scoring, evaluation and training
come to 24 at most (2 windows, 2 sizes, 2 types, 3 gradient modes); Dynamo's own limit is 8."""

_compiled: Any = None


def takes_flex(query: Tensor) -> bool:
    """Whether the query's device computes by flex attention; a CPU has a faster way."""
    return query.is_cuda


def flex(
    query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None, tree: TreeLayout
) -> Tensor:
    """Attention of one flat row by the compiled kernel: shapes as in ``tree_attention``; returns (1, T, H, d).

    Raises torch._dynamo.exc.FailOnRecompileLimitHit beyond ``MOST_KINDS``.
    """
    global _compiled
    from torch._dynamo import config
    from torch.nn.attention.flex_attention import flex_attention

    if torch.is_autocast_enabled(query.device.type):  # rotary embeddings leave query and key in float32
        kind = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    if _compiled is None:
        _compiled = torch.compile(flex_attention, dynamic=True, fullgraph=True, backend=BACKEND)
    mask = _block_mask(tree, window, query.device)
    grouped = query.shape[1] != key.shape[1]
    with config.patch(recompile_limit=MOST_KINDS):
        out: Tensor = _compiled(query, key, value, block_mask=mask, scale=scaling, enable_gqa=grouped)
    return out.transpose(1, 2)


def forget_compiled() -> None:
    """Drops all that this process has compiled, so that the next job of a sweep has every kind to itself."""
    global _compiled
    if _compiled is not None:
        torch.compiler.reset()
        _compiled = None


def _block_mask(tree: TreeLayout, window: int | None, device: torch.device) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    slot = ("flex", window, device)
    if slot not in tree.prepared:
        end = torch.from_numpy(tree.subtree_end_T).to(device, torch.int32)
        position = torch.from_numpy(tree.position_ids_T).to(device, torch.int32)

        def mask(_batch: Tensor, _head: Tensor, i: Tensor, j: Tensor) -> Tensor:
            seen = (j <= i) & (i < end[j])
            return seen if window is None else seen & (position[i] - position[j] < window)

        length = tree.num_tokens
        tree.prepared[slot] = create_block_mask(mask, None, None, length, length, device=str(device))
    return tree.prepared[slot]
