"""A small corpus, a plan of it, and a pass over it under a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tss_lab.config import ModelConfig, ScoringConfig, TrainerConfig
from tss_lab.models import load_tokenizer, resolve_model
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.scoring import LikelihoodRun, Plan, compute_likelihoods, plan_pairs
from tss_lab.store import Store
from tss_lab.types import Alternative, Example, PromptKind

ALL_KINDS = frozenset(PromptKind)
CPU = TrainerConfig(accelerator="cpu")


def corpus(num: int) -> tuple[list[Example], dict[str, list[Alternative]]]:
    """Examples with and without input, each with three alternatives."""
    examples = [
        Example(f"e{i}", f"Name {i} things.", "The cat sat on the mat." if i % 2 else "", "red, green " * (1 + i % 5))
        for i in range(num)
    ]
    texts = ["Translate the sentence.", "Summarise the text in one sentence.", "List three colours."]
    alternatives = {
        e.example_id: [Alternative(e.example_id, k, t, "generated") for k, t in enumerate(texts)] for e in examples
    }
    return examples, alternatives


class Bench:
    """A tiny model in a folder, with everything to score a corpus under it."""

    def __init__(self, folder: Path, tmp_path: Path, **scoring: Any):
        self.local = resolve_model(ModelConfig(name="tiny", path=str(folder)), tmp_path / "cache")
        self.encoder = PromptEncoder(load_tokenizer(folder), get_template("alpaca"), scoring.get("max_length", 512))
        self.scoring = ScoringConfig(**{"tokens_per_pack": 200, **scoring})
        self.store = Store(tmp_path / "store")

    def plan(self, num: int = 6, kinds: frozenset[PromptKind] = ALL_KINDS) -> Plan:
        return plan_pairs(*corpus(num), kinds, self.encoder)

    def run(self, plan: Plan, **settings: Any) -> LikelihoodRun:
        return compute_likelihoods(plan, self.local, self.encoder, self.scoring, CPU, self.store, **settings)


@pytest.fixture
def bench(tiny_model_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Bench]:
    """``bench("llama", max_length=..., ...)`` -> a Bench with a store of its own."""

    def make(name: str = "llama", **scoring: Any) -> Bench:
        return Bench(tiny_model_folder(name), tmp_path, **scoring)

    return make
