"""A likelihood pass in a process of its own, for the tests that kill it or run several at once.

python -m tests.scoring.pass_process kill MODEL SCRATCH MOMENT...  a pass a moment (see DEATHS), and one to the end
python -m tests.scoring.pass_process both MODEL SCRATCH NUMBER     so many passes at the same time
python -m tests.scoring.pass_process wait MODEL SCRATCH DEVICES    one pass; says so whenever it isn't its turn

Results are printed as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch

from tests.scoring.conftest import Bench
from tss_lab.config import TrainerConfig
from tss_lab.engine.score import Scorer
from tss_lab.scoring import compute_likelihoods, turn
from tss_lab.store import Artifact, artifact

NUM_EXAMPLES = 12


def say(line: str) -> None:
    """Prints a line by one write, so that the lines of two processes on one pipe don't mix."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def one_pass(folder: Path, scratch: Path, devices: int = 1) -> dict[str, object]:
    bench = Bench(folder, scratch, pairs_per_shard=1, tokens_per_pack=100)
    trainer = TrainerConfig(accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto")
    plan = bench.plan(NUM_EXAMPLES)
    done = compute_likelihoods(plan, bench.local, bench.encoder, bench.scoring, trainer, bench.store)
    return {"computed": done.num_computed, "resumed": done.num_resumed, "forwards": done.num_forwards}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(owner: Any, name: str, call: int, leaving: Callable[..., object] = lambda *_: None) -> None:
    """From now on the ``call``-th call of ``owner.name`` is the last thing this process does, after ``leaving``."""
    original, calls = getattr(owner, name), []

    def replaced(*arguments: Any, **settings: Any) -> Any:
        calls.append(name)
        if len(calls) == call:
            leaving(*arguments)
            die()
        return original(*arguments, **settings)

    setattr(owner, name, replaced)


def _half(path: Path, content: bytes) -> None:
    (path.parent / f".{path.name}.0.tmp").write_bytes(content[: len(content) // 2])


DEATHS: dict[str, Callable[[int], None]] = {
    "forward": lambda call: die_at(
        Scorer, "token_logprobs", call + 1
    ),  # before that pack; the self-check's is the first
    "shard": lambda call: die_at(Artifact, "append", call),  # computed, and not yet written
    "half": lambda call: die_at(artifact, "write_atomic", call, _half),  # in the middle of writing, under the lock
    "manifest": lambda call: die_at(Artifact, "write_manifest", call),  # when all is stored
}
"""Moments of a pass, each with the number of the call at which it comes."""


def killed_passes(folder: Path, scratch: Path, moments: list[str]) -> list[int]:
    """A pass that dies at each moment, such as ``shard:3``, then one to the end; shards there after each.

    Each pass is a fork of this process, which never touches the store itself, so that a try takes
    milliseconds after the imports.
    """
    seen = []
    for moment in [*moments, ""]:
        child = os.fork()
        if child == 0:
            if moment:
                kind, call = moment.split(":")
                DEATHS[kind](int(call))
            one_pass(folder, scratch)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != (signal.SIGKILL if moment else 0):
            raise SystemExit(f"the pass with {moment or 'no death'} ended with status {status}")
        seen.append(len(list(scratch.glob("store/*/*/part-*"))))
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


def waiting_pass(folder: Path, scratch: Path, devices: int) -> dict[str, object]:
    """A pass that prints ``waiting RANK`` whenever the group has agreed that it isn't its turn."""
    turn.BEAT_SECONDS = 0.0
    agreed = pytorch_lightning.strategies.DDPStrategy.broadcast

    def telling(self: Any, value: Any, src: int = 0) -> Any:
        found = agreed(self, value, src)
        if found is False:
            say(f"waiting {self.global_rank}")
        return found

    pytorch_lightning.strategies.DDPStrategy.broadcast = telling  # type: ignore[method-assign, assignment]
    return one_pass(folder, scratch, devices)


if __name__ == "__main__":
    torch.set_num_threads(1)
    pytorch_lightning.seed_everything(0)
    what, model, place, *rest = sys.argv[1:]
    if what == "kill":
        result: object = killed_passes(Path(model), Path(place), rest)
    elif what == "both":
        result = simultaneous_passes(Path(model), Path(place), int(rest[0]))
    else:
        result = waiting_pass(Path(model), Path(place), int(rest[0]))
    say(json.dumps(result))
