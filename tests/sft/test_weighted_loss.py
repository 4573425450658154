"""The loss and its gradient, by hand, against plain PyTorch and transformers, and however a batch is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytest import approx
from training import make_examples, make_sft, make_weights

from tss_lab.engine.head import Head
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.sft.cross_entropy import weighted_nll
from tss_lab.sft.inputs import TargetModel, attention_for, pack_input
from tss_lab.sft.loss import batch_loss, token_coefficients
from tss_lab.sft.rows import TrainingRow, encode_rows

Gradients = dict[str, torch.Tensor]


def make_rows(tokenizer: Any, count: int = 8) -> list[TrainingRow]:
    encoder = PromptEncoder(tokenizer, get_template("alpaca"), 1024)
    return encode_rows(make_examples(count), make_weights(count), encoder, 1024)[0]


def plain_loss_and_gradients(model: Any, rows: list[TrainingRow], coefficients: np.ndarray) -> tuple[float, Gradients]:
    """One row at a time through the model's own attention and a full logits tensor."""
    model.zero_grad()
    total = 0.0
    for row, coefficient in zip(rows, coefficients, strict=True):
        ids = torch.tensor([[*row.prompt_ids, *row.target_ids]])
        logits = model(ids).logits[0, len(row.prompt_ids) - 1 : -1]
        loss = F.cross_entropy(logits.double(), torch.tensor(row.target_ids), reduction="sum") * coefficient
        loss.backward()
        total += loss.item()
    return total, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def packed_loss_and_gradients(
    model: Any, rows: list[TrainingRow], coefficients: np.ndarray, packs: list[list[int]], packing: str
) -> tuple[float, Gradients, np.ndarray]:
    config = make_sft(packing=packing, logits_memory_mb=1)
    model.zero_grad()
    coefficient_B = torch.tensor(coefficients, dtype=torch.float32)
    total, sums = 0.0, np.zeros(len(rows))
    with attention_for(model, config):
        target_model = TargetModel(model, config)
        for pack in packs:
            inputs = pack_input(rows, pack, packing)
            loss, nll_R = target_model(inputs, coefficient_B)
            loss.backward()
            total += loss.item()
            np.add.at(sums, inputs.row_R, nll_R.numpy())
    return total, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}, sums


def difference(found: Gradients, wanted: Gradients) -> float:
    """Norm of the difference over the norm, of all parameters together."""
    apart = sum(float((found[name] - wanted[name]).double().square().sum()) for name in wanted)
    return float(np.sqrt(apart / sum(float(gradient.double().square().sum()) for gradient in wanted.values())))


def coefficients_of(rows: list[TrainingRow], reduction: Any = "example") -> np.ndarray:
    return token_coefficients(
        np.array([row.weight for row in rows]), np.array([row.num_targets for row in rows]), reduction
    )


CUTS = {
    "8x1": [[i] for i in range(8)],
    "2x4": [[0, 1, 2, 3], [4, 5, 6, 7]],
    "1x8": [[0, 1, 2, 3, 4, 5, 6, 7]],
    "uneven": [[5], [0, 7, 3], [6, 1, 2, 4]],
}


@pytest.mark.parametrize("packing", ["tree", "flat", "padded"])
@pytest.mark.parametrize("cut", CUTS)
def test_gradient_does_not_depend_on_the_cut(tiny_model: Any, packing: str, cut: str) -> None:
    model, tokenizer = tiny_model
    rows = make_rows(tokenizer)
    loss, gradients = plain_loss_and_gradients(model, rows, coefficients_of(rows))
    found_loss, found, _ = packed_loss_and_gradients(model, rows, coefficients_of(rows), CUTS[cut], packing)
    assert found_loss == approx(loss, rel=1e-5)
    assert difference(found, gradients) < 1e-5


@pytest.mark.parametrize("packing", ["tree", "flat"])
def test_packed_example_equals_itself_alone(tiny_model: Any, packing: str) -> None:
    """With all other weights at zero, the pack's gradient is that one example's."""
    model, tokenizer = tiny_model
    rows = make_rows(tokenizer, 4)
    for chosen in range(4):
        only = np.eye(4)[chosen] / rows[chosen].num_targets
        _, packed, sums = packed_loss_and_gradients(model, rows, only, [[2, 0, 3, 1]], packing)
        alone_loss, alone = plain_loss_and_gradients(model, [rows[chosen]], only[[chosen]])
        assert sums[chosen] / rows[chosen].num_targets == approx(alone_loss, rel=1e-5)
        assert difference(packed, alone) < 1e-5


def test_loss_is_transformers_own(tiny_model: Any) -> None:
    model, tokenizer = tiny_model
    row = make_rows(tokenizer, 3)[0]
    ids = torch.tensor([[*row.prompt_ids, *row.target_ids]])
    labels = ids.clone()
    labels[:, : len(row.prompt_ids)] = -100
    found, _, _ = packed_loss_and_gradients(model, [row], np.array([1 / row.num_targets]), [[0]], "tree")
    assert found == approx(model(ids, labels=labels).loss.item(), rel=1e-5)


