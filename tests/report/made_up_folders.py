"""Run folders as the pipeline leaves them, made up: settings, record, metrics and the items of an evaluation."""

import json

import numpy as np
import polars as pl
import yaml

BENCHMARKS = ("arc_challenge", "mmlu", "hellaswag", "truthfulqa_mc1")
EASE = {"random": 0.45, "ppl": 0.47, "tss": 0.5, "tss_pp": 0.55, "tss_pp_exp": 0.6, "full": 0.5}


def settings(name, method, rho, seed, model="tiny", dataset="made", benchmarks=BENCHMARKS, kind="paper", **changes):
    weighted = method.endswith("_exp")
    config = {
        "experiment_name": "e", "run_name": name, "rho": rho, "seed": seed,
        "stages": ["dataset", "sft", "evaluation"],
        "dataset": {"name": dataset, "reader": "records", "path": "made.jsonl", "limit": None, "held_out": 8},
        "model": {"name": model, "path": "somewhere"},
        "generator": {"name": "g", "kind": "replay", "batch_size": 4},
        "alternatives": {"kind": "generated", "k": 4},
        "scoring": {"template": "alpaca", "max_length": 512, "dtype": "float32"},
        "method": {"name": method, "target": f"t.{method}", "scope": "retained", "weighting": {"enabled": weighted}},
        "budget": {"kind": "examples"},
        "sft": {"learning_rate": 1e-5, "epochs": 1.0, "tokens_per_pack": 512},
        "trainer": {"precision": "32-true"},
        "eval": {"name": kind, "label": "", "limit": None, "engine": "tree", "benchmarks": list(benchmarks)},
    }  # fmt: skip
    if method.startswith("tss_pp"):
        config["method"]["tau"] = 1.0
    for place, value in changes.items():
        group, _, key = place.partition("__")
        config[group][key] = value
    return config


def answers(rng, ease, num_items, benchmarks=BENCHMARKS):
    """Right or wrong for each item: an item has its own difficulty, shared by all models."""
    difficulty = np.random.default_rng(99).random((len(benchmarks), num_items))
    return {name: difficulty[i] < ease + rng.normal(0, 0.06, num_items) for i, name in enumerate(benchmarks)}


def write_run(root, method, rho, seed, *, correct=None, num_items=30, nll=None, status="finished", weights="w" * 64,
              zero_shot=True, kind="paper", name=None, label=None, benchmarks=BENCHMARKS, **changes):  # fmt: skip
    """One run folder; ``correct`` is benchmark -> right or wrong, drawn where not given, nothing where False."""
    name = name or f"{method}-rho{rho}-seed{seed}"
    folder = root / name
    folder.mkdir(parents=True)
    config = settings(name, method, rho, seed, kind=kind, benchmarks=benchmarks, **changes)
    rng = np.random.default_rng([seed, round(rho * 100), sum(map(ord, method))])
    if correct is None:
        correct = answers(rng, EASE.get(method, 0.5) + 0.05 * rho, num_items, benchmarks)
    metrics = {"dataset/held_out": 8, "selection/kept": round(100 * rho)}
    if nll is None:
        nll = 3.0 - rho - 0.1 * rng.random()
    metrics |= {"held_out/nll/before": 3.5, "held_out/nll/before_stderr": 0.2, "held_out/nll/after": nll,
                "held_out/nll/after_stderr": 0.1, "held_out/sensitivity/before": 2.0,
                "held_out/sensitivity/after": 2.0 + rho}  # fmt: skip
    (folder / "eval").mkdir()
    held_out = pl.DataFrame({"example_id": [f"h{i}" for i in range(8)], "n_target_tokens": range(10, 18)})
    held_out.with_columns(loglik_after=-nll * pl.col("n_target_tokens")).write_parquet(folder / "eval/held_out.parquet")
    if correct:
        total = sum(100 * float(np.mean(values)) for values in correct.values())
        metrics["eval/tuned/sum"] = total
        if zero_shot:
            for one in correct:
                metrics |= {f"eval/zero_shot/{one}": 25.0, f"eval/zero_shot/{one}_stderr": 5.0,
                            f"eval/zero_shot/{one}_items": len(correct[one])}  # fmt: skip
            metrics |= {"eval/zero_shot/sum": 25.0 * len(correct), "eval/zero_shot/sum_stderr": 10.0,
                        "eval/zero_shot/sum_items": sum(map(len, correct.values()))}  # fmt: skip
        rows = [
            {"benchmark": one, "item_id": f"{one}/{index}", "correct": bool(right)}
            for one, values in correct.items()
            for index, right in enumerate(values)
        ]
        pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=seed).write_parquet(folder / "eval/samples.parquet")
        label = label or ("demonstration items" if kind == "mini" else "the paper's benchmarks")
        content = {"format_version": 1, "label": label, "engine": "tree", "shots": 0, "metric": "acc",
                   "task_versions": dict.fromkeys(correct, 1.0)}  # fmt: skip
        (folder / "eval/results.json").write_text(json.dumps(content), encoding="utf-8")
    record = {"format_version": 1, "run_name": name, "status": status, "versions": {"lm-eval": "0.4.13"},
              "dataset": {"rows_read": 120, "used": 100, "held_out": 8},
              "model": {"name": "tiny", "weights_sha256": weights, "tokenizer_sha256": "t"}}  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def write_grid(root, kind="paper", **more):
    """Five methods, three shares (and all of the data), three seeds."""
    for seed in (0, 1, 2):
        for rho in (0.05, 0.15, 1.0):
            for method in ("random", "ppl", "tss", "tss_pp", "tss_pp_exp"):
                write_run(root, method, rho, seed, kind=kind, **more)
        write_run(root, "full", 1.0, seed, kind=kind, **more)
