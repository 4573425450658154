"""What methods and choosers may look at, for a run and for the Python interface alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tss_lab.config import RunConfig
from tss_lab.errors import ModelError
from tss_lab.methods import Evidence
from tss_lab.store import Store
from tss_lab.types import Example, FloatArray, Likelihoods

if TYPE_CHECKING:
    from tss_lab.alternatives.embed import Embedder
    from tss_lab.models.prompted import PromptedModel


def evidence_of(
    examples: Sequence[Example], table: Likelihoods | None, config: RunConfig, model: Callable[[], PromptedModel],
    store: Store,
) -> Evidence:  # fmt: skip
    """Evidence of the examples that ``table`` holds, in its order; of all of them where no likelihood was taken.

    Args:
        model: whose tokens are counted; called, as embeddings are made, when a method or a chooser reads them.
    """
    if table is not None:
        by_id = {example.example_id: example for example in examples}
        examples = [by_id[str(example_id)] for example_id in table.example_id_N]
    outputs, instructions = [one.output for one in examples], [one.instruction for one in examples]

    def embedder() -> Embedder:
        from tss_lab.alternatives.embed import Embedder

        return Embedder(config.alternatives.embedder, store, config.paths.cache)

    def embed() -> FloatArray:
        return np.asarray(embedder().embed(instructions), dtype=np.float64)

    def known() -> FloatArray | None:
        if not (store.root / "embeddings").is_dir():
            return None
        try:
            found = embedder().known(instructions)
        except ModelError:  # an embedder that can't be had now has nothing at hand
            return None
        return None if found is None else np.asarray(found, dtype=np.float64)

    return Evidence(examples, table, lambda: model().count_tokens(outputs), embed, known)
