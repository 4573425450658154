"""One pair by a single unpadded pass through the model's own attention and whole logits.

Slow, for every causal language model, and the yardstick of the tree.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tss_lab.types import TokenPair

_ROWS = 64
"""Target positions whose logits are held in float64 at a time."""


def plain_logprobs(model: PreTrainedModel, pair: TokenPair) -> tuple[Tensor, bool]:
    """Log-probability of each target token (R,) in float64, and whether all are the model's first choice.

    Call it without gradients.
    """
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([[*pair.prompt_ids, *pair.target_ids]], device=device)[:, :-1]
    target_R = torch.as_tensor(list(pair.target_ids), device=device)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    settings: dict[str, Any] = {}
    if "logits_to_keep" in inspect.signature(inner.forward).parameters:
        settings["logits_to_keep"] = len(target_R)
    logits_RV = model(input_ids=ids, use_cache=False, **settings).logits[0, -len(target_R) :]
    parts, greedy = [], True
    for start in range(0, len(target_R), _ROWS):
        part, wanted = logits_RV[start : start + _ROWS].double(), target_R[start : start + _ROWS, None]
        parts.append(part.gather(1, wanted)[:, 0] - part.logsumexp(1))
        greedy = greedy and bool((part.argmax(1) == wanted[:, 0]).all())
    return torch.cat(parts), greedy


@torch.inference_mode()
def plain_score(model: PreTrainedModel, pair: TokenPair) -> tuple[float, bool]:
    """Summed log-likelihood in nats, and whether greedy decoding gives exactly the target."""
    logprob_R, greedy = plain_logprobs(model, pair)
    return float(logprob_R.sum()), greedy
