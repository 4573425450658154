"""Run as a script: one training of the tests in a process of its own (two devices, kills).

    python training.py OUT base=FOLDER name=NAME key=value...

``strategy``, ``devices``: the trainer. ``lora=1``: adapters with dropout. ``die_at=STEP``: kill -9 in the
middle of that step. ``die_writing=STEP``: kill -9 half-way through that step's checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tss_lab.config import SftConfig, TrainerConfig
from tss_lab.models import LocalModel, load_tokenizer
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.types import Example

torch.set_num_threads(1)  # the models here are so small that a second thread only costs
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
        "identity": {"name": "test"},
    }
    return fine_tune(
        examples=examples, local_model=as_local_model(base), sft=sft, folder=folder, **(settings | changes)
    )


def save_gradients(path: Path) -> None:
    """Writes the gradient of the first step of the trainings that follow, gathered where it is sharded."""
    from tss_lab.sft.module import WeightedTuning

    inner = getattr(WeightedTuning._clipped_norm, "inner", WeightedTuning._clipped_norm)

    def saving(self: WeightedTuning) -> float:
        gradients = {}
        for name, parameter in self.named_parameters():
            gradient: Any = parameter.grad
            gradients[name] = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient.clone()
        if self.trainer.is_global_zero and not self.curve:
            torch.save(gradients, path)
        return inner(self)

    saving.inner = inner  # type: ignore[attr-defined]
    WeightedTuning._clipped_norm = saving  # type: ignore[method-assign]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, asked: dict[str, str]) -> None:
    from tss_lab.sft import checkpoints
    from tss_lab.sft.module import WeightedTuning

    if "die_at" in asked:
        clipped = WeightedTuning._clipped_norm
        WeightedTuning._clipped_norm = lambda self: die() if len(self.curve) == int(asked["die_at"]) else clipped(self)  # type: ignore
    if "die_writing" in asked:
        save = torch.save

        def dying(content: Any, stream: Any) -> None:
            if content["global_step"] == int(asked["die_writing"]):
                stream.write(b"half of a checkpoint")
                stream.flush()
                die()
            save(content, stream)

        checkpoints.torch.save = dying  # type: ignore[assignment]
    lora = {"rank": 4, "dropout": 0.2} if "lora" in asked else None
    sizes = {name: int(asked[name]) for name in ("max_steps", "tokens_per_pack") if name in asked}
    for strategy in asked.get("strategy", "auto").split(","):
        if strategy != "auto":
            save_gradients(folder / f"{strategy}.pt")
        trainer = TrainerConfig(accelerator="cpu", devices=int(asked.get("devices", 1)), strategy=strategy)
        train(Path(asked["base"]), folder / strategy, make_sft(lora=lora, **sizes), trainer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
