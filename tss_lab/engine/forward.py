"""Hidden states of a pack: the model's own layers, our attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tss_lab.engine.attention import tree_attention_in as tree_attention_in
from tss_lab.engine.tree import TreePack


def encode(model: PreTrainedModel, pack: TreePack) -> Tensor:
    """Last hidden states of all tokens of a pack: (T, D), differentiable where gradients are on.

    Call it inside ``with tree_attention_in(model)``.
    """
    device = model.get_input_embeddings().weight.device
    output = decoder_of(model)(
        input_ids=torch.from_numpy(pack.token_ids_T).to(device)[None],
        position_ids=torch.from_numpy(pack.position_ids_T).to(device)[None],
        use_cache=False,
        tree=pack.layout,
    )
    hidden_TD: Tensor = output.last_hidden_state[0]
    return hidden_TD


def decoder_of(model: PreTrainedModel) -> Any:
    """The model without its head; adapters (PEFT) stay in place inside its layers."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner.base_model
