"""Which examples meet in which optimiser batch, and in which pack on which device.

Everything is a pure function of (rows, seed, step, world size), so that a run that was killed goes on
with exactly the batches that an unbroken one would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tss_lab.config import SftConfig
from tss_lab.sft.rows import TrainingRow

Pack = list[int]
"""Positions of rows that go through the model together."""


@dataclass(frozen=True)
class BatchOrder:
    """The optimiser batches of a training: a seeded permutation an epoch, cut into batches."""

    num_rows: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.num_rows // self.batch_size)

    def rows_of_step(self, step: int) -> list[int]:
        """Positions of the rows of optimiser step ``step`` (from 0); an epoch's last batch may be smaller."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.num_rows)
        return [int(row) for row in order[batch * self.batch_size : (batch + 1) * self.batch_size]]


def num_steps(order: BatchOrder, rows: Sequence[TrainingRow], config: SftConfig, steps_fraction: float) -> int:
    """Optimiser steps of a training, at least one.

    ``max_target_tokens`` stops before the batch that would overshoot it. ``steps_fraction`` is the share of
    the epochs' steps that is made (``scope: full`` at ρ < 1); a length in steps or tokens is the same for
    all methods already, and stays.
    """
    if config.max_steps is not None:
        return config.max_steps
    if config.epochs is not None:
        return max(1, round(steps_fraction * config.epochs * order.steps_per_epoch))
    assert config.max_target_tokens is not None
    steps, tokens = 0, 0
    while (
        tokens := tokens + sum(rows[row].num_targets for row in order.rows_of_step(steps))
    ) <= config.max_target_tokens:
        steps += 1
    return max(1, steps)


def flat_packs(lengths: Sequence[int], tokens_per_pack: int, world_size: int) -> list[Pack]:
    """Packs of at most ``tokens_per_pack`` tokens, as even as can be; their number divides by the devices.

    The longest row goes first into the emptiest pack. A row longer than a pack has one of its own.
    """
    capacity = max(tokens_per_pack, *lengths)
    count = _round_up(-(-sum(lengths) // capacity), world_size)
    longest_first = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    while True:
        packs: list[Pack] = [[] for _ in range(count)]
        loads = [0] * count
        for row in longest_first:
            emptiest = loads.index(min(loads))
            packs[emptiest].append(row)
            loads[emptiest] += lengths[row]
        if max(loads) <= capacity:
            return packs
        count += world_size


def padded_packs(lengths: Sequence[int], tokens_per_pack: int, world_size: int) -> list[Pack]:
    """Rows of similar length, so many that rows × longest stays within ``tokens_per_pack``."""
    packs: list[Pack] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if packs and lengths[packs[-1][0]] * (len(packs[-1]) + 1) <= tokens_per_pack:
            packs[-1].append(row)
        else:
            packs.append([row])
    while len(packs) % world_size:
        largest = max(packs, key=len)
        half = (len(largest) + 1) // 2
        packs.append(largest[half:])
        del largest[half:]
    return packs


def packs_of_rank(lengths: Sequence[int], config: SftConfig, rank: int, world_size: int) -> list[Pack]:
    """This device's share of a batch's packs: the same number on each, some of them empty if rows are few."""
    cut = padded_packs if config.packing == "padded" else flat_packs
    packs = cut(lengths, config.tokens_per_pack, world_size)
    # The largest first: its activations are gone before the weights' gradients take their room.
    packs.sort(key=lambda pack: -sum(lengths[row] for row in pack))
    return packs[rank::world_size]


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
