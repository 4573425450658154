"""Which models the tree takes, asked before weights are loaded."""

from __future__ import annotations

import pytest
from transformers import AutoConfig

from tss_lab.engine.support import reason_against_tree, tree_refusal
from tss_lab.errors import ModelError

SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
    "num_key_value_heads": 2, "vocab_size": 50, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("llama", {}, None),
        ("gemma3_text", {}, None),
        ("qwen3", {}, None),
        ("gemma2", {}, "caps its attention scores"),
        ("gemma2", {"attn_logit_softcapping": None}, None),
        ("gpt_oss", {"num_local_experts": 2, "num_experts_per_tok": 1}, "attention sinks"),
        ("llama4_text", {"num_local_experts": 2}, "layers of kind chunked_attention"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "both directions"),
        ("bloom", {}, "registered attention"),
    ],
)
def test_a_config_tells_what_the_tree_cannot_take(kind, settings, reason):
    found = reason_against_tree(AutoConfig.for_model(kind, **{**SMALL, **settings}))
    assert found is None if reason is None else reason in found


def test_dropout_of_attention_counts_in_training_only():
    """Examples that share a prefix can't draw a mask each."""
    config = AutoConfig.for_model("llama", **SMALL, attention_dropout=0.1)
    assert reason_against_tree(config) is None
    assert "at random" in reason_against_tree(config, training=True)


def test_config_and_model_say_the_same(tiny_model):
    model, _ = tiny_model
    assert tree_refusal(model) is reason_against_tree(model.config) is None


def test_a_model_without_text_generation_is_named():
    with pytest.raises(ModelError, match="vit is not a causal language model"):
        reason_against_tree(AutoConfig.for_model("vit"))
