"""A few greedy outputs before and after tuning, for the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch

from tss_lab.prompts import PromptEncoder
from tss_lab.types import Example

NUM_SHOWN = 3
MAX_NEW_TOKENS = 64
_LONGEST_PROMPT = 512


@dataclass(frozen=True)
class OutputSample:
    """Greedy outputs of some examples, in their order; ``held_out``: the training doesn't see these examples."""

    examples: list[Example]
    held_out: bool
    before: list[str]
    after: list[str]


def sample_before(
    model: Any,
    held_out: Sequence[Example],
    trained_on: Sequence[Example],
    encoder: PromptEncoder,
    device: torch.device | str,
) -> OutputSample:
    """What the untuned model answers to a few held-out examples, or to some of the training set if there are none."""
    examples = examples_to_show(held_out or trained_on, encoder)
    return OutputSample(examples, bool(held_out), greedy_outputs(model, examples, encoder, device), [])


def sample_after(sample: OutputSample, model: Any, encoder: PromptEncoder, device: torch.device | str) -> OutputSample:
    """The same examples, answered by the tuned model."""
    return replace(sample, after=greedy_outputs(model, sample.examples, encoder, device))


def examples_to_show(examples: Sequence[Example], encoder: PromptEncoder) -> list[Example]:
    """The first few whose prompts are short enough to answer quickly and to be read."""
    short = (
        example
        for example in examples
        if len(encoder.prompt_ids(example.instruction, example.input)) <= _LONGEST_PROMPT
    )
    return list(islice(short, NUM_SHOWN))


def greedy_outputs(
    model: Any, examples: Sequence[Example], encoder: PromptEncoder, device: torch.device | str
) -> list[str]:
    """What the model answers, each next token the most probable, up to its end or ``MAX_NEW_TOKENS``.

    The model works on ``device`` and comes back as it was: its device, its mode, its generation config.
    Takes at most ``MAX_NEW_TOKENS`` forward passes.
    """
    from transformers import GenerationConfig

    if not examples:
        return []
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    was_training, own_config, home = model.training, inner.generation_config, inner.device
    end = encoder.end_ids()[-1]
    prompts = [encoder.prompt_ids(example.instruction, example.input) for example in examples]
    longest = max(map(len, prompts))
    ids_BT = torch.tensor([[end] * (longest - len(ids)) + ids for ids in prompts], device=device)
    mask_BT = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
    try:
        model.to(device).eval()
        # The model's own settings may hold a temperature or a penalty for repetitions.
        inner.generation_config = GenerationConfig(
            max_new_tokens=MAX_NEW_TOKENS, do_sample=False, eos_token_id=end, pad_token_id=end
        )
        with torch.no_grad():
            written_BT = inner.generate(ids_BT, attention_mask=mask_BT)[:, longest:].tolist()
    finally:
        inner.generation_config = own_config
        model.to(home).train(was_training)
    return [
        encoder.tokenizer.decode(ids[: ids.index(end)] if end in ids else ids, skip_special_tokens=True)
        for ids in written_BT
    ]
