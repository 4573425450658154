"""A made-up run with everything a page can show, and texts that try to break out of it."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from tests.made_up import result_of, run_config, write_folder
from tss_lab.runs import Run, names, open_folder, read_run
from tss_lab.runs.audits import Audit, Overlap, Shift
from tss_lab.types import Alternative, Estimate, Example, HeldOutMeasure, Likelihoods, Selection, SetAside

HOSTILE = "<script>alert('x')</script>\"'&</style></td><img src=x onerror=alert(1)>{{ 7 * 7 }}"
NUM, K = 24, 3
BENCHMARKS = ("arc_challenge", "mmlu", "hellaswag", "truthfulqa_mc1")


def config(runs, text=HOSTILE, method="tss_pp_exp", *overrides):
    """Settings whose names hold ``text``."""
    plain = run_config(runs, "a <b>run", f"method={method}", "rho=0.333", "dataset=starter",
                       "alternatives=mixed", f"alternatives.k={K}", "eval=mini", *overrides)  # fmt: skip
    dataset = plain.dataset.model_copy(update={"name": f"starter {text}", "path": text})
    return plain.model_copy(update={"dataset": dataset, "experiment_name": "quickstart"})


def evaluation(seed, num=10):
    rng = np.random.default_rng(seed)
    return result_of({name: rng.random(num) < 0.4 for name in BENCHMARKS}, label="demonstration items", demo=True)


def tables(text=HOSTILE):
    """Examples, alternatives, likelihoods and a selection that belong together."""
    rng = np.random.default_rng(0)
    examples = [
        Example(
            f"id{n:03d}", f"instruction {n} {text}", text if n % 2 else "", f"output {text}", f"kind {n % 4} {text}",
            "made up", {"specificity": "specific" if n % 2 else "generic", "why": f"because {text}"},
        )
        for n in range(NUM)
    ]  # fmt: skip
    alternatives = [
        Alternative(example.example_id, k, f"other {k} {text}", "retrieved" if k else "generated", 0.5 if k else None)
        for example in examples
        for k in range(K)
    ]
    names = np.array([example.example_id for example in examples], dtype=object)
    true_N = -rng.uniform(5, 50, NUM)
    likelihoods = Likelihoods(
        names, true_N, true_N[:, None] - rng.normal(3, 5, (NUM, K)), np.full(NUM, K), np.full(NUM, np.nan),
        rng.integers(3, 60, NUM),
    )  # fmt: skip
    score_N = rng.normal(size=NUM) + np.arange(NUM) % 2
    rank_N = np.argsort(np.argsort(-score_N))
    kept_N = rank_N < 8
    selection = Selection(names, score_N, rank_N, kept_N, np.where(kept_N, rng.uniform(0.2, 3.0, NUM), 0.0))
    return examples, alternatives, likelihoods, selection


def audit(text=HOSTILE):
    """What a selection of 8 of 24 rows keeps and drops."""
    shift = Shift("category", text, 4, 2, 0.5, 0.125, 0.375, (0.05, 0.65), 4 / 6, (0.3, 0.9), 0.01, 0.04)
    other = replace(shift, value="kind 2", kept=1, dropped=5, of_kept=0.125, of_dropped=0.3125, difference=-0.1875,
                    difference_bounds=(-0.45, 0.21), keeps=1 / 6, p=0.6, p_holm=1.0)  # fmt: skip
    overlaps = (Overlap("the longest outputs", 4, 8 / 3, (1, 5)),)
    return Audit(24, 8, 24, 8, {"en": 1.0}, 0.625, (0.4, 0.85), (shift, other), overlaps, {"source": f"same: {text}"})


def facts(text=HOSTILE):
    """What run.json says of the steps before the selection."""
    return {
        "dataset": {"rows_read": 30, "set_aside": {text: 1}, "set_aside_rows": [{"where": "row 3"}]},
        "alternatives": {
            "counts": {"parse_rate": 0.9, "filled_from_retrieval": 2},
            "audit": {
                "leak_share": 0.005, "paraphrase_share": 0.0, "pair_similarity": 0.3, "leaks": [text],
                "own_instruction_copies": 0, "repeated_within_example": 1, "distinct_share": 0.5,
                "most_frequent": text, "most_frequent_times": 24, "examples_with": {"3": 23, "10": 1},
                "by_source": {
                    "generated": {"alternatives": 24, "examples": 24, "mean_words": 6.25, "most_words": 9},
                    "retrieved": {"alternatives": 48, "examples": 24, "mean_words": 6.0, "most_words": 9,
                                  "median_similarity": 0.5, "highest_similarity": 0.75},
                },
            },
        },
        "likelihoods": {
            "pairs": 96, "pairs_resumed": 6, "pairs_truncated": 2, "target_tokens": 700, "tree_tokens": 5000,
            "flops": 4.4e12, "merge_rate": 0.02, "self_check_max_difference": 4e-5, "engine": text,
        },
        "ranking_stability": {"halves": 0.92},
        "note": text,
    }  # fmt: skip


def full_run(runs: Path, text: str = HOSTILE, **changes) -> Run:
    """A folder of everything, read; ``changes`` go to ``write_folder``."""
    examples, alternatives, likelihoods, selection = tables(text)
    counts = dict(zip(likelihoods.example_id_N.tolist(), likelihoods.num_target_tokens_N.tolist(), strict=True))
    loss = HeldOutMeasure(
        "nll", text, "nats", "lower", Estimate(2.0, 0.1, 8), Estimate(1.5, 0.1, 8), Estimate(-0.5, 0.05, 8)
    )
    content = {
        "examples": examples, "num_target_tokens": counts, "alternatives": alternatives, "likelihoods": likelihoods,
        "selection": selection, "set_aside": [SetAside("row 3", text, text)],
        "curve": [(step, 3 - 2 * (step - 1) / 29) for step in range(1, 31)],
        "held_out_loss": [(0, 2.5), (30, 2.0)], "held_out": [loss],
        "zero_shot": evaluation(1), "tuned": evaluation(2),
        "metrics": {"selection/clipped_share": 0.25, "sft/examples": 8, "sft/target_tokens": 400},
    }  # fmt: skip
    folder = write_folder(config(runs, text), **{**content, **changes})
    with open_folder(config(runs, text)) as opened, opened.step("likelihoods") as step:
        step.record(**facts(text))
        step.write(names.AUDIT, asdict(audit(text)))
    return read_run(folder)
