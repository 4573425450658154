"""What methods and choosers may look at, for a run and for the Python interface alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tss_lab.config import RunConfig
from tss_lab.methods import Evidence
from tss_lab.store import Store
from tss_lab.types import Example, FloatArray, Likelihoods

if TYPE_CHECKING:
    from tss_lab.alternatives.embed import Embedder
    from tss_lab.models.prompted import PromptedModel


class LazyEmbedder:
    """The run's embedding model: found when it is first called for, and the same one afterwards."""

    def __init__(self, config: RunConfig, store: Store):
        self._config, self._store = config, store
        self._found: Embedder | None = None

    def __call__(self) -> Embedder:
        """Raises ModelError where it can't be had."""
        if self._found is None:
            from tss_lab.alternatives.embed import Embedder

            self._found = Embedder(self._config.alternatives.embedder, self._store, self._config.paths.cache)
        return self._found

    def known(self, texts: Sequence[str]) -> FloatArray | None:
        """Vectors of texts that all have one in the store; None where not, or where nothing called for it yet."""
        vectors = None if self._found is None else self._found.known(texts)
        return None if vectors is None else np.asarray(vectors, dtype=np.float64)


def evidence_of(
    examples: Sequence[Example], table: Likelihoods | None, model: Callable[[], PromptedModel],
    embedder: LazyEmbedder,
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

    return Evidence(examples, table, lambda: model().count_tokens(outputs), embed, lambda: embedder.known(instructions))
