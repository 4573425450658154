"""A likelihood pass in a process of its own, for the tests that kill it or run several at once.

python -m tests.scoring.pass_process kill MODEL SCRATCH KILLS   many passes, each but the last shot down
python -m tests.scoring.pass_process both MODEL SCRATCH NUMBER  so many passes at the same time
python -m tests.scoring.pass_process pass MODEL SCRATCH DEVICES one pass; prints its counts as JSON
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytorch_lightning
import torch

from tests.scoring.conftest import Bench
from tss_lab.config import TrainerConfig
from tss_lab.scoring import compute_likelihoods

NUM_EXAMPLES = 12


def one_pass(folder: Path, scratch: Path, devices: int = 1) -> dict[str, object]:
    bench = Bench(folder, scratch, pairs_per_shard=1, tokens_per_pack=100)
    trainer = TrainerConfig(accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto")
    plan = bench.plan(NUM_EXAMPLES)
    done = compute_likelihoods(plan, bench.local, bench.encoder, bench.scoring, trainer, bench.store)
    return {"computed": done.num_computed, "resumed": done.num_resumed, "forwards": done.num_forwards}


def _shards(scratch: Path) -> int:
    return len(list(scratch.glob("store/*/*/part-*")))


def killed_passes(folder: Path, scratch: Path, kills: int) -> list[int]:
    """Shoots down ``kills`` passes at random moments, then lets one finish; shards there after each.

    Each pass is a fork of this process, which never touches the store itself, so that a try takes
    milliseconds after the imports.
    """
    seen = []
    random.seed(0)
    for attempt in range(kills + 1):
        child = os.fork()
        if child == 0:
            one_pass(folder, scratch)
            os._exit(0)
        if attempt < kills:
            enough = _shards(scratch) + random.randint(0, 4)
            while _shards(scratch) < enough:
                time.sleep(0.001)
            time.sleep(random.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        seen.append(_shards(scratch))
    if status != 0:
        raise SystemExit(f"the last pass ended with status {status}")
    return seen


def simultaneous_passes(folder: Path, scratch: Path, number: int) -> list[int]:
    """Pairs that each of several passes on one store computed."""
    children = []
    for index in range(number):
        child = os.fork()
        if child == 0:
            (scratch / f"{index}.json").write_text(json.dumps(one_pass(folder, scratch)["computed"]))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return [json.loads((scratch / f"{index}.json").read_text()) for index in range(number)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    pytorch_lightning.seed_everything(0)
    what, model, folder, number = sys.argv[1:]
    if what == "kill":
        print(json.dumps(killed_passes(Path(model), Path(folder), int(number))))  # noqa: T201
    elif what == "both":
        print(json.dumps(simultaneous_passes(Path(model), Path(folder), int(number))))  # noqa: T201
    else:
        print(json.dumps(one_pass(Path(model), Path(folder), int(number))))  # noqa: T201
