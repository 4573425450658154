"""A made-up run with everything a page can show, and texts that try to break out of it."""

import numpy as np

from tss_lab.report.model import RunReport, ScoringFacts, TrainingFacts
from tss_lab.types import (
    Alternative,
    BenchmarkScore,
    Estimate,
    EvaluationResult,
    Example,
    HeldOutMeasure,
    Likelihoods,
    Selection,
    SetAside,
)

HOSTILE = "<script>alert('x')</script>\"'&</style></td><img src=x onerror=alert(1)>{{ 7 * 7 }}"
NUM, K = 24, 3


def evaluation(seed):
    rng = np.random.default_rng(seed)
    names = {
        "arc_challenge": "ARC-Challenge",
        "mmlu": "MMLU",
        "hellaswag": "HellaSwag",
        "truthfulqa_mc1": "TruthfulQA-MC1",
    }
    correct = {name: rng.random(10) < 0.4 for name in names}
    scores = tuple(
        BenchmarkScore(name, f"{shown}-style demonstration items", Estimate.of_mean(100.0 * correct[name]), 25.0)
        for name, shown in names.items()
    )
    total = Estimate(sum(score.accuracy.value for score in scores), 30.0, 40)
    return EvaluationResult(
        "demonstration items", "Sum over demonstration items", scores, total,
        np.array([f"{name}/{index}" for name in names for index in range(10)], dtype=object),
        np.array([name for name in names for _ in range(10)], dtype=object),
        np.concatenate(list(correct.values())),
    )  # fmt: skip


def full_report(text=HOSTILE, method="tss_pp_exp"):
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
    score_N[3] = np.inf
    rank_N = np.argsort(np.argsort(-score_N))
    kept_N = rank_N < 8
    weight_N = np.where(kept_N, rng.uniform(0.2, 3.0, NUM), 0.0)
    weighting = {"enabled": True, "clip": [0.1, 10.0], "lambda_": 1.0, "standardize": "zscore"}
    costs = {"sft": {"seconds": 1.5, "cpu_seconds": 2.0}}
    loss = HeldOutMeasure(
        "nll", text, "nats", "lower", Estimate(2, 0.1, 8), Estimate(1.5, 0.1, 8), Estimate(-0.5, 0.05, 8)
    )
    return RunReport(
        run_name=f"run {text}",
        experiment_name="quickstart",
        model_name="tiny",
        dataset_name=f"starter {text}",
        method_name=method,
        rho=1 / 3,
        seed=0,
        settings={
            "dataset": {"path": text},
            "method": {"tau": 1.0, "weighting": weighting},
            "alternatives": {"kind": "mixed", "k": K},
        },
        record={"started": "2026-01-01T00:00:00+00:00", "note": text, "costs": costs},
        counts={"rows read": 30, f"set aside {text}": 1},
        set_aside=[SetAside("row 3", text, text)],
        examples=examples,
        alternatives=alternatives,
        generation={text: text},
        scoring=ScoringFacts(
            num_pairs=96, num_truncated=2, merge_rate=0.02, self_check_pairs=3, self_check_difference=4e-5, engine=text
        ),
        likelihoods=likelihoods,
        selection=Selection(names, score_N, rank_N, kept_N, weight_N),
        clipped_share=0.25,
        training=TrainingFacts(np.arange(1, 31), np.linspace(3, 1, 30), [(0, 2.5), (30, 2.0)], 8, 400, {text: text}),
        held_out=[loss],
        zero_shot=evaluation(1),
        tuned=evaluation(2),
    )  # fmt: skip
