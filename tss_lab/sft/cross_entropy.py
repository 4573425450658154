"""Weighted cross-entropy from hidden states, whose gradient is made in the same pass.

Training knows each token's coefficient before the forward pass, so the logits of a chunk can be turned
into their gradient at once: three products with the vocabulary matrix in place of the four of a loss
that is differentiated later, and never more than one chunk of logits in memory.
Axes: R target positions, D hidden size, V vocabulary.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from tss_lab.engine.head import Head, target_nll
from tss_lab.errors import ConfigError


def weighted_nll(
    hidden_RD: Tensor,
    head: Head,
    target_R: Tensor,
    coefficient_R: Tensor,
    memory_bytes: int,
    *,
    add_to_VD: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``Σ coefficient·nll`` (scalar, differentiable) and each target's nll (R,) without gradient; float32.

    Under autocast the products run in its type, else in the head's; the sums over the vocabulary, and the head's
    gradient over the chunks, always in float32.
    ``add_to_VD`` takes the head's gradient at once, where autograd would hold a tensor of the
    vocabulary's size until the whole model's backward is done; the loss must not be scaled then.
    A head with a bias or a cap goes through ``engine.head.target_nll``, and leaves ``add_to_VD`` alone.
    """
    if head.bias_V is None and head.softcap is None and head.multiplier == 1.0:
        loss, nll_R = _WeightedNll.apply(hidden_RD, head.weight_VD, target_R, coefficient_R, memory_bytes, add_to_VD)  # type: ignore[no-untyped-call]
        return loss, nll_R
    nll_R = target_nll(hidden_RD, head, target_R, memory_bytes)
    return torch.dot(nll_R, coefficient_R), nll_R.detach()


def liger_weighted_nll(hidden_RD: Tensor, head: Head, target_R: Tensor, coefficient_R: Tensor) -> tuple[Tensor, Tensor]:
    """The same by Liger's fused kernel, on a GPU.

    Raises ConfigError where Liger is absent, too old (before 0.8.2 its per-token gradients ignore the
    coefficients), or where the head has a form it doesn't know.
    """
    function = _liger_function()
    check_liger_fits(head, on_gpu=hidden_RD.is_cuda)
    nll_R = function(hidden_RD, head.weight_VD, target_R, bias=head.bias_V, softcap=head.softcap, reduction="none")
    return torch.dot(nll_R.float(), coefficient_R), nll_R.detach().float()


def check_liger() -> None:
    """Raises ConfigError where Liger is absent or too old."""
    try:
        installed = version("liger-kernel")
    except PackageNotFoundError as error:
        raise ConfigError(
            "sft.cross_entropy=liger needs the package liger-kernel (pip install -e '.[liger]' in the checkout of "
            "tss_lab); or set sft.cross_entropy=chunked"
        ) from error
    if tuple(int(part) for part in installed.split(".")[:3] if part.isdigit()) < (0, 8, 2):
        raise ConfigError(f"liger-kernel {installed} gives wrong gradients for weighted tokens; install 0.8.2 or newer")


def check_liger_fits(head: Head, *, on_gpu: bool) -> None:
    """Raises ConfigError without a GPU, and for a head that Liger doesn't know."""
    if not on_gpu:
        raise ConfigError("sft.cross_entropy=liger needs a GPU; set sft.cross_entropy=chunked")
    if head.multiplier != 1.0:
        raise ConfigError(
            "sft.cross_entropy=liger doesn't scale logits as this model asks; set sft.cross_entropy=chunked"
        )


def _liger_function() -> Any:
    check_liger()
    from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy

    return liger_fused_linear_cross_entropy


class _WeightedNll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_RD: Tensor,
        weight_VD: Tensor,
        target_R: Tensor,
        coefficient_R: Tensor,
        memory_bytes: int,
        add_to_VD: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        device = hidden_RD.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight_VD.dtype
        with torch.autocast(device, enabled=False):
            hidden, weight = hidden_RD.to(kind), weight_VD.to(kind)
            nll_R = torch.empty(len(target_R), dtype=torch.float32, device=hidden.device)
            grad_hidden = torch.empty_like(hidden) if wants_hidden else None
            grad_weight = add_to_VD
            rows = _even_chunk(len(target_R), memory_bytes // (4 * len(weight)))
            room = torch.empty(rows, len(weight), dtype=kind, device=hidden.device)
            for start in range(0, len(target_R), rows):
                part = slice(start, start + rows)
                # One buffer for all chunks: fresh memory of this size costs as much as a pass over it.
                odds = torch.mm(hidden[part], weight.T, out=room[: len(hidden[part])]).float()
                odds.sub_(odds.amax(-1, keepdim=True))
                chosen = odds.gather(-1, target_R[part, None])
                total = odds.exp_().sum(-1, keepdim=True)
                nll_R[part] = (total.log() - chosen)[:, 0]
                # d(coefficient·nll)/d(logits) = coefficient·(softmax − one-hot). The row factor
                # coefficient/total goes into the narrow factor of each product, not into the wide one.
                scale = coefficient_R[part, None] / total
                odds = odds.scatter_add_(-1, target_R[part, None], -total).to(kind)
                if grad_hidden is not None:
                    grad_hidden[part] = (odds @ weight) * scale
                if wants_weight:
                    grad_weight = _added_product(grad_weight, odds.T, (hidden[part] * scale).to(kind))
            loss = torch.dot(nll_R, coefficient_R)
        # Not through save_for_backward, whose second reference would make autograd copy the gradient.
        returned = grad_weight.to(weight_VD.dtype) if grad_weight is not None and add_to_VD is None else None
        ctx.gradients = (None if grad_hidden is None else grad_hidden.to(hidden_RD.dtype), returned)
        ctx.added = add_to_VD is not None
        ctx.mark_non_differentiable(nll_R)
        return loss, nll_R

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _grad_nll: Tensor | None) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if grad_loss.device.type != "cpu" or grad_loss.item() != 1.0:
            if grad_loss.device.type == "cpu" and ctx.added:  # a look at a GPU's value would wait for the GPU
                raise RuntimeError("the head's gradient is added already, so the loss can't be scaled")
            for gradient in gradients:
                if gradient is not None:
                    gradient.mul_(grad_loss)
        return *gradients, None, None, None, None


def _even_chunk(length: int, at_most: int) -> int:
    """Rows of a chunk when ``length`` rows are cut into as few even chunks as fit."""
    chunks = -(-length // max(1, at_most))
    return -(-length // chunks)


def _added_product(total: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """A sum over chunks in float32, whatever the products' type."""
    if total is None:
        return (left @ right).float()
    if left.dtype == total.dtype:
        return total.addmm_(left, right)
    return total.add_(left @ right)
