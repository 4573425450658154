"""Dropout in training is what the model's config and ``sft.lora.dropout`` say; there is none in a held-out loss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from training import make_examples, make_sft, train

from tss_lab.models import load_model, load_tokenizer
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.sft.heldout import held_out_nll
from tss_lab.sft.module import WeightedTuning


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, tiny_llama_folder: Path) -> Path:
    """Tiny Llama whose config drops a quarter of the attention."""
    folder = tmp_path_factory.mktemp("dropping") / "model"
    shutil.copytree(tiny_llama_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.25}))
    return folder


class Calls:
    """Which shares were dropped, in attention and elsewhere, while the model trained and while it didn't."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.attention: dict[bool, set[float]] = {True: set(), False: set()}
        self.elsewhere: dict[bool, set[float]] = {True: set(), False: set()}
        self.trains = False
        attend, drop, step = (
            torch.nn.functional.scaled_dot_product_attention,
            torch.nn.functional.dropout,
            WeightedTuning.training_step,
        )

        def attending(*given: Any, **named: Any) -> Any:
            self.attention[self.trains].add(named.get("dropout_p", 0.0))
            return attend(*given, **named)

        def dropping(value: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
            self.elsewhere[self.trains].add(p if training else 0.0)
            return drop(value, p, training, inplace)

        def stepping(module: WeightedTuning, *given: Any) -> None:
            self.trains = True
            with monkeypatch.context() as held_out:
                held_out.setattr(WeightedTuning, "_take_held_out", lambda *_: None)
                step(module, *given)
            self.trains = False

        monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attending)
        monkeypatch.setattr(torch.nn.functional, "dropout", dropping)
        monkeypatch.setattr(WeightedTuning, "training_step", stepping)


@pytest.mark.parametrize("packing", ["tree", "flat", "padded"])
def test_dropout_is_what_the_configs_say(
    tmp_path: Path, base: Path, tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    """The model's own attention drops; adapters drop whatever the packing."""
    pytest.importorskip("peft")
    calls = Calls(monkeypatch)
    lora = {"rank": 2, "dropout": 0.3, "target_modules": ["q_proj"]}
    model, dropped = (base, 0.25) if packing == "padded" else (tiny_llama_folder, 0.0)
    train(model, tmp_path, make_sft(max_steps=2, packing=packing, lora=lora))
    assert calls.attention == {True: {dropped}, False: {0.0}}
    assert calls.elsewhere == {True: {0.3}, False: {0.0}}


def test_recomputed_activations_drop_the_same(tmp_path: Path, base: Path) -> None:
    """Gradient checkpointing repeats a forward pass; its dropout must repeat too."""
    curves = [
        train(base, tmp_path / str(again), make_sft(max_steps=3, packing="padded", gradient_checkpointing=again)).curve
        for again in (False, True)
    ]
    assert [e["gradient_norm"] for e in curves[1]] == pytest.approx([e["gradient_norm"] for e in curves[0]], rel=1e-5)


def test_a_held_out_loss_leaves_the_model_as_it_was(base: Path) -> None:
    """Asked twice of a model in evaluation mode, it is the same number, and no dropout is on afterwards."""
    model = load_model(base)
    encoder = PromptEncoder(load_tokenizer(base), get_template("alpaca"), 1024)
    losses = [held_out_nll(model, make_examples(4), encoder, make_sft(packing="padded")).per_token for _ in range(2)]
    assert losses[0] == losses[1]
    assert not model.training
