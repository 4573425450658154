"""What a run's folder is made of: names and the format's version. Both are public (docs/run_folder.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _Loader  # ten times as fast, where libyaml was there when yaml was built
except ImportError:
    from yaml import SafeLoader as _Loader

FORMAT_VERSION = 2
FINISHED = "finished"
CONFIG, RECORD, METRICS, LOG = "config.yaml", "run.json", "metrics.json", "run.log"
EXAMPLES, ALTERNATIVES, SET_ASIDE = "examples.parquet", "alternatives.parquet", "set_aside.jsonl"
LIKELIHOODS, SCORES, SELECTED = "likelihoods.parquet", "scores.parquet", "selected.jsonl"
SCORED = "scored.jsonl"
AUDIT, CARD = "audit.json", "README.md"
PROBE, PROBED = "probe.json", "probe.parquet"
TRAINING, CHECKPOINTS, MODEL = "training.json", "checkpoints", "model"
TUNED, ZERO_SHOT = "eval", "eval/zero_shot"
DOCTOR = "doctor.json"
RESULTS, SAMPLES, HELD_OUT = "results.json", "samples.parquet", "eval/held_out.parquet"
REPORT, PAGE = "report", "index.html"
LOGS = ("logs", "tensorboard", "wandb")

WRITTEN = (
    CONFIG, RECORD, METRICS, LOG, EXAMPLES, ALTERNATIVES, SET_ASIDE, LIKELIHOODS, SCORES, SELECTED, SCORED, AUDIT,
    CARD, PROBE, PROBED, TRAINING, CHECKPOINTS, MODEL, TUNED, REPORT, DOCTOR, *LOGS,
)  # fmt: skip
"""All that a run writes into its folder, for whoever empties one."""

RESULTS_OF_A_RUN = (LIKELIHOODS, SCORES, PROBE, TRAINING, CHECKPOINTS, MODEL, TUNED, REPORT)
"""A folder without any of these has nothing to lose."""


def read_yaml(text: str) -> Any:
    """Plain values of a yaml file. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file; nothing where it isn't there."""
    if path.exists():
        with path.open(encoding="utf-8", newline="\n") as lines:
            yield from (json.loads(line) for line in lines if line.strip())
