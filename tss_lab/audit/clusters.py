"""Instructions that lie together by their embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tss_lab.types import FloatArray

_LONGEST = 45


def clusters(instructions: Sequence[str], embedding_ND: FloatArray, number: int, seed: int) -> list[str]:
    """The k-means cluster of each instruction, called by the instruction nearest to its centre."""
    from sklearn.cluster import MiniBatchKMeans

    distinct = len(np.unique(embedding_ND, axis=0)) if len(embedding_ND) <= 4 * number else number
    model = MiniBatchKMeans(min(number, distinct), batch_size=4096, n_init=3, random_state=seed)
    distance_NC = model.fit_transform(embedding_ND)
    cluster_N = distance_NC.argmin(axis=1)
    names = {}
    for cluster in np.unique(cluster_N):
        mine = np.flatnonzero(cluster_N == cluster)
        nearest = mine[distance_NC[mine, cluster].argmin()]
        names[int(cluster)] = f"{cluster + 1}: “{_short(instructions[nearest])}”"
    return [names[int(cluster)] for cluster in cluster_N]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST].rstrip()} …"
