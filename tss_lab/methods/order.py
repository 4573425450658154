"""Rankings, and pseudo-random numbers that belong to an example, not to its place in a file."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from tss_lab.errors import DataError
from tss_lab.types import FloatArray, IntArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def seeded_uniform(example_id_N: npt.NDArray[np.object_], seed: int, purpose: str) -> FloatArray:
    """Uniform numbers in [0, 1), a pure function of (example id, seed, purpose): (N,).

    The ids' bytes are folded eight at a time through the SplitMix64 finaliser.
    """
    if len(example_id_N) == 0:
        return np.zeros(0)
    bytes_N = np.char.encode(np.asarray(example_id_N, dtype=np.str_), "utf-8")
    width = -(-bytes_N.dtype.itemsize // 8) * 8
    words_NW = bytes_N.astype(f"S{width}").view(np.uint64).reshape(len(bytes_N), -1)
    start = (seed * 0x100000001B3 + zlib.crc32(purpose.encode())) & 0xFFFFFFFFFFFFFFFF
    state_N = np.full(len(bytes_N), start, dtype=np.uint64)
    for column in words_NW.T:
        state_N = _mix(state_N ^ column)
    return np.asarray((state_N >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(state_N: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state_N = state_N + _GOLDEN
    state_N = (state_N ^ (state_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state_N = (state_N ^ (state_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state_N ^ (state_N >> np.uint64(31))


def rank_by(preference_N: FloatArray, example_id_N: npt.NDArray[np.object_], seed: int) -> IntArray:
    """Rank of each example, 0 for the most preferred: (N,).

    Ties are broken by a number drawn from the seed and the example's id, so that the ranking doesn't
    depend on file order. Raises DataError on NaN.
    """
    if np.isnan(preference_N).any():
        bad = example_id_N[np.flatnonzero(np.isnan(preference_N))[:3]]
        raise DataError(
            f"the scores of {int(np.isnan(preference_N).sum())} examples are NaN "
            f"(first: {', '.join(map(str, bad))}); score them again"
        )
    tie_break_N = seeded_uniform(example_id_N, seed, purpose="ties")
    order_N = np.lexsort((tie_break_N, -preference_N))
    rank_N = np.empty(len(order_N), dtype=np.int64)
    rank_N[order_N] = np.arange(len(order_N))
    return rank_N
