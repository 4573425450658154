"""From hidden states at target positions to log-probabilities, without a logits tensor in memory.

The vocabulary (up to 262,144 entries) is passed over in chunks; only sums over it are kept.
Axes: R target positions, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tss_lab.engine.attention import TreeUnsupportedError

_FLOAT_BYTES = 4
_ROUNDING = 1e-5
"""Two logits this close, relative to their size, count as equal."""
_CHUNK_ENTRIES = 2048
"""Vocabulary entries of a chunk: its logits stay in a processor's cache until they are summed."""


@dataclass(frozen=True, eq=False)
class Head:
    """The projection to the vocabulary: ``softcap·tanh(multiplier·(W h + b) / softcap)``."""

    weight_VD: Tensor
    bias_V: Tensor | None = None
    multiplier: float = 1.0
    softcap: float | None = None

    def finish(self, logits: Tensor) -> Tensor:
        """Scaling and capping of raw products ``W h + b``, in place where no gradient is needed."""
        if self.multiplier != 1.0:
            logits = logits * self.multiplier
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap


def head_of(model: PreTrainedModel) -> Head:
    """The head of a causal language model. Raises TreeUnsupportedError for a form not known here."""
    linear: Any = model.get_output_embeddings()
    config = model.config.get_text_config()
    if not isinstance(linear, torch.nn.Linear):
        raise TreeUnsupportedError(f"{type(model).__name__} has no linear head")
    multiplier = 1.0
    if getattr(config, "logit_scale", None) is not None:
        multiplier *= float(config.logit_scale)
    if getattr(config, "logits_scaling", None) is not None:
        multiplier /= float(config.logits_scaling)
    softcap = getattr(config, "final_logit_softcapping", None)
    return Head(linear.weight, linear.bias, multiplier, None if softcap is None else float(softcap))


