"""The values that checks judge, as far as they need no forward pass of the model: seconds for any data set."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tss_lab.config import DoctorConfig, EvalConfig, RunConfig, TrainerConfig
from tss_lab.data import Dataset, special_token_rows
from tss_lab.doctor.contamination import Items, find_items
from tss_lab.doctor.copies import Rows
from tss_lab.doctor.machine import Machine, Use
from tss_lab.doctor.tokens import Tokens
from tss_lab.errors import DataError, EvaluationError
from tss_lab.evaluation.benchmarks import local_folder
from tss_lab.methods import Needs
from tss_lab.models import LocalModel
from tss_lab.models.devices import accelerator
from tss_lab.models.prompted import PromptedModel
from tss_lab.types import Example, PromptKind

_STORED_BYTES = 200
"""Of a pair in the store's table, at most."""
_WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_One = TypeVar("_One")


def spaced(values: Sequence[_One], count: int) -> list[_One]:
    """At most ``count`` of the values, evenly spaced."""
    count = min(count, len(values))
    return [values[number * len(values) // count] for number in range(count)]


def rows_of(dataset: Dataset, doctor: DoctorConfig) -> Rows:
    dropped = dataset.check.set_aside["duplicate"]
    return Rows(dataset.examples, dataset.held_out, dropped, doctor.similarity)


def tokens_of(dataset: Dataset, model: PromptedModel, kinds: frozenset[PromptKind], doctor: DoctorConfig) -> Tokens:
    """The ids of at most ``doctor.rows`` examples under their own instructions."""
    examples, encoded, merged, refused = [], [], [], []
    for example in spaced(dataset.examples, doctor.rows):
        try:
            found = model.encoder.encode_example([example.instruction], example.input, example.output)
        except DataError as error:
            refused.append(str(error))
            continue
        examples.append(example)
        encoded.append(found)
        merged.append(model.encoder.merges_across_boundary(example.instruction, example.input, example.output))
    spelled = dataset.check.special_tokens
    if spelled is None:
        spelled = special_token_rows([*dataset.examples, *dataset.held_out], model.encoder.tokenizer)
    return Tokens(
        examples_N=examples,
        prompt_ids_N=[one.prompt_ids[0] for one in encoded],
        target_ids_N=[one.target_ids for one in encoded],
        truncated_N=[one.truncated[0] for one in encoded],
        merged_N=merged,
        refused=refused,
        bos_ids=model.encoder.bos_ids,
        max_length=model.encoder.max_length,
        kinds=kinds,
        rows_by_special_token=spelled.rows_by_token,
        rows_with_special_tokens=spelled.rows,
    )


def items_of(config: EvalConfig, examples: Sequence[Example], ngram: int, *, may_fetch: bool) -> Items | str:
    """Where the evaluation's items stand in the data; or why that can't be told."""
    from tss_lab.evaluation.items import read_items

    if config.name == "none":
        return "eval=none names no benchmark; with eval=paper or eval=mini their items are looked for in the data"
    if not may_fetch and local_folder(config) is None:
        return "the items come from the Hugging Face hub; stages=[doctor] fetches them"
    try:
        items = read_items(config)
    except EvaluationError as error:
        return str(error)
    return find_items(items, examples, ngram)


def pairs_an_example(config: RunConfig, needs: Needs) -> int:
    """Pairs that the method's score is made of, an example; as many alternatives as are asked for."""
    of_kind = {
        PromptKind.TRUE: 1, PromptKind.UNCONDITIONAL: 1,
        PromptKind.ALTERNATIVE: config.alternatives.k * (2 if config.alternatives.kind == "mixed" else 1),
    }  # fmt: skip
    return sum(of_kind[kind] for kind in needs.kinds)


def machine_of(config: RunConfig, local: LocalModel, num_pairs: int, *, trains: bool) -> Machine:
    """What scoring and, where it is asked for, training need of memory and disks, and what is free."""
    free, where = free_memory(config.trainer)
    weights = num_parameters(local.folder)
    scoring = _WEIGHT_BYTES[config.scoring.dtype] * weights + (config.scoring.logits_memory_mb << 20)
    memory = [Use("scoring", scoring, free, where)]
    store = config.paths.store
    disks = [Use("scoring", _STORED_BYTES * num_pairs, _free_on_disk(store), "in paths.store")]
    if trains:
        from tss_lab.sft.ready import TrainingSize, room_for_training
        from tss_lab.sft.sharding import prepared_outline

        size = TrainingSize.of(prepared_outline(local.folder, config.sft, seed=0), config.sft)
        moments = 3 * _WEIGHT_BYTES["float32"] * size.trained  # gradients are as large as each of the two moments
        needed = _WEIGHT_BYTES["float32"] * weights + moments
        memory.append(Use("training without its activations", needed, free, where))
        written = size.bytes_on_disk(config.sft.checkpoint_every, config.sft.max_steps)
        room = room_for_training(config.paths.runs / config.run_name)
        disks.append(Use("training", written, room, "in paths.runs"))
    return Machine(memory, disks)


def free_memory(trainer: TrainerConfig) -> tuple[int, str]:
    """Bytes that the run's device has left, and which memory that is."""
    if accelerator(trainer) == "gpu":
        import torch

        return int(torch.cuda.mem_get_info()[0]), "on the GPU"
    import psutil

    return int(psutil.virtual_memory().available), "in memory"


def num_parameters(folder: Path) -> int:
    """Weights in the safetensors files of a model's folder; none is read."""
    from safetensors import safe_open

    found = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as weights:
            found += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return found


def _free_on_disk(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
