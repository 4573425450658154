"""Which of a model's parameters are trained, and how much of the forward pass is kept for the backward."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from tss_lab.config import LoraConfig, SftConfig
from tss_lab.errors import ConfigError


def prepare_model(model: PreTrainedModel, config: SftConfig, seed: int) -> Any:
    """Freezes, wraps and sets up checkpointing as configured; returns the model or its LoRA wrapper.

    Raises ConfigError when LoRA is asked for and peft is absent, or its target modules don't exist.
    """
    if not config.train_embeddings:
        model.get_input_embeddings().requires_grad_(False)
    for parameter in parameters_text_never_meets(model):
        parameter.requires_grad_(False)
    if config.gradient_checkpointing:
        # The older name warns where the newer is there.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    prepared = _with_lora(model, config.lora, seed) if config.lora else model
    return prepared.train()


def _with_lora(model: PreTrainedModel, lora: LoraConfig, seed: int) -> Any:
    try:
        import peft
    except ImportError as error:
        raise ConfigError(
            "sft.lora needs the package peft (pip install -e '.[lora]' in the checkout of tss_lab); "
            "or set sft.lora=null"
        ) from error
    torch.manual_seed(seed)
    try:
        return peft.get_peft_model(
            model,
            peft.LoraConfig(
                r=lora.rank,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=lora.target_modules,
                exclude_modules="|".join(map(re.escape, _modules_text_never_meets(model))) or None,
                task_type="CAUSAL_LM",
            ),
        )
    except ValueError as error:
        raise ConfigError(f"sft.lora.target_modules={lora.target_modules} doesn't fit this model: {error}") from error


def parameters_text_never_meets(model: Any) -> list[nn.Parameter]:
    """Parameters of a multimodal model that no text goes through (vision tower, projector); none of others."""
    met = {parameter for module in _modules_of_text(model) for parameter in module.parameters(recurse=False)}
    return [parameter for parameter in model.parameters() if parameter not in met]


def _modules_text_never_meets(model: Any) -> list[str]:
    met = _modules_of_text(model)
    return [name for name, module in model.named_modules() if module not in met and not list(module.children())]


def _modules_of_text(model: Any) -> set[nn.Module]:
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if inner.config.get_text_config() is inner.config:
        return set(model.modules())
    parts = inner.get_decoder(), inner.get_input_embeddings(), inner.get_output_embeddings()
    return {module for part in parts for module in part.modules()}


def parameter_counts(model: Any) -> dict[str, int]:
    """``body`` (all that text goes through but the token embeddings), ``head`` (the vocabulary projection) and
    ``trainable``.
    """
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    unmet = parameters_text_never_meets(model)
    total = sum(parameter.numel() for parameter in model.parameters()) - sum(p.numel() for p in unmet)
    outside = embedding.numel() + (0 if head is embedding else head.numel())
    return {
        "body": total - outside,
        "head": head.numel(),
        "trainable": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
    }