@torch.no_grad()
def target_logprobs(
    hidden_UD: Tensor, head: Head, target_R: Tensor, row_R: Tensor, memory_bytes: int = 64 << 20
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target (R,) in float64, and whether it is the model's first choice (R,),
    up to float32 rounding between two logits.

    ``row_R`` says which of the U hidden states predicts a target; several targets may share one.
    Products in float32, sums over the vocabulary in float32 within a chunk and float64 across chunks.
    """
    hidden_UD = hidden_UD.float()
    lse_U, highest_U = _log_sum_exp(hidden_UD, head, memory_bytes)
    logit_R = _target_logits(hidden_UD[row_R], head, target_R)
    highest_R = highest_U[row_R].double()
    return logit_R - lse_U[row_R], logit_R >= highest_R - _ROUNDING * (1.0 + highest_R.abs())


def target_nll(hidden_RD: Tensor, head: Head, target_R: Tensor, memory_bytes: int = 64 << 20) -> Tensor:
    """Negative log-likelihood of each target (R,), float32, differentiable in hidden states and head.

    The logits are made again chunk by chunk on the way back, so memory doesn't grow with R times V.
    """
    result: Tensor = _TargetNll.apply(
        hidden_RD, head.weight_VD, head.bias_V, target_R, head.multiplier, head.softcap, memory_bytes
    )  # type: ignore[no-untyped-call]
    return result


def _chunks(num_rows: int, vocabulary: int, memory_bytes: int) -> tuple[int, int]:
    """(rows, vocabulary entries) of a chunk of logits."""
    entries = max(1, memory_bytes // _FLOAT_BYTES)
    columns = min(vocabulary, _CHUNK_ENTRIES)
    return max(1, min(num_rows, entries // columns)), columns


def _pieces(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def _logits(hidden_RD: Tensor, head: Head, columns: slice) -> Tensor:
    weight = head.weight_VD[columns].float()
    if head.bias_V is None:
        return head.finish(hidden_RD @ weight.T)
    return head.finish(torch.addmm(head.bias_V[columns].float(), hidden_RD, weight.T))


def _target_logits(hidden_RD: Tensor, head: Head, target_R: Tensor) -> Tensor:
    products_R = (hidden_RD.double() * head.weight_VD[target_R].double()).sum(-1)
    if head.bias_V is not None:
        products_R = products_R + head.bias_V[target_R].double()
    return head.finish(products_R)


def _log_sum_exp(hidden_RD: Tensor, head: Head, memory_bytes: int) -> tuple[Tensor, Tensor]:
    """log Σ_v exp(logit) in float64 (R,), and the highest logit in float32 (R,)."""
    num_rows, vocabulary = hidden_RD.shape[0], head.weight_VD.shape[0]
    rows, width = _chunks(num_rows, vocabulary, memory_bytes)
    lse_R = torch.empty(num_rows, dtype=torch.float64, device=hidden_RD.device)
    highest_R = torch.empty(num_rows, device=hidden_RD.device)
    for part in _pieces(num_rows, rows):
        highest = torch.full((part.stop - part.start,), -torch.inf, device=hidden_RD.device)
        total = torch.zeros_like(highest, dtype=torch.float64)
        for columns in _pieces(vocabulary, width):
            logits = _logits(hidden_RD[part], head, columns)
            raised = torch.maximum(highest, logits.amax(-1))
            sums = logits.sub_(raised[:, None]).exp_().sum(-1)
            total = total * torch.exp((highest - raised).double()) + sums.double()
            highest = raised
        lse_R[part] = highest.double() + total.log()
        highest_R[part] = highest
    return lse_R, highest_R


class _TargetNll(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, hidden_RD, weight_VD, bias_V, target_R, multiplier, softcap, memory_bytes
    ) -> Tensor:
        head = Head(weight_VD, bias_V, multiplier, softcap)
        lse_R, _ = _log_sum_exp(hidden_RD.float(), head, memory_bytes)
        logit_R = _target_logits(hidden_RD.float(), head, target_R)
        ctx.save_for_backward(hidden_RD, weight_VD, bias_V, target_R, lse_R)
        ctx.form = (multiplier, softcap, memory_bytes)
        return (lse_R - logit_R).float()

    @staticmethod
    def backward(ctx, grad_R):  # type: ignore[no-untyped-def]
        hidden_RD, weight_VD, bias_V, target_R, lse_R = ctx.saved_tensors
        multiplier, softcap, memory_bytes = ctx.form
        head = Head(weight_VD, bias_V, multiplier, softcap)
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        hidden, grad = hidden_RD.float(), grad_R.float()
        grad_hidden = torch.zeros_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if wants_weight else None
        grad_bias = torch.zeros_like(bias_V, dtype=torch.float32) if wants_bias else None
        rows, width = _chunks(hidden.shape[0], weight_VD.shape[0], memory_bytes)
        for part in _pieces(hidden.shape[0], rows):
            for columns in _pieces(weight_VD.shape[0], width):
                logits = _logits(hidden[part], head, columns)
                slope = torch.exp(logits - lse_R[part, None].float())
                inside = (target_R[part] >= columns.start) & (target_R[part] < columns.stop)
                which = inside.nonzero()[:, 0]
                slope[which, target_R[part][which] - columns.start] -= 1.0
                slope *= grad[part, None]
                if softcap is not None:
                    slope *= 1.0 - (logits / softcap) ** 2
                if multiplier != 1.0:
                    slope *= multiplier
                if grad_hidden is not None:
                    grad_hidden[part].addmm_(slope, weight_VD[columns].float())
                if grad_weight is not None:
                    grad_weight[columns].addmm_(slope.T, hidden[part])
                if grad_bias is not None:
                    grad_bias[columns] += slope.sum(0)
        return (
            None if grad_hidden is None else grad_hidden.to(hidden_RD.dtype),
            None if grad_weight is None else grad_weight.to(weight_VD.dtype),
            None if grad_bias is None else grad_bias.to(bias_V.dtype),
            None, None, None, None,
        )  # fmt: skip
