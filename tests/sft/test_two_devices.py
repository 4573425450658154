"""Two CPU processes give the gradient of one, with whole copies (DDP) and with shards (FSDP).

Several packs a device and step; a head of its own (Llama) and one tied to the embeddings (Gemma 3).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training import make_sft, save_gradients, train

from tss_lab.sft.module import WeightedTuning

SCRIPT = Path(__file__).with_name("training.py")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture(scope="module", params=["llama", "gemma3"])
def base(request: pytest.FixtureRequest, tiny_model_folder: Callable[[str], Path]) -> Path:
    return tiny_model_folder(request.param)


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    folder = tmp_path_factory.mktemp("two_devices")
    root = SCRIPT.parents[2]
    launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}", str(SCRIPT)]
    arguments = [str(folder), f"base={base}", "devices=2", "strategy=ddp,fsdp", "max_steps=3", "tokens_per_pack=100"]
    done = subprocess.run(
        [sys.executable, *launch, *arguments],
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}, cwd=root,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def one_device(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    folder = tmp_path_factory.mktemp("one_device")
    inner = WeightedTuning._clipped_norm
    save_gradients(folder / "gradient.pt")
    train(base, folder / "run", make_sft(max_steps=3))
    WeightedTuning._clipped_norm = inner  # type: ignore[method-assign]
    return folder


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_gradient_is_that_of_one_device(two_devices: Path, one_device: Path, strategy: str) -> None:
    wanted = torch.load(one_device / "gradient.pt", weights_only=True)
    found = torch.load(two_devices / f"{strategy}.pt", weights_only=True)
    assert found.keys() == wanted.keys()
    apart = sum(float((found[name] - wanted[name]).double().square().sum()) for name in wanted)
    whole = sum(float(gradient.double().square().sum()) for gradient in wanted.values())
    assert (apart / whole) ** 0.5 < 1e-5


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_losses_and_model_are_those_of_one_device(two_devices: Path, one_device: Path, strategy: str) -> None:
    known, wanted = (
        json.loads((folder / "training.json").read_text()) for folder in (two_devices / strategy, one_device / "run")
    )
    for kind, name in (("curve", "loss"), ("held_out", "held_out_nll")):
        assert [e[name] for e in known[kind]] == pytest.approx([e[name] for e in wanted[kind]], rel=1e-4)
    found = load_file(two_devices / strategy / "model" / "model.safetensors")
    reference = load_file(one_device / "run" / "model" / "model.safetensors")
    for name, value in reference.items():
        torch.testing.assert_close(found[name], value, rtol=1e-2, atol=2e-4)


@pytest.mark.parametrize(("strategy", "says"), [("ddp", "### 3\n"), ("fsdp", "Not sampled: the model was sharded")])
def test_the_card_has_outputs_or_says_why_not(two_devices: Path, strategy: str, says: str) -> None:
    assert says in (two_devices / strategy / "model" / "README.md").read_text()
