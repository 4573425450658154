"""Which parts of a model are trained, counted and sharded as one, for models that name them differently."""

from __future__ import annotations

from collections import Counter

import pytest
from architectures import BUILDERS
from training import make_sft

from tss_lab.sft.adapt import parameter_counts, parameters_text_never_meets, prepare_model
from tss_lab.sft.sharding import indivisible

LAYERS = {
    "llama": "LlamaDecoderLayer",
    "gemma3": "Gemma3DecoderLayer",
    "qwen3": "Qwen3DecoderLayer",
    "gpt2": "GPT2Block",
    "opt": "OPTDecoderLayer",
    "gemma3_vision": "Gemma3DecoderLayer",
}


@pytest.mark.parametrize("name", BUILDERS)
def test_layers_are_found_in_any_model(name: str) -> None:
    """Under adapters too; what is inside another comes before it."""
    pytest.importorskip("peft")
    model = BUILDERS[name]()[0]
    found = indivisible(prepare_model(model, make_sft(lora={"rank": 2}), seed=0))
    assert Counter(type(module).__name__ for module in found)[LAYERS[name]] == 3
    for index, module in enumerate(found):
        assert not set(module.modules()) & set(found[index + 1 :])


@pytest.mark.parametrize("name", BUILDERS)
def test_all_parameters_are_trained_that_text_meets(name: str) -> None:
    model = BUILDERS[name]()[0]
    prepare_model(model, make_sft(), seed=0)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    unmet = {name for name, _ in model.named_parameters() if "vision_tower" in name or "multi_modal_projector" in name}
    assert frozen == unmet
    assert bool(unmet) == (name == "gemma3_vision")
    assert len(parameters_text_never_meets(model)) == len(unmet)


def test_counts_of_a_model_with_a_vision_tower_are_its_text_models() -> None:
    alone, beside = (
        parameter_counts(prepare_model(BUILDERS[name]()[0], make_sft(), 0)) for name in ("gemma3", "gemma3_vision")
    )
    assert alone == beside


def test_no_adapters_where_text_never_comes() -> None:
    pytest.importorskip("peft")
    model = prepare_model(BUILDERS["gemma3_vision"]()[0], make_sft(lora={"rank": 2}), seed=0)
    adapters = [name for name, _ in model.named_parameters() if "lora_" in name]
    assert len(adapters) == 2 * 3 * 7
    assert all("language_model" in name for name in adapters)
    named = prepare_model(
        BUILDERS["gemma3_vision"]()[0], make_sft(lora={"rank": 2, "target_modules": ["q_proj"]}), seed=0
    )
    assert sum("lora_A" in name for name, _ in named.named_parameters()) == 3
