# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Scoring your own rows
# Which rows depend on their instruction? Rows go in as a list (or a Hugging Face data set, a polars or a pandas
# frame) and come back with a column a method. Open this file as a notebook with jupytext, or run it as a script:
# `python notebooks/score_your_rows.py`, with another model as `python notebooks/score_your_rows.py smollm2_135m`.

# %%
import sys
from pathlib import Path

import polars as pl

import tss_lab

arguments = [] if "ipykernel" in sys.modules else sys.argv[1:]
model = arguments[0] if arguments else "gemma3_270m"  # or a Hub id, or a folder

rows = [
    {"instruction": "Sort the numbers from small to large.", "input": "7, 2, 9", "output": "2, 7, 9", "by": "ada"},
    {"instruction": "Name the largest of the numbers.", "input": "7, 2, 9", "output": "9", "by": "ada"},
    {"instruction": "Add the numbers up.", "input": "7, 2, 9", "output": "18", "by": "ben"},
    {"instruction": "Translate the sentence into French.", "input": "The cat sleeps.", "output": "Le chat dort."},
    {"instruction": "Write the sentence in the past tense.", "input": "The cat sleeps.", "output": "The cat slept."},
    {"instruction": "Say something nice.", "input": "", "output": "You are doing great, keep going!"},
    {"instruction": "Give me a tip for today.", "input": "", "output": "Drink enough water."},
    {"instruction": "Count the words.", "input": "The cat sleeps.", "output": ""},
]

# %% [markdown]
# Likelihoods are computed once and kept in `./store`: a second call, or another method, takes them from there.
# `k` alternative instructions an example are drawn from the other rows. A row that can't be used has a reason.

# %%
table = tss_lab.score(rows, model=model, methods=["tss_pp", "ifd"], k=2)
print(table.select("instruction", "by", "tss_pp", "ifd", "set_aside"))

# %% [markdown]
# The best half by TSS++, best first, with the columns that they came with; and what two methods agree on.

# %%
kept = tss_lab.select(table, method="tss_pp", rho=0.5)
print(kept.select("rank", "instruction", "output", "by", "weight"))
both = kept.join(tss_lab.select(table, method="ifd", rho=0.5), on="example_id", how="semi")
print(f"{len(both)} of {len(kept)} rows are kept by both methods")

# %% [markdown]
# A command leaves the same in its folder: `run.scored` has every row of the source in its order, as `scored.jsonl`.

# %%
for place in sorted(Path("runs").glob("*/scored.jsonl"))[:1]:
    run = tss_lab.read_run(place.parent)
    print(run.name, pl.DataFrame([{"row": one.row, "score": one.score, "kept": one.kept} for one in run.scored]))
