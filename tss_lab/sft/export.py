"""The finished model as a Hugging Face directory that says how to prompt it."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tss_lab.errors import TrainingError
from tss_lab.models import LocalModel
from tss_lab.prompts import PromptEncoder
from tss_lab.sft.card import card_text
from tss_lab.sft.sample import OutputSample

CARD = "README.md"


def export_model(
    model: Any,
    encoder: PromptEncoder,
    base: LocalModel,
    folder: Path,
    card: Mapping[str, Any],
    sample: OutputSample | None,
    *,
    merge_lora: bool,
) -> Path:
    """Writes ``folder/model``, whole or not at all: safetensors, tokenizer, generation config and card.

    Its chat template renders the prompts that it was tuned on, and generation ends where its targets did.
    A LoRA wrapper is merged into the model, or written apart as adapters that name the base model's
    directory. Raises TrainingError when the disk is full.
    """
    target = folder / "model"
    scratch = folder / f".model-{os.getpid()}.tmp"
    adapters = hasattr(model, "merge_and_unload") and not merge_lora
    try:
        if adapters:
            model.peft_config["default"].base_model_name_or_path = str(base.folder)
        elif hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        model.save_pretrained(scratch)
        _generation_config(model, encoder).save_pretrained(scratch)
        tokenizer = copy.deepcopy(encoder.tokenizer)  # the base model's is still in use
        tokenizer.chat_template = encoder.chat_template()
        tokenizer.save_pretrained(scratch)
        (scratch / CARD).write_text(card_text(base, card, encoder, sample, adapters=adapters), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(scratch, target)
    except OSError as error:
        raise TrainingError(
            f"can't write the tuned model to {target} ({error}); free some room and run the same command again"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _generation_config(model: Any, encoder: PromptEncoder) -> Any:
    """The base model's, which also ends at what ended the training targets."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = copy.deepcopy(inner.generation_config)
    known = config.eos_token_id
    ends = [encoder.end_ids()[-1], *(known if isinstance(known, list) else [] if known is None else [known])]
    config.eos_token_id = list(dict.fromkeys(ends))
    return config
