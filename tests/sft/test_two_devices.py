"""Two CPU processes train as one does, with whole copies (DDP) and with shards (FSDP).

Several packs a device and step; models that name their layers otherwise, that tie their head to the embeddings,
that have parts which text never meets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import BUILDERS, saved_model
from safetensors.torch import load_file
from training import SCRIPT, make_examples, make_sft, make_weights, run_job

from tss_lab.models import load_model, load_tokenizer
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.sft.inputs import TargetModel, attention_for, step_batch
from tss_lab.sft.plan import plan_training

STRATEGIES = ("ddp", "fsdp")
WITH_ADAPTERS = ("llama", "gemma3_vision")
IN_BF16 = ("llama", "gemma3_vision")
TWO_PACKS = {"max_steps": 2, "tokens_per_pack": 100}
ADAPTERS: dict[str, Any] = {"lora": {"rank": 4}}
RESUMED: dict[str, dict[str, Any]] = {
    "gemma3": {"tokens_per_pack": 100},
    "llama": {"tokens_per_pack": 100, "lora": {"rank": 2, "dropout": 0.3}},
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: saved_model(name, tmp_path_factory.mktemp(name)) for name in BUILDERS}


def launch(jobs: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """The jobs, one after the other, by two processes together."""
    root = SCRIPT.parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(SCRIPT)]
    return subprocess.run(
        [*command, json.dumps(jobs)],
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}, cwd=root,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def job_of(base: Path, folder: Path, sft: dict[str, Any], strategy: str, **further: Any) -> dict[str, Any]:
    trainer = {"strategy": strategy, "devices": 2, "precision": further.pop("precision", "32-true")}
    return {"base": str(base), "folder": str(folder), "sft": sft, "trainer": trainer, **further}


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("two_devices")
    jobs = []
    for strategy in STRATEGIES:
        jobs += [job_of(bases[name], folder / f"{name}-{strategy}", TWO_PACKS, strategy) for name in BUILDERS]
        jobs += [
            job_of(bases[name], folder / f"{name}-{strategy}-adapters", TWO_PACKS | ADAPTERS, strategy)
            for name in WITH_ADAPTERS
        ]
    for name in IN_BF16:
        jobs.append(
            job_of(bases[name], folder / f"{name}-bf16", TWO_PACKS, "fsdp", precision="bf16-mixed", kept_copies=1)
        )
    for name, sft in RESUMED.items():
        jobs.append(job_of(bases[name], folder / f"{name}-unbroken", sft, "fsdp"))
        jobs.append(job_of(bases[name], folder / f"{name}-stopped", sft, "fsdp", stop_at=5))
    jobs.append(job_of(bases["gemma3"], folder / "damaged", RESUMED["gemma3"], "fsdp", stop_at=3, damaged=1))
    killed = job_of(bases["gemma3"], folder / "gemma3-killed", RESUMED["gemma3"], "fsdp")
    assert launch([killed | {"die_at": 5}]).returncode != 0
    assert [path.name for path in folder.glob("*/checkpoints/*")] == ["step-00000004.ckpt"]
    done = launch([killed, *jobs])
    assert done.returncode == 0, done.stderr[-30000:]
    return folder


@pytest.fixture(scope="module")
def one_device(tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("one_device")
    for name, base in bases.items():
        run_job({"base": base, "folder": folder / name, "sft": {"max_steps": 2}})
    for name in WITH_ADAPTERS:
        run_job({"base": bases[name], "folder": folder / f"{name}-adapters", "sft": {"max_steps": 2} | ADAPTERS})
    for name in IN_BF16:
        run_job({
            "base": bases[name], "folder": folder / f"{name}-bf16",
            "sft": {"max_steps": 2}, "trainer": {"precision": "bf16-mixed"},
        })  # fmt: skip
    return folder


def gradient(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / "gradient.pt", weights_only=True)
    return found


def apart(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    """Norm of the difference over the norm, of all parameters together."""
    assert found.keys() == wanted.keys()
    difference = sum(float((found[name] - wanted[name]).double().square().sum()) for name in wanted)
    return float((difference / sum(float(value.double().square().sum()) for value in wanted.values())) ** 0.5)


def model_of(folder: Path) -> Path:
    return folder / "model" / "model.safetensors"


RUNS = [*BUILDERS, *(f"{name}-adapters" for name in WITH_ADAPTERS)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("run", RUNS)
def test_gradient_is_that_of_one_device(two_devices: Path, one_device: Path, run: str, strategy: str) -> None:
    name, _, adapters = run.partition("-")
    found = gradient(two_devices / "-".join(filter(None, (name, strategy, adapters))))
    assert apart(found, gradient(one_device / run)) < 1e-5


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("run", RUNS)
def test_losses_and_model_are_those_of_one_device(two_devices: Path, one_device: Path, run: str, strategy: str) -> None:
    name, _, adapters = run.partition("-")
    folders = two_devices / "-".join(filter(None, (name, strategy, adapters))), one_device / run
    known, wanted = (json.loads((folder / "training.json").read_text()) for folder in folders)
    for kind, figure in (("curve", "loss"), ("held_out", "held_out_nll")):
        assert [e[figure] for e in known[kind]] == pytest.approx([e[figure] for e in wanted[kind]], rel=1e-4)
    found, reference = (load_file(model_of(folder)) for folder in folders)
    assert found.keys() == reference.keys()
    for tensor, value in reference.items():
        if tensor.endswith(("k_proj.bias", "c_attn.bias")):
            continue  # what all keys have in common drops out of the softmax: AdamW makes steps of rounding there
        torch.testing.assert_close(found[tensor], value, rtol=1e-2, atol=2e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_text_never_meets_is_left_alone(two_devices: Path, bases: dict[str, Path], strategy: str) -> None:
    """The vision tower and its projector have no gradient and no adapters, and come out as they went in."""
    before = load_file(bases["gemma3_vision"] / "model.safetensors")
    for run in (f"gemma3_vision-{strategy}", f"gemma3_vision-{strategy}-adapters"):
        assert not [name for name in gradient(two_devices / run) if "vision" in name or "projector" in name]
        after = load_file(model_of(two_devices / run))
        seeing = {name for name in before if "vision" in name or "projector" in name}
        assert len(seeing) > 30
        assert all(torch.equal(before[name], after[name]) for name in seeing)
        trained = "language_model.model.layers.0.mlp.up_proj.weight"
        assert not torch.equal(before[trained], after[trained])


def bf16_gradient(base: Path) -> dict[str, torch.Tensor]:
    """By hand in one process: parameters in bfloat16, the packs of both devices, their sums in float32."""
    sft, model = make_sft(packing="tree", **TWO_PACKS), load_model(base).train()
    encoder = PromptEncoder(load_tokenizer(base), get_template("alpaca"), 1024)
    plan = plan_training(make_examples(20), make_weights(20), encoder, sft, seed=3)
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    target, total = TargetModel(model, sft), {}
    with attention_for(model, sft):
        for batch in (step_batch(plan, 0, sft, rank, 2) for rank in range(2)):
            for pack in batch.packs:
                target.zero_grad()
                target(pack, torch.tensor(batch.coefficient_B, dtype=torch.float32))[0].backward()
                for name, parameter in target.named_parameters():
                    if parameter.grad is not None:
                        total[f"target_model.{name}"] = total.get(f"target_model.{name}", 0.0) + parameter.grad.float()
    return total


@pytest.mark.parametrize("name", IN_BF16)
def test_shards_in_bf16(two_devices: Path, one_device: Path, bases: dict[str, Path], name: str) -> None:
    """Layers are gathered and used in bfloat16, gradients summed up in float32; no layer is kept for the backward.

    The gradient is about as far from float32's as that of one device, which keeps what passes between the layers
    in float32: measured 1.0 to 2.4 times as far.
    """
    found = gradient(two_devices / f"{name}-bf16")
    assert apart(found, bf16_gradient(bases[name])) < 1e-5
    exact, mixed = gradient(one_device / name), gradient(one_device / f"{name}-bf16")
    assert 0 < apart(found, exact) < 3 * apart(mixed, exact)
    for rank in range(2):
        figures = json.loads((two_devices / f"{name}-bf16" / f"kept-{rank}.json").read_text())
        assert max(entry["seen"] for entry in figures) >= 21  # three layers of seven matrices
        assert not [entry for entry in figures if entry["bytes"]]


@pytest.mark.parametrize("broken", ["gemma3-stopped", "llama-stopped", "gemma3-killed"])
def test_a_broken_training_on_shards_goes_on_to_the_same_weights(two_devices: Path, broken: str) -> None:
    """Stopped by an error or by kill -9 of both processes in the middle of step 5, after a checkpoint of step 4:
    a tied head comes back as it was, as do adapters with dropout.
    """
    name, _, _ = broken.partition("-")
    folders = two_devices / broken, two_devices / f"{name}-unbroken"
    found, wanted = (model_of(folder).read_bytes() for folder in folders)
    assert found == wanted
    known, unbroken = (json.loads((folder / "training.json").read_text()) for folder in folders)
    assert known["curve"] == unbroken["curve"]


def test_a_damaged_checkpoint_is_named_by_every_process(two_devices: Path) -> None:
    for rank in (0, 1):
        said = (two_devices / "damaged" / f"said-{rank}.txt").read_text()
        assert "step-00000002.ckpt can't be read" in said
        assert "delete it and run the same command again" in said


@pytest.mark.parametrize(("strategy", "says"), [("ddp", "### 3\n"), ("fsdp", "Not sampled: the model was sharded")])
def test_the_card_has_outputs_or_says_why_not(two_devices: Path, strategy: str, says: str) -> None:
    assert says in (model_of(two_devices / f"gemma3-{strategy}").parent / "README.md").read_text()
