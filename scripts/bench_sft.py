"""Target tokens a second and peak memory of fine-tuning, beside transformers' Trainer and TRL's SFTTrainer.

    python scripts/bench_sft.py                                       both offline models, one thread
    python scripts/bench_sft.py --models smollm2_135m --steps 20 --repeats 3 --data my.json

Same model, rows, batches, optimiser (fused AdamW), precision (float32) and number of threads. Each run is
a process of its own; the contenders alternate, and medians and ratios are reported. Loading isn't counted;
peak memory is the process's. On a machine that does other work too, compare the CPU-seconds. Gemma-3-270M
under Trainer takes up to 20 GiB. Writes bench/sft.json and bench/sft.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from tss_lab.config import ModelConfig, SftConfig, TrainerConfig
from tss_lab.models import load_model, load_tokenizer, resolve_model
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.sft.plan import TrainingPlan, plan_training
from tss_lab.types import Example

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path("~/.cache/tss_lab").expanduser()
ROWS = (ROOT.parent / "shared/data/alpaca/alpaca_random.json", ROOT / "tss_lab/data/starter/starter.jsonl")
"""Real rows where they lie beside the checkout, else the starter corpus."""
CONTENDERS = ("tss_lab", "trainer", "trl")


class Clock:
    """Seconds between the first and the last step, of the wall and of the processor."""

    def start(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["smollm2_135m", "gemma3_270m"], help="names in conf/model")
    parser.add_argument("--data", type=Path, default=next(path for path in ROWS if path.exists()))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens-per-pack", type=int, default=512)
    parser.add_argument("--logits-memory-mb", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--out", type=Path, default=ROOT / "bench")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        torch.set_num_threads(arguments.threads)
        name, model = arguments.one.split(":")
        sys.stdout.write("\nRESULT " + json.dumps(run_one(name, model, arguments)) + "\n")
        return
    names = [name for name in arguments.contenders if name != "trl" or importlib.util.find_spec("trl")]
    if len(names) < len(arguments.contenders):
        sys.stderr.write("trl is not installed and is left out\n")
    runs = []
    for model in arguments.models:
        for repeat in range(arguments.repeats):
            for name in names:
                runs.append(in_own_process(name, model))
                rate = runs[-1]["target_tokens"] / runs[-1]["cpu_seconds"]
                note = f"{rate:.1f} target tokens a CPU-second, {runs[-1]['peak_gib']:.2f} GiB"
                sys.stderr.write(f"{model}, round {repeat + 1}, {name}: {note}\n")
    summary = [row for model in arguments.models for row in summarise([r for r in runs if r["model"] == model], names)]
    settings = {name: str(value) for name, value in vars(arguments).items() if name not in ("one", "out", "data")}
    arguments.out.mkdir(parents=True, exist_ok=True)
    content = {"settings": settings | {"data": arguments.data.name}, "summary": summary, "runs": runs}
    (arguments.out / "sft.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (arguments.out / "sft.md").write_text(as_table(summary), encoding="utf-8")
    sys.stdout.write(as_table(summary))


def in_own_process(name: str, model: str) -> dict[str, Any]:
    command = [sys.executable, *sys.argv, "--one", f"{name}:{model}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{name} ended with code {done.returncode}:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return result


def summarise(runs: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Medians of each contender, their ratios to tss_lab, and how far its losses are from tss_lab's."""
    rows = []
    ours = next((run for run in runs if run["name"] == "tss_lab"), None)
    for name in names:
        own = [run for run in runs if run["name"] == name]
        rows.append(
            {
                "model": own[0]["model"],
                "name": name,
                "target_tokens_per_cpu_second": statistics.median(r["target_tokens"] / r["cpu_seconds"] for r in own),
                "target_tokens_per_second": statistics.median(r["target_tokens"] / r["seconds"] for r in own),
                "peak_gib": statistics.median(r["peak_gib"] for r in own),
            }
        )
        if ours:
            rows[-1]["largest_loss_difference"] = max(
                abs(a - b) for run in own for a, b in zip(run["losses"], ours["losses"], strict=True)
            )
    for row in rows:
        if ours:
            row["speed_of_tss_lab"] = rows[0]["target_tokens_per_cpu_second"] / row["target_tokens_per_cpu_second"]
            row["memory_of_tss_lab"] = rows[0]["peak_gib"] / row["peak_gib"]
    return rows


