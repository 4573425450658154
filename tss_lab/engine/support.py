"""Which models the tree can compute exactly, told from the model or, before weights are loaded, from its config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from tss_lab.engine.attention import TreeUnsupportedError
from tss_lab.engine.head import head_of
from tss_lab.errors import ModelError
from tss_lab.models import model_config

_DROPOUTS = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")


def reason_against_tree(config: PretrainedConfig, *, training: bool = False) -> str | None:
    """Why the tree engine can't take a model of this config; None when nothing speaks against it.

    The model is built without memory for its weights, so this takes a second at most.

    Args:
        training: whether dropout is on; examples that share a prefix can't draw a mask each.

    Raises ModelError for a config that isn't a causal language model's.
    """
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            skeleton = AutoModelForCausalLM.from_config(config)
    except ValueError as error:
        raise ModelError(f"{config.model_type} is not a causal language model: {error}") from error
    return tree_refusal(skeleton, training=training)


def refuse_without_tree(model_folder: Path) -> None:
    """Raises TreeUnsupportedError where the tree, which was asked for, can't take the model of this folder."""
    reason = reason_against_tree(model_config(model_folder))
    if reason:
        raise tree_asked_for(reason)


def tree_asked_for(reason: str) -> TreeUnsupportedError:
    """The error of ``scoring.engine=tree`` where the tree can't be had."""
    return TreeUnsupportedError(f"scoring.engine=tree: {reason}; take scoring.engine=auto")


def tree_refusal(model: PreTrainedModel, *, training: bool = False) -> str | None:
    """The same for a model at hand, with or without weights."""
    try:
        head_of(model)
    except TreeUnsupportedError as error:
        return str(error)
    config: Any = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if kinds:
        return f"{config.model_type} has layers of kind {', '.join(sorted(kinds))}"
    if getattr(config, "is_encoder_decoder", False):
        return f"{config.model_type} is an encoder-decoder model"
    if not getattr(model, "_supports_attention_backend", False):
        return f"{config.model_type} doesn't take a registered attention"
    if getattr(config, "use_bidirectional_attention", False):
        return f"{config.model_type} attends in both directions"
    if getattr(config, "attn_logit_softcapping", None) is not None:
        return f"{config.model_type} caps its attention scores"
    if any("sink" in name.rpartition(".")[2] for name, _ in model.named_parameters()):
        return f"{config.model_type} has attention sinks"
    if training and any(getattr(config, name, None) for name in _DROPOUTS):
        return f"{config.model_type} drops attention at random in training"
    return None


def tree_failed(error: BaseException) -> bool:
    """Whether the tree can't be had here: a model that it doesn't know, or a GPU kernel that can't be built."""
    makers = ("torch._dynamo", "torch._inductor", "triton")
    return isinstance(error, TreeUnsupportedError) or type(error).__module__.startswith(makers)
