"""Flex attention as a GPU gets it: compiled, here by a backend that counts and runs the graph as it is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from test_exact import by_pack, random_pairs

from tss_lab.engine import attention, flex
from tss_lab.engine.attention import sees, tree_attention
from tss_lab.engine.tree import build_pack


class Counting:
    """A backend of torch.compile: counts graphs, optimises nothing."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


@pytest.fixture
def counting(monkeypatch):
    backend = Counting()
    monkeypatch.setattr(flex, "BACKEND", backend)
    monkeypatch.setattr(attention, "takes_flex", lambda query: True)
    torch.compiler.reset()
    yield backend
    flex.forget_compiled()


def heads(length: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    query = torch.randn(1, 4, length, 16, dtype=dtype)
    key, value = torch.randn(2, 1, 2, length, 16, dtype=dtype)
    return query, key, value


@pytest.mark.parametrize("window", [None, 5])
def test_compiled_flex_equals_the_blocks_and_the_rule(counting, window, monkeypatch):
    layout = build_pack(random_pairs(6, seed=1)).layout
    query, key, value = heads(layout.num_tokens)
    index = np.arange(layout.num_tokens)
    seen = torch.from_numpy(sees(layout, window)(index[:, None], index[None, :]))
    dense = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, enable_gqa=True)
    settings = {"attention_mask": None, "sliding_window": window, "tree": layout}
    compiled, _ = tree_attention(torch.nn.Identity(), query, key, value, **settings)
    monkeypatch.setattr(attention, "takes_flex", lambda query: False)
    blocks, _ = tree_attention(torch.nn.Identity(), query, key, value, **settings)
    assert counting.graphs == 1
    assert torch.allclose(compiled, dense.transpose(1, 2), atol=1e-5)
    assert torch.allclose(blocks, dense.transpose(1, 2), atol=1e-5)


def test_a_model_with_windows_is_computed_by_two_graphs(counting, tiny_gemma3, monkeypatch):
    model, _ = tiny_gemma3
    pack = build_pack(random_pairs(8, seed=3))
    compiled = by_pack(model, pack)
    assert counting.graphs == 2  # layers with a window and without
    by_pack(model, build_pack(random_pairs(9, seed=4)))
    assert counting.graphs == 2  # another length is no other kind
    monkeypatch.setattr(attention, "takes_flex", lambda query: False)
    assert np.abs(by_pack(model, build_pack(random_pairs(8, seed=3))) - compiled).max() < 1e-4


def test_the_ninth_kind_of_call_is_compiled_too(counting):
    """Dynamo's own limit is eight; beyond it, attention would run eagerly and hold all scores."""
    small, large = (build_pack(random_pairs(num, seed=1)).layout for num in (3, 8))
    assert small.num_tokens <= 128 < large.num_tokens
    kinds = list(itertools.product((small, large), (torch.float32, torch.bfloat16), (None, 5)))
    with torch.inference_mode():
        for layout, dtype, window in kinds:
            flex.flex(*heads(layout.num_tokens, dtype), None, window, layout)
    assert counting.graphs == len(kinds) == 8
    with torch.no_grad():
        flex.flex(*heads(small.num_tokens), None, None, build_pack(random_pairs(3, seed=1)).layout)
    assert counting.graphs == 9


def test_a_kind_too_many_is_an_error_until_all_are_forgotten(counting, monkeypatch):
    layout = build_pack(random_pairs(3, seed=1)).layout
    monkeypatch.setattr(flex, "MOST_KINDS", 1)
    flex.flex(*heads(layout.num_tokens), None, None, layout)
    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
        flex.flex(*heads(layout.num_tokens), None, 5, layout)
    flex.forget_compiled()  # as between the jobs of a sweep
    flex.flex(*heads(layout.num_tokens), None, 5, layout)
    assert counting.graphs == 2
