"""Training on shards: every device holds a part of each weight and gathers a layer while it is computed.

Only the first device reads the model. All of them begin with its outline, whose weights take no memory,
and are given their shards unit by unit.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from accelerate import init_empty_weights
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tss_lab.config import SftConfig
from tss_lab.errors import ModelError, TrainingError
from tss_lab.sft.adapt import prepare_model

log = logging.getLogger(__name__)


def prepared_outline(folder: Path, sft: SftConfig, seed: int) -> Any:
    """The model of ``folder`` as ``prepare_model`` makes it, its parameters without storage.

    Raises ModelError when the folder's config isn't a causal language model's, ConfigError as ``prepare_model``.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with init_empty_weights(include_buffers=False):
            outline = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'} doesn't describe a causal language model: {error}") from error
    outline.tie_weights()  # taking their storage made two of a tied one
    with init_empty_weights(include_buffers=False):
        return prepare_model(outline, sft, seed)


def indivisible(model: nn.Module) -> list[nn.Module]:
    """The modules that the model and the models inside it name as indivisible (its layers), innermost first."""
    names = {
        name
        for part in model.modules()
        if isinstance(part, PreTrainedModel)
        for name in getattr(part, "_no_split_modules", None) or ()
    }
    return [part for part in reversed(list(model.modules())) if type(part).__name__ in names]


def share_out(strategy: ModelParallelStrategy, target: nn.Module, whole: nn.Module | None, *, mixed: bool) -> None:
    """Gives ``target``, an outline, its shards of the first device's ``whole`` model (None on the others).

    Gradients are summed up over devices in float32. With ``mixed`` a layer's weights are gathered and used in
    bfloat16; the shards, which the optimiser changes, are float32 either way.
    """
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if mixed else MixedPrecisionPolicy()
    # The loss's coefficients enter at the root: they stay float32.
    at_root = MixedPrecisionPolicy(policy.param_dtype, policy.reduce_dtype, cast_forward_inputs=False)
    units = indivisible(target)
    if not units:
        log.warning("this model names no indivisible layers, so every device gathers all of it at a time")
    _check_outline(target, whole)
    places, mesh, device = _places(target), strategy.device_mesh["data_parallel"], strategy.root_device
    given = {} if whole is None else dict(whole.named_parameters(remove_duplicate=False))
    for unit in units:
        _fill(unit, places, given, device)
        fully_shard(unit, mesh=mesh, mp_policy=policy)
    _fill(target, places, given, device)
    fully_shard(target, mesh=mesh, mp_policy=at_root)
    _copy_buffers(target, whole, device)


def _check_outline(target: nn.Module, whole: nn.Module | None) -> None:
    """Raises TrainingError when the outline isn't the model: other parameters, or other ones that are tied."""
    names: list[Any] = [None if whole is None else [name for name, _ in whole.named_parameters()]]
    torch.distributed.broadcast_object_list(names, src=0)
    differing = set(names[0]) ^ {name for name, _ in target.named_parameters()}
    if differing:
        raise TrainingError(
            f"the model isn't what its config says ({', '.join(sorted(differing)[:5])}), so it can't be shared out "
            "over devices; take trainer=ddp"
        )


Places = dict[nn.Parameter, list[tuple[nn.Module, str, str]]]
"""Where each parameter stands: module, name there, name in the model. Tied ones stand in several places."""


def _places(model: nn.Module) -> Places:
    found: Places = defaultdict(list)
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            found[parameter].append((module, name, f"{path}.{name}"))
    return found


@torch.no_grad()
def _fill(unit: nn.Module, places: Places, given: Mapping[str, Tensor], device: torch.device) -> None:
    """Replaces the unit's parameters without storage by the first device's, whole."""
    for parameter in [parameter for parameter in unit.parameters() if parameter.is_meta]:
        value = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
        if given:
            value.copy_(given[places[parameter][0][2]])
        torch.distributed.broadcast(value, src=0)
        filled = nn.Parameter(value, requires_grad=parameter.requires_grad)
        for module, name, _ in places[parameter]:
            setattr(module, name, filled)


def _copy_buffers(target: nn.Module, whole: nn.Module | None, device: torch.device) -> None:
    buffers: list[Any] = [None if whole is None else dict(whole.named_buffers())]
    torch.distributed.broadcast_object_list(buffers, src=0)
    for name, value in buffers[0].items():
        path, _, leaf = name.rpartition(".")
        setattr(target.get_submodule(path), leaf, value.to(device))


def share_out_again(target: nn.Module) -> None:
    """Each device keeps its shards alone: a forward pass outside of a training step leaves the outermost ones whole.

    A checkpoint is read into shards, and would find no place in a whole tensor.
    """
    for module in target.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
