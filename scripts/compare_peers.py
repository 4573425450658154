"""How often other projects' IFD differs from ours, and how well the rankings agree, on real rows.

    PYTHONPATH=. python scripts/compare_peers.py --model ~/.cache/tss_lab/models/smollm2_135m-... \\
        --rows alpaca=alpaca_random.json dolly=dolly_sample.jsonl ni20=ni/tasks

Counts need the tokenizer alone. Likelihoods are taken of the rows whose prompt and output have at most ``--tokens``
tokens, shortest first; each is appended to ``--out`` at once, so the same command goes on where it stopped.
The peers are tests/methods/peers.py.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.methods import peers
from tss_lab.cli.compose import config_of
from tss_lab.config import ScoringConfig
from tss_lab.data import load_examples
from tss_lab.engine.score import score_pairs
from tss_lab.methods import Evidence
from tss_lab.methods.ifd import InstructionFollowingDifficulty
from tss_lab.models import load_model, load_tokenizer
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.runs.likelihoods import stored_rows, to_likelihoods
from tss_lab.runs.names import read_lines
from tss_lab.scoring import plan_pairs
from tss_lab.statistics import spearman
from tss_lab.types import Example

OURS = {
    "ours": ("alpaca", InstructionFollowingDifficulty()),
    "ours, response header": ("alpaca", InstructionFollowingDifficulty("loss_ratio", "response_header")),
}
ON = "superfiltering", "cherry"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="a Hugging Face folder")
    parser.add_argument("--rows", required=True, nargs="+", help="dataset=path")
    parser.add_argument("--limit", type=int, default=100, help="rows a data set, drawn by seed 0")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path("peers.jsonl"))
    parser.add_argument("--counts-only", action="store_true")
    given = parser.parse_args()
    tokenizer = load_tokenizer(given.model)
    corpora = {
        name: examples_of(name, path, given.limit) for name, _, path in (one.partition("=") for one in given.rows)
    }
    print(json.dumps({name: counts(tokenizer, rows) for name, rows in corpora.items()}, indent=1))
    if given.counts_only:
        return
    known = {row["example_id"]: row for row in read_lines(given.out)}
    todo = [one for rows in corpora.values() for one in rows if one.example_id not in known]
    sizes = {one.example_id: len(peers.superfiltering_ids(tokenizer, one).ids) for one in todo}
    short = [one for one in todo if sizes[one.example_id] <= given.tokens]
    short.sort(key=lambda one: sizes[one.example_id])
    model = load_model(given.model) if short else None
    with given.out.open("a", encoding="utf-8") as lines:
        for example in short:
            known[example.example_id] = scores_of(model, tokenizer, example)
            lines.write(json.dumps(known[example.example_id]) + "\n")
            lines.flush()
    for name, rows in corpora.items():
        print(name, json.dumps(agreement([known[one.example_id] for one in rows if one.example_id in known])))


def examples_of(name: str, path: str, limit: int) -> list[Example]:
    config = config_of([f"dataset={name}", f"dataset.path={path}", f"dataset.limit={limit}"])
    return load_examples(config.dataset).examples


def counts(tokenizer: Any, examples: Sequence[Example]) -> dict[str, int]:
    """Rows in which a documented difference shows, at the lengths that the projects' own commands have."""
    found = {"rows": len(examples), "### in the output": sum("###" in one.output for one in examples)}
    found["output found elsewhere by text search"] = sum(
        (text := peers.render(peers.SUPERFILTERING, one) + one.output).rfind(one.output) != len(text) - len(one.output)
        for one in examples
    )
    encoder = PromptEncoder(tokenizer, get_template("alpaca"), 2048)
    cut = [encoder.encode_example([one.instruction], one.input, one.output) for one in examples]
    found["ours: output cut"] = sum(
        len(encoded.target_ids) < len(encoder.encode(one.output)) for encoded, one in zip(cut, examples, strict=True)
    )
    for name in ON:
        frame = peers.superfiltering_ids if name == "superfiltering" else peers.cherry_ids
        framed = [frame(tokenizer, one) for one in examples]
        there = [one for one in framed if one is not None]
        alone = peers.SUPERFILTERING if name == "superfiltering" else peers.CHERRY
        found |= {
            f"{name}: left out, no room": len(framed) - len(there),
            f"{name}: first token unscored": sum(one.direct_start == 1 and not encoder.bos_ids for one in there),
            f"{name}: output cut": sum(one.lost > 0 for one in there),
            f"{name}: nothing of the output left": sum(one.scored[0] == 0 for one in there),
            f"{name}: no ratio": sum(0 in one.scored for one in there),
            f"{name}: passes over different tokens": sum(one.scored[0] != one.scored[1] for one in there),
            f"{name}: noted as zero": sum(not one.direct_ids for one in there),
            f"{name}: merged at the border": sum(
                tokenizer.encode(prompt + one.output)
                != tokenizer.encode(prompt) + tokenizer.encode(one.output, add_special_tokens=False)
                for one in examples
                for prompt in [peers.render(alone, one)]
            ),
        }
    return found


def scores_of(model: Any, tokenizer: Any, example: Example) -> dict[str, Any]:
    """Every definition of one row; None where it has none."""
    found = {
        "superfiltering": peers.superfiltering(model, peers.superfiltering_ids(tokenizer, example)),
        "cherry": peers.cherry(model, peers.cherry_ids(tokenizer, example)),
    }
    for name, (template, method) in OURS.items():
        encoder = PromptEncoder(tokenizer, get_template(template), 2048)
        plan = plan_pairs([example], {}, method.needs.kinds, encoder, method.needs.direct_context)
        loglik_P = score_pairs(model, plan.pairs, ScoringConfig(self_check_pairs=0))[0]
        evidence = Evidence([example], to_likelihoods(stored_rows(plan.pairs, loglik_P)))
        found[name] = float(method.score(evidence, seed=0)[0])
    return {"example_id": example.example_id, **{k: v if math.isfinite(v) else None for k, v in found.items()}}


def agreement(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rank correlations over the rows in which both are defined, and how many stand at 1 or above."""
    found: dict[str, Any] = {"rows": len(rows)}
    pairs = (("ours", "superfiltering"), ("ours, response header", "cherry"), ("ours", "cherry"), ON)
    for first, second in pairs:
        both = [(row[first], row[second]) for row in rows if row[first] is not None and row[second] is not None]
        first_N, second_N = np.array(both).T if both else (np.zeros(0), np.zeros(0))
        found[f"{first} ~ {second}"] = [round(spearman(first_N, second_N), 3), len(both)]
    for name in (*OURS, *ON):
        found[f"{name}: at 1 or above"] = sum(row[name] is not None and row[name] >= 1 for row in rows)
    return found


if __name__ == "__main__":
    main()
