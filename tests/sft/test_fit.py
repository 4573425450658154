"""Whole trainings on a tiny model: result, resume after a kill, reuse, export, and what stops them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training import SCRIPT, make_examples, make_sft, make_weights, train

from tss_lab.config import TrainerConfig
from tss_lab.errors import ConfigError, ModelError, TrainingError
from tss_lab.models import load_model, load_tokenizer
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.sft.heldout import held_out_nll
from tss_lab.sft.module import WeightedTuning

ROOT = SCRIPT.parents[2]


def run(folder: Path, base: Path, **job: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), json.dumps([{"folder": str(folder), "base": str(base), **job}])]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def weights_of(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, tiny_llama_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    train(tiny_llama_folder, folder, make_sft())
    return folder


def test_a_training_learns_and_is_loadable(tmp_path: Path, tiny_llama_folder: Path) -> None:
    result = train(
        tiny_llama_folder, tmp_path, make_sft(max_steps=20, validate_every=10), card={"data": {"name": "a|b\n<i>"}}
    )
    assert [entry["step"] for entry in result.held_out] == [0, 10, 20]
    assert result.metrics["sft/held_out_nll"] < result.metrics["sft/held_out_nll_before"] - 1
    assert len(result.curve) == 20
    assert result.curve[-1]["target_tokens"] == result.metrics["sft/target_tokens"]
    encoder = PromptEncoder(load_tokenizer(result.model_folder), get_template("alpaca"), 1024)
    again = held_out_nll(load_model(result.model_folder), make_examples(6, seed=1), encoder, make_sft(packing="padded"))
    assert again.per_token == pytest.approx(result.metrics["sft/held_out_nll"], rel=1e-5)
    assert not list(tmp_path.glob("checkpoints/*"))
    assert "| data.name | a\\|b &lt;i> |" in (result.model_folder / "README.md").read_text()


def test_same_seed_same_bits(tmp_path: Path, tiny_llama_folder: Path) -> None:
    sft = make_sft(max_steps=3)
    for name in ("first", "second"):
        train(tiny_llama_folder, tmp_path / name, sft)
    train(tiny_llama_folder, tmp_path / "other", sft, seed=4)
    assert weights_of(tmp_path / "first") == weights_of(tmp_path / "second")
    assert weights_of(tmp_path / "first") != weights_of(tmp_path / "other")


def test_kill_and_resume_gives_the_same_bits(tmp_path: Path, tiny_llama_folder: Path, unbroken: Path) -> None:
    """kill -9 in the middle of step 5, then half-way through writing a checkpoint, then to the end."""
    assert run(tmp_path, tiny_llama_folder, die_at=5).returncode == -9
    assert [path.name for path in tmp_path.glob("checkpoints/*")] == ["step-00000004.ckpt"]
    assert run(tmp_path, tiny_llama_folder, die_writing=6).returncode == -9
    assert sorted(path.suffix for path in tmp_path.glob("checkpoints/*")) == [".ckpt", ".tmp"]
    finished = run(tmp_path, tiny_llama_folder)
    assert finished.returncode == 0, finished.stderr
    assert weights_of(tmp_path) == weights_of(unbroken)
    known, wanted = (json.loads((path / "training.json").read_text()) for path in (tmp_path, unbroken))
    assert known["curve"] == wanted["curve"]
    assert known["held_out"] == wanted["held_out"]


def test_resume_of_adapters_with_dropout(
    tmp_path: Path, tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout repeats, and checkpoints hold the adapters only."""
    pytest.importorskip("peft")
    sft = make_sft(lora={"rank": 2, "dropout": 0.3})
    train(tiny_llama_folder, tmp_path / "unbroken", sft)
    with monkeypatch.context() as patch:
        patch.setattr(WeightedTuning, "_clipped_norm", lambda self: np.nan if len(self.curve) == 5 else 1.0)
        with pytest.raises(TrainingError, match="gradient of batch 5"):
            train(tiny_llama_folder, tmp_path / "broken", make_sft(lora={"rank": 2, "dropout": 0.3}, gradient_clip=0))
    sft = make_sft(lora={"rank": 2, "dropout": 0.3}, gradient_clip=0)
    train(tiny_llama_folder, tmp_path / "unclipped", sft)
    (checkpoint,) = (tmp_path / "broken" / "checkpoints").glob("*.ckpt")
    names = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert names
    assert all("lora_" in name for name in names)
    train(tiny_llama_folder, tmp_path / "broken", sft)
    assert weights_of(tmp_path / "broken") == weights_of(tmp_path / "unclipped")


def test_adapters_apart_and_merged_agree(tmp_path: Path, tiny_llama_folder: Path) -> None:
    pytest.importorskip("peft")
    ids = torch.tensor([[2, 40, 41, 42]])
    logits = []
    for merge in (True, False):
        result = train(
            tiny_llama_folder, tmp_path / str(merge), make_sft(max_steps=3, lora={"rank": 2, "merge": merge})
        )
        logits.append(load_model(result.model_folder)(ids).logits)
    assert not (tmp_path / "False" / "model" / "model.safetensors").exists()
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits[0], load_model(tiny_llama_folder)(ids).logits, atol=1e-3)


