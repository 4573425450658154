"""How fast and how exact the scoring engine is, beside a plain Hugging Face loop and lm-evaluation-harness.

    python scripts/bench_scoring.py                          both offline models, every case, one thread
    python scripts/bench_scoring.py --models smollm2_135m --cases long --threads 2 --rounds 5
    python scripts/bench_scoring.py --growth                 growth in pairs, alternatives and target length

All systems score the same pairs in the same process, in turn, so that what else the machine does hits
them alike. Times are CPU seconds of the process; ratios compare medians over the rounds. Writes
bench/scoring.json, bench/scoring.md and bench/scoring.svg. HFLM at 16 stands for its batch_size=auto
without the search: that makes five passes of the largest batch at every call, from 64 down, which would
take 30 GiB on Gemma-3.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from tss_lab.config import ModelConfig, ScoringConfig
from tss_lab.engine.plain import plain_score
from tss_lab.engine.score import CPU_TOKENS, pack_indices, score_pairs
from tss_lab.models import load_model, load_tokenizer, resolve_model
from tss_lab.prompts import PromptEncoder, get_template, pair_id
from tss_lab.scoring.cost import forward_flops, pass_cost
from tss_lab.types import PromptKind, TokenPair

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
CACHE = Path("~/.cache/tss_lab").expanduser()
CASES = ("long", "short", "retrieved", "arc_challenge", "hellaswag")
OURS = "tree"
HARNESS = {"hflm1": 1, "hflm8": 8, "hflm16": 16}
UNCHECKED = ScoringConfig(self_check_pairs=0)
"""Its few plain passes would weigh as much as the small cases themselves."""
System = Callable[[Sequence[TokenPair]], Sequence[float]]


def pair_of(prompt: Sequence[int], target: Sequence[int]) -> TokenPair:
    return TokenPair(pair_id(prompt, target), "", PromptKind.TRUE, -1, list(prompt), list(target))


def alpaca_rows() -> list[dict[str, str]]:
    """Real rows where they lie beside the checkout, else the starter corpus."""
    real = DATA / "alpaca" / "alpaca_sample.json"
    if real.exists():
        return list(json.loads(real.read_text(encoding="utf-8")))
    starter = ROOT / "tss_lab" / "data" / "starter" / "starter.jsonl"
    return [json.loads(line) for line in starter.open(encoding="utf-8")]


def quartile_rows(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Three rows that stand for all: those at the quartiles of the answers' lengths."""
    by_length = sorted(rows, key=lambda row: len(row["output"]))
    return [by_length[len(rows) * quarter // 4] for quarter in (1, 2, 3)]


def instruction_pairs(
    tokenizer: Any, template: str, rows: Sequence[dict[str, str]], k: int, words: int | None
) -> list[TokenPair]:
    """Each row under its own and k other rows' instructions; answers cut to so many words."""
    encoder = PromptEncoder(tokenizer, get_template(template), 2048)
    pool = [row["instruction"] for row in alpaca_rows()[: 64 + k]]
    pairs = []
    for index, row in enumerate(rows):
        others = [other for other in pool[index % 64 :] + pool if other != row["instruction"]][:k]
        output = row["output"] if words is None else " ".join(row["output"].split()[:words])
        encoded = encoder.encode_example([row["instruction"], *others], row["input"], output)
        pairs += [pair_of(prompt, encoded.target_ids) for prompt in encoded.prompt_ids]
    return pairs


def retrieved_pairs(tokenizer: Any, rows: Sequence[dict[str, str]]) -> list[TokenPair]:
    """Inputs of about 300 tokens under nine instructions, input first, answers of up to 60 words."""
    source = [row for row in rows if row["input"]]
    text = " ".join(row["input"] for row in source)
    ids = tokenizer.encode(text, add_special_tokens=False)
    made = [
        {
            "instruction": row["instruction"],
            "input": tokenizer.decode(ids[300 * i : 300 * (i + 1)]),
            "output": row["output"],
        }
        for i, row in enumerate(source[:9])
    ]
    return instruction_pairs(tokenizer, "input_first", made, 8, 60)[: 2 * 9]


def choice_pairs(tokenizer: Any, name: str, num: int) -> list[TokenPair]:
    """Items of a multiple-choice benchmark as lm-eval words them: context and choices."""
    file = {"arc_challenge": "test.jsonl", "hellaswag": "validation.jsonl"}[name]
    folder = DATA / "benchmarks" / name
    if not folder.exists():
        folder = ROOT / "tss_lab" / "evaluation" / "mini" / name
    with (folder / file).open(encoding="utf-8") as stream:
        items = [json.loads(line) for line in islice(stream, num)]
    start = PromptEncoder(tokenizer, get_template("plain"), None).bos_ids
    pairs = []
    for item in items:
        if name == "arc_challenge":
            context, choices = f"Question: {item['question']}\nAnswer:", item["choices"]["text"]
        else:
            context, choices = f"{item['activity_label']}: {item['ctx']}", item["endings"]
        prompt = start + tokenizer.encode(context, add_special_tokens=False)
        pairs += [pair_of(prompt, tokenizer.encode(f" {choice}", add_special_tokens=False)) for choice in choices]
    return pairs


def case_pairs(case: str, tokenizer: Any) -> list[TokenPair]:
    rows = alpaca_rows()
    if case == "long":
        return instruction_pairs(tokenizer, "alpaca", quartile_rows(rows), 4, None)
    if case == "short":
        return instruction_pairs(tokenizer, "alpaca", rows[:5], 4, 6)[:24]
    if case == "retrieved":
        return retrieved_pairs(tokenizer, rows)
    return choice_pairs(tokenizer, case, 8)


def plain_loop(model: Any) -> System:
    """One pair at a time, whole logits, the loss over masked labels: what public IFD scripts do."""

    def run(pairs: Sequence[TokenPair]) -> list[float]:
        found = []
        for pair in pairs:
            ids = torch.tensor([[*pair.prompt_ids, *pair.target_ids]])
            labels = ids.clone()
            labels[0, : len(pair.prompt_ids)] = -100
            with torch.no_grad():
                found.append(-float(model(input_ids=ids, labels=labels).loss) * len(pair.target_ids))
        return found

    return run


def harness(model: Any, tokenizer: Any, batch_size: int) -> System:
    from lm_eval.models.huggingface import HFLM

    language_model = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, device="cpu")

    def run(pairs: Sequence[TokenPair]) -> list[float]:
        requests = [((str(i), ""), list(p.prompt_ids), list(p.target_ids)) for i, p in enumerate(pairs)]
        return [float(value) for value, _ in language_model._loglikelihood_tokens(requests, disable_tqdm=True)]

    return run


def adapter(model: Any, tokenizer: Any) -> System:
    """Ours behind lm-eval's interface."""
    from tss_lab.evaluation.tree_lm import TreeLM

    def score(pairs: Sequence[TokenPair]) -> Any:
        return score_pairs(model, pairs, UNCHECKED)

    language_model = TreeLM(score, pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu")

    def run(pairs: Sequence[TokenPair]) -> list[float]:
        requests = [((str(i), ""), list(p.prompt_ids), list(p.target_ids)) for i, p in enumerate(pairs)]
        return [float(value) for value, _ in language_model._loglikelihood_tokens(requests, disable_tqdm=True)]

    return run


def systems_for(case: str, model: Any, tokenizer: Any) -> dict[str, System]:
    found = {"plain": plain_loop(model)} | {name: harness(model, tokenizer, size) for name, size in HARNESS.items()}
    if case in ("arc_challenge", "hellaswag"):
        return {**found, OURS: adapter(model, tokenizer)}
    return {**found, OURS: lambda pairs: score_pairs(model, pairs, UNCHECKED)[0].tolist()}


def ceiling() -> float:
    """Floating-point operations a CPU second of a large float32 matrix product."""
    left, right = torch.randn(2048, 1024), torch.randn(1024, 2048)
    started = time.process_time()
    for _ in range(6):
        left @ right
    return 6 * 2.0 * 2048 * 1024 * 2048 / (time.process_time() - started)


def tree_flops(config: Any, pairs: Sequence[TokenPair]) -> tuple[float, int]:
    """Operations and tokens of the packs as they are run; target positions that several pairs share count once."""
    from tss_lab.engine.tree import build_pack

    flops, tokens = 0.0, 0
    for indices in pack_indices(pairs, CPU_TOKENS):
        pack = build_pack([(pairs[i].prompt_ids, pairs[i].target_ids) for i in indices])
        attended = float((pack.position_ids_T + 1).sum())
        flops += forward_flops(config, pack.num_tokens, attended, len(np.unique(pack.row_R)))
        tokens += pack.num_tokens
    return flops, tokens


def measure(name: str, case: str, rounds: int) -> dict[str, Any]:
    """One case of one model: CPU seconds of every system, errors, and our share of the ceiling."""
    folder = model_folder(name)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    pairs = case_pairs(case, tokenizer)
    systems = systems_for(case, model, tokenizer)
    truth = np.array([plain_score(model, pair)[0] for pair in pairs])
    seconds: dict[str, list[float]] = {system: [] for system in systems}
    errors: dict[str, float] = dict.fromkeys(systems, 0.0)
    ceilings: list[float] = []
    for round_ in range(rounds + 1):
        for system, run in systems.items():
            if system == OURS:
                ceilings.append(ceiling())
            started = time.process_time()
            found = run(pairs)
            if round_:  # the first round warms up
                seconds[system].append(time.process_time() - started)
            errors[system] = max(errors[system], float(np.abs(np.array(found) - truth).max()))
            if system == OURS:
                ceilings.append(ceiling())
    medians = {system: statistics.median(values) for system, values in seconds.items()}
    best = min(value for system, value in medians.items() if system != OURS)
    flops, tokens = tree_flops(model.config.get_text_config(), pairs)
    return {
        "model": name, "case": case, "threads": torch.get_num_threads(), "pairs": len(pairs), "rounds": rounds,
        "target_tokens": sum(len(p.target_ids) for p in pairs),
        "tokens_unshared": sum(len(p.prompt_ids) + len(p.target_ids) - 1 for p in pairs), "tokens_tree": tokens,
        "cpu_seconds": medians, "all_cpu_seconds": seconds, "largest_error": errors,
        "ratio_to_best_other": best / medians[OURS], "tree_gflop": flops / 1e9,
        "ceiling_gflops": statistics.median(ceilings) / 1e9,
        "share_of_ceiling": flops / medians[OURS] / statistics.median(ceilings),
    }  # fmt: skip


def measure_growth(name: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Ours alone: CPU seconds and tokens as pairs, alternatives and target length grow."""
    folder = model_folder(name)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    rows = alpaca_rows()
    cases = [("pairs", n, instruction_pairs(tokenizer, "alpaca", rows[: n // 4], 3, 20)) for n in sizes]
    cases += [
        ("alternatives", k, instruction_pairs(tokenizer, "alpaca", rows[:17], k, 20)[: 4 * (k + 1)])
        for k in (1, 2, 4, 8, 16)
    ]
    cases += [("target_words", w, instruction_pairs(tokenizer, "alpaca", rows[:4], 3, w)) for w in (1, 4, 16, 64, 256)]
    found = []
    for axis, value, pairs in cases:
        started = time.process_time()
        score_pairs(model, pairs, UNCHECKED)
        cpu_seconds = time.process_time() - started
        cost = pass_cost(model.config.get_text_config(), pairs, pack_indices(pairs, CPU_TOKENS))
        found.append({"model": name, "axis": axis, "value": value, "pairs": len(pairs), "cpu_seconds": cpu_seconds,
                      "tokens_unshared": cost.num_tokens_unshared, "tokens_tree": cost.num_tokens})  # fmt: skip
        print(found[-1])
    return found


def peak_memory(name: str, case: str, threads: int) -> dict[str, float]:
    """Peak resident memory of our pass in a process of its own, beside the size of the weights, in GiB."""
    command = [sys.executable, __file__, "--memory-of", name, "--cases", case, "--threads", str(threads)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    return {key: float(value) for key, value in json.loads(out).items()}


def memory_of(name: str, case: str) -> dict[str, float]:
    folder = model_folder(name)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    pairs = case_pairs(case, tokenizer)
    score_pairs(model, pairs, UNCHECKED)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    # ru_maxrss would carry over the parent's peak through fork and exec; the kernel's own mark starts anew.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
    return {"weights_gib": weights / 2**30, "peak_gib": peak / 2**30, "allowed_gib": 1.3 * weights / 2**30 + 1.0}


def model_folder(name: str) -> Path:
    given = Path(name).expanduser()
    if given.is_dir():
        return given
    content = yaml.safe_load((ROOT / "conf" / "model" / f"{name}.yaml").read_text(encoding="utf-8"))
    return resolve_model(ModelConfig(**content), CACHE).folder


def as_table(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| model | case | threads | pairs | plain | HFLM 1 | HFLM 8 | HFLM 16 | ours | ratio | of ceiling "
        "| error plain | error HFLM | error ours | peak GiB (allowed) |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        s, e, m = r["cpu_seconds"], r["largest_error"], r.get("memory")
        memory = f"{m['peak_gib']:.2f} ({m['allowed_gib']:.2f})" if m else "–"
        cells = [
            r["model"], r["case"], r["threads"], r["pairs"],
            *(f"{s[system]:.2f}" for system in ("plain", *HARNESS, OURS)),
            f"{r['ratio_to_best_other']:.2f}", f"{100 * r['share_of_ceiling']:.0f} %",
            f"{e['plain']:.1e}", f"{max(e[system] for system in HARNESS):.1e}", f"{e[OURS]:.1e}", memory,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def plot(results: Sequence[dict[str, Any]], path: Path) -> None:
    import altair as alt

    rows = [
        {"model": r["model"], "case": r["case"], "system": system, "CPU seconds a pair": value / r["pairs"]}
        for r in results
        for system, value in r["cpu_seconds"].items()
    ]
    chart = alt.Chart(alt.Data(values=rows)).mark_bar().encode(
        x=alt.X("system:N", title=None), y="CPU seconds a pair:Q", color="system:N", column="case:N", row="model:N"
    )  # fmt: skip
    chart.resolve_scale(y="independent").save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["smollm2_135m", "gemma3_270m"])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", nargs="*", type=int, metavar="PAIRS", help="numbers of pairs (default 64 256 1024)")
    parser.add_argument("--no-memory", action="store_true", help="skip the peak memory in a process of its own")
    parser.add_argument("--output", type=Path, default=ROOT / "bench")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if chosen.memory_of:
        print(json.dumps(memory_of(chosen.memory_of, chosen.cases[0])))
        return
    chosen.output.mkdir(parents=True, exist_ok=True)
    if chosen.growth is not None:
        found = [row for name in chosen.models for row in measure_growth(name, chosen.growth or (64, 256, 1024))]
        (chosen.output / "scoring_growth.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
        return
    results = []
    for name in chosen.models:
        for case in chosen.cases:
            results.append(measure(name, case, chosen.rounds))
            if not chosen.no_memory:
                results[-1]["memory"] = peak_memory(name, case, chosen.threads)
            print(as_table(results[-1:]).splitlines()[-1], flush=True)
    (chosen.output / "scoring.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    (chosen.output / "scoring.md").write_text(as_table(results), encoding="utf-8")
    plot(results, chosen.output / "scoring.svg")
    print(as_table(results))


if __name__ == "__main__":
    main()
