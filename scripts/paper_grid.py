"""The paper's grid: nine (model, dataset) pairs, seven methods, five budgets, several seeds.

    python scripts/paper_grid.py             # prints the commands
    python scripts/paper_grid.py --run       # runs them one after the other

Scoring is shared by all runs of a pair, so a pair costs one likelihood pass, 36 trainings a seed and their
evaluations. Needs GPUs and access to the models on the Hub; not run by us at this size. Several GPUs a run:

    python scripts/paper_grid.py --torchrun 8 trainer=ddp
        a command a run, each started by torchrun with 8 processes
    python scripts/paper_grid.py hydra/launcher=submitit_slurm hydra.launcher.tasks_per_node=8 \\
            hydra.launcher.gpus_per_node=8 trainer=ddp trainer.devices=8
        a SLURM job a run (pip install -e '.[cluster]')
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import subprocess
import sys

MODELS = ("gemma", "llama", "qwen")
DATASETS = ("alpaca", "dolly", "ni20")
METHODS = "random,ppl,ifd,tss,tss_exp,tss_pp,tss_pp_exp"
BUDGETS = "0.05,0.15,0.45,0.75,1.0"


def commands(seeds: str, extra: list[str], processes: int | None = None) -> list[list[str]]:
    """Each model without tuning; for each pair all of its data, and the sweep over methods and budgets.

    With ``processes`` a sweep is a command a run, started by torchrun: under it no run can be part of a sweep.
    """
    start = [sys.executable, "-m", "tss_lab"]
    found = [[*start, *zero_shot(model)] for model in MODELS]
    for model, dataset in itertools.product(MODELS, DATASETS):
        experiment = f"+experiment={model}_{dataset}"
        for methods, budgets in (("full", "1.0"), (METHODS, BUDGETS)):
            if processes is None:
                found.append([*start, "-m", experiment, f"method={methods}", f"rho={budgets}", f"seed={seeds}", *extra])
                continue
            launch = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}", "-m", "tss_lab"]
            for method, rho, seed in itertools.product(methods.split(","), budgets.split(","), seeds.split(",")):
                found.append([*launch, experiment, f"method={method}", f"rho={rho}", f"seed={seed}", *extra])
    return found


def zero_shot(model: str) -> list[str]:
    """The untuned model's benchmarks: no training, and the data that need no download stand in for a dataset."""
    data = ["dataset=starter", "dataset.held_out=0"]
    return [f"+experiment={model}_alpaca", *data, "method=full", "stages=[evaluation]", f"run_name={model}-zero-shot"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the commands instead of printing them")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated (default: %(default)s)")
    parser.add_argument("--torchrun", type=int, metavar="N", help="a command a run, over N processes, without -m")
    parser.add_argument("overrides", nargs="*", help="further settings for every training, such as sft.epochs=2")
    arguments = parser.parse_args()
    for command in commands(arguments.seeds, arguments.overrides, arguments.torchrun):
        sys.stdout.write(shlex.join(command) + "\n")
        sys.stdout.flush()
        if arguments.run:
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
