"""Scores and selection over a table that doesn't fit into memory: 10 million examples, 60 million rows.

    python scripts/bench_selection.py --examples 10000000 --folder /tmp/selection

Makes synthetic likelihoods (one true, four alternative and one unconditional row an example), streams
them through the TSS score chunk by chunk, and keeps the best 5 % with polars' streaming engine.
Prints seconds, CPU seconds and peak memory of the two steps; making the table isn't counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from tss_lab.methods.order import seeded_uniform
from tss_lab.methods.tss import TaskSpecificity
from tss_lab.runs.likelihoods import COLUMNS, iter_likelihoods
from tss_lab.types import PromptKind

ALTERNATIVES = 4
EXAMPLES_A_SHARD = 250_000


def make(folder: Path, num_examples: int) -> None:
    """Shards of synthetic rows, in the form of a run's likelihoods.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    kinds = [PromptKind.TRUE, *[PromptKind.ALTERNATIVE] * ALTERNATIVES, PromptKind.UNCONDITIONAL]
    indices = [-1, *range(ALTERNATIVES), -1]
    for shard, start in enumerate(range(0, num_examples, EXAMPLES_A_SHARD)):
        n = min(EXAMPLES_A_SHARD, num_examples - start)
        tokens = rng.integers(5, 400, n)
        example = pl.Series([f"{number:016x}" for number in range(start, start + n)])
        repeated = np.repeat(np.arange(n), len(kinds))
        pl.DataFrame(
            {
                "example_id": example[repeated],
                "prompt_kind": [kind.value for kind in kinds] * n,
                "alternative_index": indices * n,
                "loglik": -rng.gamma(2.0, 1.0, len(repeated)) * tokens[repeated] / 2,
                "n_target_tokens": tokens[repeated],
                "n_prompt_tokens": np.full(len(repeated), 60),
                "truncated": np.zeros(len(repeated), dtype=bool),
            },
            schema=COLUMNS,
        ).write_parquet(folder / f"likelihoods-{shard:04d}.parquet")


def score(folder: Path, rows: int) -> int:
    """Streams the table through Eq. 1; writes example_id, score and tie-breaker a chunk a file."""
    method, num = TaskSpecificity(), 0
    for chunk, likelihoods in enumerate(iter_likelihoods(sorted(folder.glob("likelihoods-*.parquet")), rows)):
        pl.DataFrame(
            {
                "example_id": likelihoods.example_id_N.astype(str),
                "score": method.score(likelihoods, 0),
                "tie": seeded_uniform(likelihoods.example_id_N, 0, purpose="ties"),
            }
        ).write_parquet(folder / f"scores-{chunk:04d}.parquet")
        num += len(likelihoods)
    return num


def select(folder: Path, num_examples: int, rho: float) -> int:
    """The best round(ρ·N) examples, highest first."""
    kept = max(1, round(rho * num_examples))
    best = pl.scan_parquet(folder / "scores-*.parquet").top_k(kept, by=["score", "tie"])
    best.sink_parquet(folder / "selected.parquet", engine="streaming")
    return int(pl.scan_parquet(folder / "selected.parquet").select(pl.len()).collect().item())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="about 100 bytes an example are written here")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table in memory at a time")
    parser.add_argument("--rho", type=float, default=0.05)
    parser.add_argument("--step", choices=["make", "score", "select"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step is None:
        for step in ("make", "score", "select"):  # a process each, so that peak memories are their own
            subprocess.run([sys.executable, *sys.argv, "--step", step], check=True)
        return
    started = time.perf_counter()
    if chosen.step == "make":
        make(chosen.folder, chosen.examples)
        done = chosen.examples
    elif chosen.step == "score":
        done = score(chosen.folder, chosen.rows)
    else:
        done = select(chosen.folder, chosen.examples, chosen.rho)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "step": chosen.step, "examples": done, "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1), "peak_memory_mb": round(usage.ru_maxrss / 1024),
    }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
