"""What methods, benchmarks and their sum are called where runs are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tss_lab.report.numbers import method_title

PAPER_METHODS = ("random", "ppl", "ifd", "tss", "tss_exp", "tss_pp", "tss_pp_exp")
PAPER_RHOS = (0.05, 0.15, 0.45, 0.75, 1.0)
_BENCHMARKS = {
    "arc_challenge": "ARC-Challenge", "mmlu": "MMLU", "hellaswag": "HellaSwag", "truthfulqa_mc1": "TruthfulQA-MC1",
}  # fmt: skip


def is_demonstration(config: Mapping[str, Any]) -> bool:
    """Whether ``eval`` is the items that travel with the package."""
    return config.get("name") == "mini"


def benchmark_title(name: str, config: Mapping[str, Any]) -> str:
    """A benchmark's name; demonstration items are called that, never by a benchmark's name alone."""
    title = _BENCHMARKS.get(name, name)
    return f"{title}-style demonstration items" if is_demonstration(config) else title


def method_order(name: str) -> tuple[int, str]:
    """The paper's methods in the paper's order, then others by name."""
    return (PAPER_METHODS.index(name) if name in PAPER_METHODS else len(PAPER_METHODS), name)


def method_label(name: str, variant: str) -> str:
    """A method's title, with the settings that tell its variants apart."""
    return f"{method_title(name)} ({variant})" if variant else method_title(name)
