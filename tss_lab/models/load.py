"""Loading: safetensors only, no remote code, frozen or trainable."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

from tss_lab.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a local model directory. Raises ModelError when there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} has no tokenizer that can be loaded: {error}; save one there with save_pretrained()"
        ) from error
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer in {folder} has no fast version (tokenizer.json); tss_lab needs its character offsets"
        )
    return tokenizer


def load_model(
    folder: Path, dtype: str = "float32", attention: str | None = None, device: str = "cpu"
) -> PreTrainedModel:
    """A causal language model in evaluation mode.

    Args:
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        attention: name of a registered attention implementation; None for the model's default.
    """
    import torch
    from transformers import AutoModelForCausalLM

    quiet_transformers()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            local_files_only=True,
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"can't load a causal language model from {folder}: {error}") from error
    return model.to(device).eval()


def quiet_transformers() -> None:
    """Turns off the bars for single weights and shards: they last a moment and scroll the screen."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def free_memory() -> None:
    """Gives back what a finished step held; jobs of a sweep share one process."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