def as_table(summary: list[dict[str, Any]]) -> str:
    names = list(summary[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += [
        "| " + " | ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()) + " |"
        for row in summary
    ]
    return "\n".join(lines) + "\n"


def run_one(name: str, model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    text = arguments.data.read_text(encoding="utf-8")
    lines = text.split("\n")
    records = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in lines if line]
    examples = [
        Example(str(index), record["instruction"], record.get("input", ""), record["output"])
        for index, record in enumerate(records[: arguments.steps * arguments.batch])
    ]
    content = yaml.safe_load((ROOT / "conf" / "model" / f"{model}.yaml").read_text(encoding="utf-8"))
    folder = resolve_model(ModelConfig(**content), CACHE).folder
    tokenizer = load_tokenizer(folder)
    sft = SftConfig(
        learning_rate=1e-5,
        max_steps=arguments.steps,
        batch_size=arguments.batch,
        tokens_per_pack=arguments.tokens_per_pack,
        logits_memory_mb=arguments.logits_memory_mb,
        reduction="token",
        schedule="constant",
        warmup_ratio=0.0,
        checkpoint_every=10**9,
    )
    plan = plan_training(
        examples, np.ones(len(examples)), PromptEncoder(tokenizer, get_template("alpaca"), 2048), sft, 0
    )
    clock = Clock()
    if name == "tss_lab":
        losses = run_tss_lab(folder, plan, sft, clock)
    else:
        losses = run_trainer(name, folder, plan, sft, tokenizer, clock)
    return {
        "model": model,
        "name": name,
        "seconds": clock.wall,
        "cpu_seconds": clock.cpu,
        "target_tokens": plan.target_tokens,
        "tokens": plan.tokens,
        # The kernel's own mark; ru_maxrss would carry over the parent's.
        "peak_gib": int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) / 2**20,
        "losses": losses,
    }


def run_tss_lab(base: Path, plan: TrainingPlan, sft: SftConfig, clock: Clock) -> list[float]:
    import pytorch_lightning as pl

    from tss_lab.models import model_config
    from tss_lab.sft.adapt import prepare_model
    from tss_lab.sft.inputs import TargetModel
    from tss_lab.sft.module import WeightedTuning
    from tss_lab.sft.packing import decided
    from tss_lab.sft.trainer import make_trainer

    class Timing(pl.Callback):
        def on_train_start(self, *_: Any) -> None:
            clock.start()

        def on_train_end(self, *_: Any) -> None:
            clock.stop()

    sft = decided(sft, model_config(base))
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(TrainerConfig(accelerator="cpu"), plan.steps, sft, Path(folder), [])
        trainer.callbacks.append(Timing())  # type: ignore[attr-defined]
        model = prepare_model(load_model(base), sft, 0)
        module = WeightedTuning(TargetModel(model, sft), plan, [], sft, 0)
        with module.attention:
            trainer.fit(module)
    return [entry["loss"] for entry in module.curve]


def run_trainer(name: str, base: Path, plan: TrainingPlan, sft: SftConfig, tokenizer: Any, clock: Clock) -> list[float]:
    """transformers' Trainer, or TRL's SFTTrainer, on the plan's batches in the plan's order."""
    import datasets
    from torch.utils.data import SequentialSampler
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

    losses: list[float] = []
    common: dict[str, Any] = {
        "per_device_train_batch_size": sft.batch_size,
        "max_steps": plan.steps,
        "learning_rate": sft.learning_rate,
        "lr_scheduler_type": "constant",
        "optim": "adamw_torch_fused",
        "adam_beta1": sft.betas[0],
        "adam_beta2": sft.betas[1],
        "weight_decay": 0.0,
        "max_grad_norm": sft.gradient_clip,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": not torch.cuda.is_available(),
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1,
    }

    class Timing(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            clock.stop()

    def recording(kind: Any) -> Any:
        class Recording(kind):  # type: ignore[misc]
            def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
                return SequentialSampler(self.train_dataset)

            def compute_loss(self, *inputs: Any, **settings: Any) -> Any:
                loss = super().compute_loss(*inputs, **settings)
                losses.append(float((loss[0] if isinstance(loss, tuple) else loss).detach()))
                return loss

        return Recording

    ordered = [plan.rows[row] for step in range(plan.steps) for row in plan.order.rows_of_step(step)]
    rows = datasets.Dataset.from_list(
        [
            {
                "input_ids": [*row.prompt_ids, *row.target_ids],
                "attention_mask": [1] * (len(row.prompt_ids) + row.num_targets),
                "labels": [-100] * len(row.prompt_ids) + row.target_ids,
            }
            for row in ordered
        ]
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    with tempfile.TemporaryDirectory() as folder:
        if name == "trl":
            from trl import SFTConfig, SFTTrainer

            settings = SFTConfig(output_dir=folder, max_length=None, packing=False, **common)
            trainer = recording(SFTTrainer)(
                model=load_model(base),
                args=settings,
                train_dataset=rows,
                processing_class=tokenizer,
                callbacks=[Timing()],
            )
        else:
            trainer = recording(Trainer)(
                model=load_model(base),
                args=TrainingArguments(output_dir=folder, **common),
                train_dataset=rows,
                data_collator=DataCollatorForSeq2Seq(tokenizer),
                callbacks=[Timing()],
            )
        trainer.train()
    return losses


if __name__ == "__main__":
    main()
