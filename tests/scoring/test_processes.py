"""Passes that are killed, that run side by side, and that run on two devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.scoring.conftest import Bench
from tests.scoring.pass_process import NUM_EXAMPLES
from tss_lab.config import TrainerConfig
from tss_lab.models.devices import num_processes
from tss_lab.scoring.run import likelihood_identity

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")


def started(errors: Path, *arguments: object, launcher: tuple[str, ...] = ("-m",)) -> subprocess.Popen[str]:
    command = [sys.executable, *launcher, "tests.scoring.pass_process", *map(str, arguments)]
    with errors.open("w") as stream:
        return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=stream, text=True)


def printed(process: subprocess.Popen[str], errors: Path) -> list:
    out, _ = process.communicate()
    assert process.returncode == 0, errors.read_text()[-3000:]
    return [json.loads(line) for line in out.splitlines() if line.startswith(("{", "["))]


def table(scratch: Path) -> pl.DataFrame:
    return pl.read_parquet(list(scratch.glob("store/likelihoods/*/part-*.parquet"))).sort("pair_id")


@pytest.fixture(scope="module")
def unbroken(tiny_model_folder, tmp_path_factory) -> pl.DataFrame:
    scratch = tmp_path_factory.mktemp("unbroken")
    bench = Bench(tiny_model_folder("llama"), scratch)
    bench.run(bench.plan(NUM_EXAMPLES))
    return table(scratch)


def assert_same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """No pair twice, none missing, and the same numbers."""
    assert found["pair_id"].to_list() == expected["pair_id"].to_list()
    assert np.abs(found["loglik"].to_numpy() - expected["loglik"].to_numpy()).max() < 1e-4


def test_killed_at_any_moment_the_table_equals_an_unbroken_one(tiny_model_folder, unbroken, tmp_path):
    """Before the first pack, in the middle, between computing and writing, while writing, and after the last shard."""
    moments = ["forward:1", "forward:4", "shard:1", "shard:3", "half:2", "manifest:1"]
    errors = tmp_path / "errors"
    [[*shards, last]] = printed(started(errors, "kill", tiny_model_folder("llama"), tmp_path, *moments), errors)
    assert shards[:-1] == [0, 3, 3, 5, 6]  # each death keeps what was written before it
    assert shards[-1] == last > 6  # the last one came after all of the work, none of which is done again
    assert_same(table(tmp_path), unbroken)


def test_two_processes_on_one_store_share_the_work(tiny_model_folder, unbroken, tmp_path):
    errors = tmp_path / "errors"
    [computed] = printed(started(errors, "both", tiny_model_folder("llama"), tmp_path, 2), errors)
    assert sum(computed) == len(unbroken)
    assert_same(table(tmp_path), unbroken)


def test_two_devices_wait_for_their_turn_and_compute_each_pair_exactly_once(tiny_model_folder, unbroken, tmp_path):
    """While another job holds the lock they meet again and again, so that no operation between them times out."""
    errors = tmp_path / "errors"
    bench = Bench(tiny_model_folder("llama"), tmp_path)
    artifact = bench.store.artifact("likelihoods", likelihood_identity(bench.local, bench.encoder, bench.scoring))
    with artifact.lock():
        job = started(errors, "wait", tiny_model_folder("llama"), tmp_path, 2, launcher=TORCHRUN)
        waits = {0: 0, 1: 0}
        while min(waits.values()) < 3 and (line := job.stdout.readline()):
            if line.startswith("waiting "):
                waits[int(line.split()[1])] += 1
        assert artifact.scan() is None
    counts = printed(job, errors)
    assert min(waits.values()) == 3
    assert len(counts) == 2
    assert all(count["forwards"] > 0 for count in counts)
    assert_same(table(tmp_path), unbroken)
    assert bench.run(bench.plan(NUM_EXAMPLES)).num_computed == 0


@pytest.mark.parametrize(
    ("variables", "settings", "processes"),
    [
        ({}, {"devices": 1}, 1),
        ({}, {"devices": 2, "num_nodes": 3}, 6),
        ({"WORLD_SIZE": "4"}, {"devices": 1}, 4),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, {"devices": 4}, 8),
        ({"SLURM_NTASKS": "8", "SLURM_JOB_NAME": "interactive"}, {"devices": 1}, 1),
    ],
)
def test_every_process_tells_alike_how_many_they_are(monkeypatch, variables, settings, processes):
    """Whether there is a pass that all must join may not depend on which of them asks."""
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert num_processes(TrainerConfig(accelerator="cpu", **settings)) == processes
