"""Generator ``starter``: alternatives for the starter corpus, written by hand from each input alone.

Whoever wrote them saw no instruction, no output and no label, so that they are what a generator is asked for, without
a generator's faults.
"""

from __future__ import annotations

from pathlib import Path

from tss_lab.alternatives.generators.replay import ReplayGenerator
from tss_lab.config import GeneratorConfig

WRITTEN = Path(__file__).parents[1] / "starter" / "alternatives.jsonl"


def build(config: GeneratorConfig, cache: Path) -> ReplayGenerator:
    """The package's file, whatever ``config.path`` says."""
    return ReplayGenerator(config.model_copy(update={"path": str(WRITTEN)}), cache)
