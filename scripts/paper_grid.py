"""The paper's grid: nine (model, dataset) pairs, seven methods, five budgets, several seeds.

    python scripts/paper_grid.py             # prints the commands
    python scripts/paper_grid.py --run       # runs them one after the other

Scoring is shared by all runs of a pair, so a pair costs one likelihood pass, 105 trainings and their
evaluations. Needs GPUs and access to the models on the Hub; not run by us at this size.
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


def commands(seeds: str, extra: list[str]) -> list[list[str]]:
    """For each pair: zero-shot, all of the data, and the sweep over methods and budgets."""
    start = [sys.executable, "-m", "tss_lab"]
    found = []
    for model, dataset in itertools.product(MODELS, DATASETS):
        experiment = f"+experiment={model}_{dataset}"
        found.append(
            [*start, experiment, "method=full", "stages=[evaluation]", "run_name=" + f"{model}-zero-shot", *extra]
        )
        found.append([*start, "-m", experiment, "method=full", "rho=1.0", f"seed={seeds}", *extra])
        found.append([*start, "-m", experiment, f"method={METHODS}", f"rho={BUDGETS}", f"seed={seeds}", *extra])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the commands instead of printing them")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated (default: %(default)s)")
    parser.add_argument("overrides", nargs="*", help="further settings for every command, such as trainer=ddp")
    arguments = parser.parse_args()
    for command in commands(arguments.seeds, arguments.overrides):
        sys.stdout.write(shlex.join(command) + "\n")
        sys.stdout.flush()
        if arguments.run:
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
