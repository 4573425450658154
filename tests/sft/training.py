"""Run as a script: trainings of the tests in a process of their own (two devices, kills).

    python training.py '[{"base": FOLDER, "folder": FOLDER, ...}, ...]'

Of each job ``sft`` and ``trainer`` are settings beside the tests' usual ones. ``die_at=STEP``: kill -9 in the
middle of that step. ``die_writing=STEP``: kill -9 half-way through that step's checkpoint. ``stop_at=STEP``: the
training is stopped by an error in that step, and then called again; with ``damaged=1`` its checkpoint is cut before,
and what is said goes to ``said-RANK.txt``. ``kept_copies=1``: ``weight_copies_kept``. Under
``trainer=fsdp`` no process but the first may read the model.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tss_lab.config import SftConfig, TrainerConfig
from tss_lab.models import LocalModel, load_tokenizer
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.types import Example

torch.set_num_threads(1)  # the models here are so small that a second thread only costs
SCRIPT = Path(__file__)
WORDS = ("red", "green", "blue", "cat", "mat", "Rome", "capital", "Italy")


def make_examples(count: int, seed: int = 0) -> list[Example]:
    """Examples of different lengths, every other one with an input."""
    rng = np.random.default_rng(seed)
    return [
        Example(
            example_id=f"example-{seed}-{i}",
            instruction=f"List {WORDS[i % 8]} and {WORDS[i % 3]}",
            input="" if i % 2 else " ".join(rng.choice(WORDS, size=1 + i % 4)),
            output=" ".join(rng.choice(WORDS, size=1 + (i * 5) % 13)),
        )
        for i in range(count)
    ]


def make_weights(count: int) -> np.ndarray:
    return np.random.default_rng(7).uniform(0.1, 3.0, count)


def make_sft(**changes: Any) -> SftConfig:
    settings: dict[str, Any] = {
        "learning_rate": 3e-3,
        "max_steps": 8,
        "batch_size": 8,
        "tokens_per_pack": 256,
        "checkpoint_every": 2,
    }
    return SftConfig(**(settings | changes))


def as_local_model(folder: Path) -> LocalModel:
    return LocalModel("tiny", folder, "0" * 64, "1" * 64, "none")


def train(base: Path, folder: Path, sft: SftConfig, trainer: TrainerConfig | None = None, **changes: Any) -> Any:
    """``fine_tune`` on 20 examples; whatever isn't given is the same for all tests."""
    from tss_lab.sft.fit import fine_tune

    examples = changes.pop("examples", None) or make_examples(20)
    settings: dict[str, Any] = {
        "weight_N": make_weights(len(examples)),
        "held_out": make_examples(6, seed=1),
        "encoder": PromptEncoder(load_tokenizer(base), get_template("alpaca"), 1024),
        "trainer": trainer or TrainerConfig(accelerator="cpu"),
        "seed": 3,
        "loggers": [],
    }
    return fine_tune(
        examples=examples, local_model=as_local_model(base), sft=sft, folder=folder, **(settings | changes)
    )


def full(tensor: Any) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor.detach().clone()


@contextlib.contextmanager
def saving_gradients(path: Path) -> Iterator[None]:
    """Writes the gradient of the first step to ``path``, gathered where it is sharded; of trained parameters only."""
    from tss_lab.sft.module import WeightedTuning

    inner = WeightedTuning._clipped_norm

    def saving(self: WeightedTuning) -> float:
        if not self.curve:
            known = {name: full(p.grad) for name, p in self.named_parameters() if p.grad is not None}
            if self.trainer.is_global_zero:
                torch.save(known, path)
        return inner(self)

    with swapped(WeightedTuning, "_clipped_norm", saving):
        yield


@contextlib.contextmanager
def at_step(step: int, what: Any) -> Iterator[None]:
    """Calls ``what`` in the middle of step ``step``, its gradient made and not applied."""
    from tss_lab.sft.module import WeightedTuning

    inner = WeightedTuning._clipped_norm
    with swapped(WeightedTuning, "_clipped_norm", lambda self: what() if len(self.curve) == step else inner(self)):
        yield


@contextlib.contextmanager
def swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def weight_copies_kept(path: Path) -> Iterator[None]:
    """Writes the bytes of layer matrices that a forward pass keeps for its backward to ``path``."""
    from tss_lab.sft.inputs import TargetModel

    inner, figures = TargetModel.forward, []

    def counting(self: TargetModel, *arguments: Any) -> Any:
        shapes = [p.shape for name, p in self.named_parameters() if ".layers." in name and p.ndim == 2]
        kept: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.shape in shapes or tensor.shape[::-1] in shapes:
                kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            found = inner(self, *arguments)
        # What FSDP gathered and gave back again has no bytes now.
        figures.append({"bytes": sum(storage.nbytes() for storage in kept.values()), "seen": len(kept)})
        return found

    with swapped(TargetModel, "forward", counting):
        yield
    path.write_text(json.dumps(figures))


def no_further_copy(*_: Any, **__: Any) -> None:
    raise AssertionError("a process that isn't the first reads the model")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def saving_that_dies_at(step: int) -> Any:
    save = torch.save

    def dying(content: Any, stream: Any) -> None:
        if content["global_step"] == step:
            stream.write(b"half of a checkpoint")
            stream.flush()
            die()
        save(content, stream)

    return dying


def damage(folder: Path) -> None:
    """Cuts the newest checkpoint, by the first process alone, before any reads it."""
    from tss_lab.sft.checkpoints import newest_checkpoint

    path = newest_checkpoint(folder)
    assert path is not None
    if os.environ["RANK"] == "0":
        path.write_bytes(path.read_bytes()[:2000])
    torch.distributed.barrier()


def run_job(job: dict[str, Any]) -> None:
    from tss_lab.errors import TrainingError
    from tss_lab.sft import checkpoints, fit

    folder = Path(job["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    sft, trainer = make_sft(**job.get("sft", {})), TrainerConfig(**({"accelerator": "cpu"} | job.get("trainer", {})))
    with contextlib.ExitStack() as patched:
        if trainer.strategy == "fsdp" and os.environ.get("RANK", "0") != "0":
            patched.enter_context(swapped(fit, "load_model", no_further_copy))
        if "kept_copies" in job:
            patched.enter_context(weight_copies_kept(folder / f"kept-{os.environ.get('RANK', '0')}.json"))
        patched.enter_context(saving_gradients(folder / "gradient.pt"))
        if "die_at" in job:
            patched.enter_context(at_step(job["die_at"], die))
        if "die_writing" in job:
            patched.enter_context(swapped(checkpoints.torch, "save", saving_that_dies_at(job["die_writing"])))
        if "stop_at" in job:
            with at_step(job["stop_at"], lambda: np.nan), contextlib.suppress(TrainingError):
                train(Path(job["base"]), folder, sft, trainer)
            assert not (folder / "model").exists()
        if job.get("damaged"):
            damage(folder)
            try:
                train(Path(job["base"]), folder, sft, trainer)
            except TrainingError as error:
                (folder / f"said-{os.environ['RANK']}.txt").write_text(str(error))
            return
        train(Path(job["base"]), folder, sft, trainer)


if __name__ == "__main__":
    for asked in json.loads(sys.argv[1]):
        run_job(asked)
