# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Reading a run
# Every file of a run is plain: Parquet, JSON Lines, JSON. Open this file as a notebook with jupytext, or run it
# as a script: `python notebooks/read_a_run.py runs/NAME`.

# %%
import json
import sys
from pathlib import Path

import polars as pl

runs = sorted(Path("runs").glob("*/scores.parquet"), key=lambda path: path.stat().st_mtime)
if len(sys.argv) < 2 and not runs:
    sys.exit(
        "no run with scores in ./runs; start one with `python -m tss_lab +experiment=quickstart`, or name its folder"
    )
run = Path(sys.argv[1]) if len(sys.argv) > 1 else runs[-1].parent
if not (run / "scores.parquet").exists():
    sys.exit(f"{run} holds no scores.parquet; name the folder of a run whose stage scores is done")
record = json.loads((run / "run.json").read_text(encoding="utf-8"))
print(run.name, record["status"])

# %% [markdown]
# The ranking, and the examples that were kept with their texts.

# %%
scores = pl.read_parquet(run / "scores.parquet").sort("rank")
selected = pl.read_ndjson(run / "selected.jsonl")
print(scores.head())
print(selected.select("instruction", "output", "score", "weight").head())

# %% [markdown]
# The likelihoods behind a score: the true prompt against the alternatives, in nats.

# %%
if (run / "likelihoods.parquet").exists():
    likelihoods = pl.read_parquet(run / "likelihoods.parquet")
    best = scores["example_id"][0]
    print(likelihoods.filter(pl.col("example_id") == best).sort("loglik", descending=True))

# %% [markdown]
# Every number of the run, under flat names.

# %%
metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
for name in sorted(metrics):
    print(f"{name:55} {metrics[name]:.6g}")
