"""What is refused before the hours of work: devices, kernels, adapters, attention, room on the disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from training import at_step, make_sft, train

from tss_lab.config import TrainerConfig
from tss_lab.errors import ConfigError, ModelError, TrainingError
from tss_lab.sft import cross_entropy, ready
from tss_lab.sft.ready import TrainingSize, refuse_training_early, room_for_training
from tss_lab.sft.sharding import prepared_outline

ON_CPU = TrainerConfig(accelerator="cpu")
PLENTY = 1 << 40


def refuse(base: Path, sft: Any, trainer: TrainerConfig = ON_CPU, room: int = PLENTY) -> None:
    refuse_training_early(sft, trainer, base, room)


@pytest.mark.parametrize("changes", [{}, {"packing": "padded"}, {"lora": {"rank": 2}}])
def test_nothing_speaks_against_a_training_that_works(tiny_llama_folder: Path, changes: Any) -> None:
    refuse(tiny_llama_folder, make_sft(**changes))


@pytest.mark.parametrize("packing", ["tree", "flat"])
def test_packing_must_fit_the_attention(tiny_llama_folder: Path, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "gemma2 caps its attention scores"
    monkeypatch.setattr("tss_lab.sft.packing.reason_against_tree", lambda *_, **__: reason)
    with pytest.raises(ConfigError, match=f"sft.packing={packing}: {reason}; take sft.packing=auto or padded"):
        refuse(tiny_llama_folder, make_sft(packing=packing))
    refuse(tiny_llama_folder, make_sft(packing="padded"))
    refuse(tiny_llama_folder, make_sft(packing="auto"))


def test_adapters_must_fit_and_be_installed(tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    with pytest.raises(ConfigError, match=r"sft.lora.target_modules=.*no_such_layer"):
        refuse(tiny_llama_folder, make_sft(lora={"target_modules": ["no_such_layer"]}))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="needs the package peft"):
        refuse(tiny_llama_folder, make_sft(lora={}))


def test_the_kernel_must_be_installed_and_have_its_device(
    tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sft, there = make_sft(cross_entropy="liger"), {"liger-kernel": "0.8.1"}

    def version(name: str) -> str:
        if name not in there:
            raise cross_entropy.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(cross_entropy, "version", version)
    monkeypatch.setattr(ready, "check_devices", lambda trainer: None)
    with pytest.raises(ConfigError, match=r"liger-kernel 0.8.1 gives wrong gradients"):
        refuse(tiny_llama_folder, sft)
    there["liger-kernel"] = "0.8.2"
    with pytest.raises(ConfigError, match="liger needs a GPU"):
        refuse(tiny_llama_folder, sft)
    refuse(tiny_llama_folder, sft, TrainerConfig(accelerator="gpu"))
    there.clear()
    with pytest.raises(ConfigError, match="needs the package liger-kernel"):
        refuse(tiny_llama_folder, sft)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"can't read .*config.json"):
        refuse(tmp_path, make_sft())


def test_bytes_on_the_disk_by_hand() -> None:
    """Ten parameters are trained and written: 40 bytes a model, 120 a checkpoint; beside them 64 MiB of small files."""
    size, small = TrainingSize(trained=10, written=10), 64 << 20
    assert size.bytes_on_disk(checkpoint_every=100, steps=100) == 40 + small  # none but the model
    assert size.bytes_on_disk(checkpoint_every=100, steps=101) == 120 + 40 + small  # one, and the model beside it
    assert size.bytes_on_disk(checkpoint_every=100, steps=201) == 2 * 120 + small  # the next, written beside the last
    assert size.bytes_on_disk(checkpoint_every=100, steps=None) == 2 * 120 + small
    adapters = TrainingSize(trained=1, written=100)
    assert adapters.bytes_on_disk(checkpoint_every=1, steps=None) == 12 + 400 + small


@pytest.mark.parametrize("lora", [None, {"rank": 2, "merge": True}, {"rank": 2, "merge": False}])
def test_a_training_writes_what_was_foreseen(tmp_path: Path, tiny_model_folder: Any, lora: Any) -> None:
    """With a tied head, which is written once. Beside the tensors files hold their names."""
    if lora:
        pytest.importorskip("peft")
    base, sft = tiny_model_folder("gemma3"), make_sft(lora=lora)
    size = TrainingSize.of(prepared_outline(base, sft, 0), sft)
    with at_step(5, lambda: float("nan")), pytest.raises(TrainingError, match="batch 5"):
        train(base, tmp_path, sft)
    (checkpoint,) = (tmp_path / "checkpoints").glob("*.ckpt")
    assert 0 < checkpoint.stat().st_size - size.checkpoint_bytes < 60_000
    train(base, tmp_path, sft)
    (model,) = (tmp_path / "model").glob("*model.safetensors")
    assert 0 < model.stat().st_size - size.model_bytes < 10_000


def test_too_little_room_is_said(tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "_SMALL_FILES", 0)
    sft = make_sft(max_steps=8, checkpoint_every=2)
    needed = 24 * TrainingSize.of(prepared_outline(tiny_llama_folder, sft, 0), sft).trained
    refuse(tiny_llama_folder, sft, room=needed)
    with pytest.raises(TrainingError, match=r"the disk has 0.0 GB left; free some room, set paths.runs"):
        refuse(tiny_llama_folder, sft, room=needed - 1)


def test_room_counts_what_a_resume_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Disk:
        free = 1000

    monkeypatch.setattr(ready.shutil, "disk_usage", lambda path: Disk)
    folder = tmp_path / "not" / "there" / "yet"
    assert room_for_training(folder) == 1000
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "step-00000002.ckpt").write_bytes(b"x" * 20)
    (folder / "checkpoints" / ".step-00000004.ckpt.0.tmp").write_bytes(b"x" * 3)
    assert room_for_training(folder) == 1023