@pytest.mark.parametrize("memory_bytes", [1, 4 * 7 * 2, 1 << 20])
def test_cross_entropy_by_hand(memory_bytes: int) -> None:
    """Softmax minus one-hot, written out in numpy; whatever the chunk."""
    rng = np.random.default_rng(0)
    hidden, weight = rng.normal(size=(5, 3)), rng.normal(size=(7, 3))
    target, coefficient = np.array([0, 6, 2, 2, 3]), np.array([0.5, 2.0, 0.0, -1.0, 0.25])
    odds = np.exp(hidden @ weight.T)
    probability = odds / odds.sum(1, keepdims=True)
    nll = -np.log(probability[np.arange(5), target])
    slope = (probability - np.eye(7)[target]) * coefficient[:, None]
    hidden_RD = torch.tensor(hidden, dtype=torch.float32, requires_grad=True)
    weight_VD = torch.tensor(weight, dtype=torch.float32, requires_grad=True)
    coefficient_R = torch.tensor(coefficient, dtype=torch.float32)
    loss, nll_R = weighted_nll(hidden_RD, Head(weight_VD), torch.tensor(target), coefficient_R, memory_bytes)
    (3.0 * loss).backward()
    assert loss.item() == approx(float(nll @ coefficient), rel=1e-5)
    np.testing.assert_allclose(nll_R.numpy(), nll, rtol=1e-5)
    assert hidden_RD.grad is not None
    assert weight_VD.grad is not None
    np.testing.assert_allclose(hidden_RD.grad, 3.0 * slope @ weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weight_VD.grad, 3.0 * slope.T @ hidden, rtol=1e-4, atol=1e-6)
    kept, weight_VD.grad = torch.ones_like(weight_VD), None
    loss, _ = weighted_nll(
        hidden_RD, Head(weight_VD), torch.tensor(target), coefficient_R, memory_bytes, add_to_VD=kept
    )
    loss.backward()
    assert weight_VD.grad is None
    np.testing.assert_allclose(kept, 1.0 + slope.T @ hidden, rtol=1e-4, atol=1e-6)
    loss, _ = weighted_nll(
        hidden_RD, Head(weight_VD), torch.tensor(target), coefficient_R, memory_bytes, add_to_VD=kept
    )
    with pytest.raises(RuntimeError, match="can't be scaled"):
        (3.0 * loss).backward()


def test_frozen_head_costs_no_gradient() -> None:
    hidden_RD, weight_VD = torch.randn(4, 3, requires_grad=True), torch.randn(6, 3)
    loss, _ = weighted_nll(hidden_RD, Head(weight_VD), torch.tensor([0, 1, 2, 3]), torch.ones(4), 1 << 20)
    loss.backward()
    assert hidden_RD.grad is not None
    assert weight_VD.grad is None


def test_gradient_of_a_bf16_head_is_summed_up_in_float32() -> None:
    """Shards gather the head in bfloat16; a sum over chunks in it would lose what is small beside the sum so far."""
    generator = torch.Generator().manual_seed(0)
    hidden_RD, weight_VD = (torch.randn(n, 8, generator=generator).bfloat16() for n in (512, 11))
    target_R = torch.randint(11, (512,), generator=generator)
    weight_VD.requires_grad_()
    loss, _ = weighted_nll(hidden_RD, Head(weight_VD), target_R, torch.ones(512), memory_bytes=1)
    loss.backward()
    assert loss.dtype == torch.float32
    exact_VD = weight_VD.detach().double().requires_grad_()
    F.cross_entropy(hidden_RD.double() @ exact_VD.T, target_R, reduction="sum").backward()
    assert weight_VD.grad is not None
    assert exact_VD.grad is not None
    apart = (weight_VD.grad.double() - exact_VD.grad).norm() / exact_VD.grad.norm()
    assert apart < 5e-3


def test_capped_head_takes_the_general_way() -> None:
    hidden_RD, weight_VD = torch.randn(4, 3, requires_grad=True), torch.randn(6, 3)
    target = torch.tensor([0, 5, 2, 3])
    loss, _ = weighted_nll(hidden_RD, Head(weight_VD, softcap=2.0), target, torch.ones(4), 1 << 20)
    loss.backward()
    found, hidden_RD.grad = hidden_RD.grad, None
    F.cross_entropy(2.0 * torch.tanh(hidden_RD @ weight_VD.T / 2.0), target, reduction="sum").backward()
    torch.testing.assert_close(found, hidden_RD.grad)


def test_coefficients_by_hand() -> None:
    weight, targets = np.array([1.0, 3.0]), np.array([2, 8])
    np.testing.assert_allclose(token_coefficients(weight, targets, "example"), [1 / 4, 3 / 16])
    np.testing.assert_allclose(token_coefficients(weight, targets, "token"), [1 / 10, 3 / 10])
    # Mean losses 1.5 and 0.5: (1·1.5 + 3·0.5) / 2.
    assert batch_loss(np.array([3.0, 4.0]), token_coefficients(weight, targets, "example")) == approx(1.5)


def test_weight_does_not_cancel_in_a_batch_of_one(tiny_llama: Any) -> None:
    """The mistake that others made: dividing by the sum of a micro-batch's weights."""
    model, tokenizer = tiny_llama
    rows = make_rows(tokenizer, 1)
    once, _, _ = packed_loss_and_gradients(model, rows, np.array([0.1]), [[0]], "tree")
    twice, _, _ = packed_loss_and_gradients(model, rows, np.array([0.2]), [[0]], "tree")
    assert twice == approx(2 * once, rel=1e-6)
