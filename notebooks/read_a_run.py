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

runs = sorted(Path("runs").glob("*/scored.jsonl"), key=lambda path: path.stat().st_mtime)
arguments = [] if "ipykernel" in sys.modules else sys.argv[1:]
if not arguments and not runs:
    sys.exit(
        "no run with a selection in ./runs; start one with `python -m tss_lab +experiment=quickstart`, or name a folder"
    )
run = Path(arguments[0]) if arguments else runs[-1].parent
if not (run / "scored.jsonl").exists():
    sys.exit(f"{run} holds no scored.jsonl; name the folder of a run whose stage selection is done")
record = json.loads((run / "run.json").read_text(encoding="utf-8"))
print(run.name, record["status"])

# %% [markdown]
# Every row of the source with what became of it, best first; and those that were kept, ready for a trainer.

# %%
rows = pl.read_ndjson(run / "scored.jsonl", infer_schema_length=None)
selected = pl.read_ndjson(run / "selected.jsonl", infer_schema_length=None)
ranked = rows.filter(pl.col("rank").is_not_null()).sort("rank")
print(ranked.select("row", "example_id", "score", "rank", "kept", "weight").head())
print(selected.select("instruction", "output", "score", "weight").head())

# %% [markdown]
# The likelihoods behind a score: the true prompt against the alternatives, in nats.

# %%
if (run / "likelihoods.parquet").exists():
    likelihoods = pl.read_parquet(run / "likelihoods.parquet")
    best = ranked["example_id"][0]
    print(likelihoods.filter(pl.col("example_id") == best).sort("loglik", descending=True))

# %% [markdown]
# Every number of the run, under flat names.

# %%
metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
for name in sorted(metrics):
    print(f"{name:55} {metrics[name]:.6g}")
