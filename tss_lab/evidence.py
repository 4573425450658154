"""What methods and choosers may look at, for a run and for the Python interface alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tss_lab.config import RunConfig
from tss_lab.methods import Evidence
from tss_lab.store import Store
from tss_lab.types import Example, FloatArray, Likelihoods

if TYPE_CHECKING:
    from tss_lab.alternatives.embed import Embedder
    from tss_lab.models.prompted import PromptedModel


def embedder_of(config: RunConfig, store: Store) -> Callable[[], Embedder]:
    """What finds the run's embedding model when it is first needed, and gives the same one afterwards."""

    @cache
    def embedder() -> Embedder:
        from tss_lab.alternatives.embed import Embedder

        return Embedder(config.alternatives.embedder, store, config.paths.cache)

    return embedder


def evidence_of(
    examples: Sequence[Example], table: Likelihoods | None, model: Callable[[], PromptedModel],
    embedder: Callable[[], Embedder],
) -> Evidence:  # fmt: skip
    """Evidence of the examples that ``table`` holds, in its order; of all of them where no likelihood was taken.

    Args:
        model, embedder: whose tokens are counted, and what embeds; called when a method or a chooser reads it.
    """
    if table is not None:
        by_id = {example.example_id: example for example in examples}
        examples = [by_id[str(example_id)] for example_id in table.example_id_N]
    outputs, instructions = [one.output for one in examples], [one.instruction for one in examples]

    def embed() -> FloatArray:
        return np.asarray(embedder().embed(instructions), dtype=np.float64)

    return Evidence(examples, table, lambda: model().count_tokens(outputs), embed)
