"""How rows are packed: decided from the config, compared with plain passes, and given up where they differ."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training import make_examples, make_sft, train

from tss_lab.errors import ConfigError
from tss_lab.models import load_model, load_tokenizer, model_config
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.sft import fit
from tss_lab.sft.heldout import held_out_nll
from tss_lab.sft.packing import decided


def record_of(folder: Path) -> dict:
    return json.loads((folder / "training.json").read_text())


@pytest.fixture
def capped(tmp_path: Path, tiny_llama: tuple) -> Path:
    """A tiny Gemma 2, whose attention caps its scores."""
    from transformers import AutoModelForCausalLM, Gemma2Config

    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(tiny_llama[1]), hidden_size=32, intermediate_size=64, num_hidden_layers=2, head_dim=8,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=16, max_position_embeddings=1024,
        pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "capped")
    tiny_llama[1].save_pretrained(tmp_path / "capped")
    return tmp_path / "capped"


def test_a_model_that_the_tree_cannot_take_is_trained_padded(capped: Path, tmp_path: Path) -> None:
    """In scoring it goes to the plain path; training takes the packing by the same reason."""
    train(capped, tmp_path / "auto", make_sft(max_steps=2))
    train(capped, tmp_path / "padded", make_sft(max_steps=2, packing="padded"))
    assert record_of(tmp_path / "auto")["packing"] == "padded"
    assert record_of(tmp_path / "auto")["curve"] == record_of(tmp_path / "padded")["curve"]
    encoder = PromptEncoder(load_tokenizer(capped), get_template("alpaca"), 1024)
    losses = [
        held_out_nll(load_model(capped), make_examples(3), encoder, make_sft(packing=packing)).per_token
        for packing in ("auto", "padded")
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("packing", ["tree", "flat"])
def test_the_tree_is_refused_before_weights_are_loaded(
    capped: Path, tmp_path: Path, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "load_model", lambda *_: pytest.fail("weights were loaded"))
    with pytest.raises(ConfigError, match=rf"sft\.packing={packing}: gemma2 caps .* sft\.packing=auto"):
        train(capped, tmp_path, make_sft(packing=packing))


def test_dropout_of_attention_is_for_padded_rows(tiny_model_folder: Callable[[str], Path]) -> None:
    config = model_config(tiny_model_folder("llama"))
    assert decided(make_sft(), config).packing == "tree"
    config.attention_dropout = 0.1
    assert decided(make_sft(), config).packing == "padded"


@pytest.mark.usefixtures("wrong_tree_attention")
@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_a_wrong_tree_is_found_before_the_first_step(
    tmp_path: Path, tiny_llama_folder: Path, lora: dict | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(tiny_llama_folder, tmp_path / "auto", make_sft(max_steps=2, lora=lora))
    assert "rows are padded" in caplog.text
    train(tiny_llama_folder, tmp_path / "padded", make_sft(max_steps=2, lora=lora, packing="padded"))
    found, wanted = record_of(tmp_path / "auto"), record_of(tmp_path / "padded")
    assert found["packing"] == "padded"
    assert found["curve"] == wanted["curve"]
    assert found["held_out"] == wanted["held_out"]
    checked = found["metrics"]
    assert checked["sft/self_check_max_difference_per_token"] > checked["sft/self_check_tolerance_per_token"]


def test_what_was_checked_stands_in_the_record(tmp_path: Path, tiny_llama_folder: Path) -> None:
    train(tiny_llama_folder, tmp_path, make_sft(max_steps=1))
    record = record_of(tmp_path)
    assert record["packing"] == "tree"
    checked = record["metrics"]
    assert (
        0 <= checked["sft/self_check_max_difference_per_token"] < checked["sft/self_check_tolerance_per_token"] == 1e-4
    )


def test_the_check_changes_nothing(tmp_path: Path, tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the dropout of adapters, which follows from the seed, either."""
    sft = make_sft(max_steps=2, lora={"rank": 2, "dropout": 0.3})
    train(tiny_llama_folder, tmp_path / "with", sft)
    monkeypatch.setattr("tss_lab.sft.module.checked", lambda *_: (None, None))
    train(tiny_llama_folder, tmp_path / "without", sft)
    assert record_of(tmp_path / "with")["curve"] == record_of(tmp_path / "without")["curve"]
    checked, unchecked = (
        (tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("with", "without")
    )
    assert checked == unchecked
