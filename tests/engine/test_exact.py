"""Packs against a float64 log-softmax over a single unpadded float32 pass with the model's own attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tss_lab.engine import attention
from tss_lab.engine.attention import TreeUnsupportedError, sees, tree_attention, tree_attention_in
from tss_lab.engine.forward import encode
from tss_lab.engine.head import head_of, target_logprobs, target_nll
from tss_lab.engine.tree import build_pack, flat_pack


def random_pairs(num: int, seed: int, longest: int = 40) -> list[tuple[list[int], list[int]]]:
    """Pairs that share prefixes of several depths, targets longer than tiny Gemma's window of 16 among them."""
    rng = np.random.default_rng(seed)
    preamble = rng.integers(3, 300, 7).tolist()
    middles = [rng.integers(3, 300, rng.integers(1, 30)).tolist() for _ in range(3)]
    return [
        (preamble + middles[rng.integers(3)] + rng.integers(3, 300, rng.integers(0, 6)).tolist(),
         rng.integers(3, 300, rng.integers(1, longest)).tolist())
        for _ in range(num)
    ]  # fmt: skip


def reference(model, prompt: list[int], target: list[int]) -> float:
    """transformers' own forward, one pair, eager attention; log-softmax in float64."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
    return float(logits.double().log_softmax(-1)[torch.arange(len(target)), target].sum())


def by_pack(model, pack) -> np.ndarray:
    with torch.no_grad(), tree_attention_in(model):
        hidden = encode(model, pack)
    logprobs, _ = target_logprobs(
        hidden, head_of(model), torch.from_numpy(pack.target_id_R), torch.from_numpy(pack.row_R)
    )
    return np.bincount(pack.pair_R, weights=logprobs.numpy(), minlength=pack.num_pairs)


@pytest.mark.parametrize("build", [build_pack, flat_pack])
@pytest.mark.parametrize("longest", [4, 40, 400])
def test_pack_equals_single_passes(tiny_model, build, longest):
    model, _ = tiny_model
    pairs = random_pairs(12, seed=longest, longest=longest)
    expected = [reference(model, *pair) for pair in pairs]
    assert np.abs(by_pack(model, build(pairs)) - expected).max() < 5e-4


def test_numbers_do_not_depend_on_the_company(tiny_model):
    model, _ = tiny_model
    pairs = random_pairs(9, seed=5)
    together = by_pack(model, build_pack(pairs))
    alone = np.concatenate([by_pack(model, build_pack([pair])) for pair in pairs])
    reordered = by_pack(model, build_pack(pairs[::-1]))[::-1]
    assert np.abs(together - alone).max() < 1e-4
    assert np.abs(together - reordered).max() < 1e-4


def test_own_attention_is_restored(tiny_llama):
    model, _ = tiny_llama
    before = model.config._attn_implementation
    with tree_attention_in(model):
        assert model.config._attn_implementation == "tss_tree"
    assert model.config._attn_implementation == before


def test_dropout_of_attention_is_refused():
    """A token that several examples share can't be dropped for one of them."""
    layout = build_pack(random_pairs(2, seed=1)).layout
    heads = torch.randn(3, 1, 2, layout.num_tokens, 8)
    with pytest.raises(TreeUnsupportedError, match="dropout"):
        tree_attention(torch.nn.Identity(), *heads, None, dropout=0.1, tree=layout)


few_ids = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(few_ids, few_ids), min_size=1, max_size=8),
    window=st.none() | st.integers(1, 12),
    block_tokens=st.integers(1, 6),
    call_cost=st.integers(0, 60),
)
def test_blocks_let_every_query_see_what_the_rule_says(pairs, window, block_tokens, call_cost):
    """Any trie, window and way to cut it: each query once, each key that it sees in its block's runs, no other."""
    layout = build_pack(pairs).layout
    index = np.arange(layout.num_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "BLOCK_TOKENS", block_tokens)
        patch.setattr(attention, "CALL_COST", call_cost)
        blocks = attention._blocks(layout, window, torch.float32, torch.device("cpu"))
    assert [query for block in blocks for query in range(block.start, block.end)] == index.tolist()
    found = np.zeros((len(index), len(index)), dtype=bool)
    for block in blocks:
        keys = np.concatenate([np.arange(*run) for run in block.runs])
        shape = (block.end - block.start, len(keys))
        seen = np.tril(np.ones(shape, bool)) if block.mask is None else (block.mask == 0).numpy()
        found[block.start : block.end, keys] = seen
    assert np.array_equal(found, sees(layout, window)(index[:, None], index[None, :]))


@pytest.mark.parametrize("build", [build_pack, flat_pack])
def test_gradient_equals_transformers(tiny_model, build):
    """Gradient of a weighted sum of per-token losses, tree against one pair at a time through the whole logits."""
    model, _ = tiny_model
    pairs = random_pairs(4, seed=2)
    pack = build(pairs)
    weight = torch.linspace(0.5, 2.0, len(pack.target_id_R))
    rows = torch.from_numpy(pack.row_R)
    model.zero_grad()
    with tree_attention_in(model):
        nll = target_nll(encode(model, pack)[rows], head_of(model), torch.from_numpy(pack.target_id_R), 1 << 16)
        (nll * weight).sum().backward()
    ours = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    for index, (prompt, target) in enumerate(pairs):
        logits = model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(target), reduction="none")
        (loss * weight[torch.from_numpy(pack.pair_R == index)]).sum().backward()
    for name, parameter in model.named_parameters():
        scale = parameter.grad.abs().max()
        assert (ours[name] - parameter.grad).abs().max() <= 1e-4 * scale + 1e-6, name
    model.zero_grad()