def test_frozen_embeddings_stay(tmp_path: Path, tiny_model_folder: Any) -> None:
    base = tiny_model_folder("gemma3")
    result = train(base, tmp_path, make_sft(max_steps=2, train_embeddings=False))
    before, after = load_file(base / "model.safetensors"), load_file(result.model_folder / "model.safetensors")
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {"model.embed_tokens.weight"}


@pytest.mark.parametrize(
    "changes", [{"packing": "padded"}, {"packing": "flat"}, {"gradient_checkpointing": True}, {"tokens_per_pack": 4000}]
)
def test_memory_settings_do_not_change_the_training(
    tmp_path: Path, tiny_llama_folder: Path, unbroken: Path, changes: Any
) -> None:
    result = train(tiny_llama_folder, tmp_path, make_sft(**changes))
    wanted = json.loads((unbroken / "training.json").read_text())["curve"]
    assert [entry["loss"] for entry in result.curve] == pytest.approx([entry["loss"] for entry in wanted], rel=1e-4)


def test_mixed_precision_stays_close(tmp_path: Path, tiny_llama_folder: Path, unbroken: Path) -> None:
    result = train(tiny_llama_folder, tmp_path, make_sft(), TrainerConfig(accelerator="cpu", precision="bf16-mixed"))
    wanted = json.loads((unbroken / "training.json").read_text())["curve"]
    assert result.curve[0]["loss"] != wanted[0]["loss"]
    assert [entry["loss"] for entry in result.curve] == pytest.approx([entry["loss"] for entry in wanted], rel=0.03)


def test_a_finished_training_is_reused_and_another_refused(tmp_path: Path, tiny_llama_folder: Path) -> None:
    sft = make_sft(max_steps=2)
    first = train(tiny_llama_folder, tmp_path, sft)
    again = train(tiny_llama_folder, tmp_path, sft)
    assert (first.reused, again.reused) == (False, True)
    assert again.metrics == first.metrics
    with pytest.raises(TrainingError, match=r"differs in sft.*run_name"):
        train(tiny_llama_folder, tmp_path, make_sft(max_steps=2, weight_decay=0.5))
    with pytest.raises(TrainingError, match="differs in training_set"):
        train(tiny_llama_folder, tmp_path, sft, weight_N=make_weights(20)[::-1])


def test_a_foreign_checkpoint_is_refused(tmp_path: Path, tiny_llama_folder: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-00000002.ckpt").write_bytes(b"from somewhere")
    with pytest.raises(TrainingError, match="unknown training"):
        train(tiny_llama_folder, tmp_path, make_sft())


def test_an_altered_checkpoint_is_named(
    tmp_path: Path, tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(WeightedTuning, "_clipped_norm", lambda self: np.nan if len(self.curve) == 5 else 1.0)
        with pytest.raises(TrainingError):
            train(tiny_llama_folder, tmp_path, make_sft())
    checkpoint = tmp_path / "checkpoints" / "step-00000004.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    with pytest.raises(TrainingError, match=r"step-00000004.ckpt can't be read.*delete it"):
        train(tiny_llama_folder, tmp_path, make_sft())


def test_a_loss_that_is_not_a_number_names_batch_and_examples(
    tmp_path: Path, tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model breaks at step 5: the checkpoint of step 4 stays, and no step is made after it."""
    from tss_lab.sft.inputs import TargetModel

    forward, culprits = TargetModel.forward, []

    def breaking(self: Any, pack: Any, coefficient_B: torch.Tensor) -> Any:
        loss, nll_R = forward(self, pack, coefficient_B)
        step = module[-1].curve[-1]["step"] if module and module[-1].curve else 0
        if step == 5 and not culprits:
            culprits.append(int(pack.row_R[0]))
            nll_R = torch.where(torch.from_numpy(pack.row_R) == culprits[0], torch.nan, nll_R)
        return loss, nll_R

    module: list[WeightedTuning] = []
    start = WeightedTuning.on_train_start
    monkeypatch.setattr(WeightedTuning, "on_train_start", lambda self: (module.append(self), start(self))[1])
    monkeypatch.setattr(TargetModel, "forward", breaking)
    with pytest.raises(TrainingError) as error:
        train(tiny_llama_folder, tmp_path, make_sft())
    name = module[0].plan.rows[module[0].plan.order.rows_of_step(5)[culprits[0]]].example_id
    assert f"the loss of batch 5 is not a finite number (examples {name})" in str(error.value)
    assert [path.name for path in tmp_path.glob("checkpoints/*")] == ["step-00000004.ckpt"]
    assert not (tmp_path / "model").exists()


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, tiny_llama_folder: Path) -> None:
    """No file may grow beyond 300 kB: the checkpoint (650 kB) can't be written, and none of it stays."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(TrainingError, match="can't write the checkpoint"):
            train(tiny_llama_folder, tmp_path, make_sft())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "checkpoints").glob("*"))


def test_absent_devices_and_kernels_are_said_so(tmp_path: Path, tiny_llama_folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="trainer=cpu"):
        train(tiny_llama_folder, tmp_path / "gpu", make_sft(), TrainerConfig(accelerator="gpu"))
    with pytest.raises((ConfigError, ModelError), match="liger"):
        train(tiny_llama_folder, tmp_path / "liger", make_sft(cross_entropy="liger"))
    with pytest.raises(ConfigError, match="target_modules"):
        train(tiny_llama_folder, tmp_path / "lora", make_sft(lora={"target_modules": ["no_such_layer"]}))
