"""AdamW and the learning rate of each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from tss_lab.config import SftConfig
from tss_lab.errors import TrainingError


def learning_rate(step: int, steps: int, config: SftConfig) -> float:
    """The rate of optimiser step ``step`` (from 0) of ``steps``: linear warm-up, then the schedule's decay.

    A function of the step alone, so that a resumed training needs no scheduler state. The first step
    already learns; a cosine or linear decay would reach zero one step after the last.
    """
    warmup = math.ceil(config.warmup_ratio * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * (1 - done if config.schedule == "linear" else 1.0)


def make_optimiser(model: nn.Module, config: SftConfig) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; weight decay spares norms and biases (one-dimensional ones).

    The fused kernel makes one pass over the states and no copy of them, on CPU and GPU alike.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise TrainingError("no parameter is trainable; look at sft.lora.target_modules and sft.train_embeddings")
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=config.learning_rate, betas=config.betas, fused=True
    )
