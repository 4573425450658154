"""The finished model as a Hugging Face directory with a card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tss_lab.errors import TrainingError
from tss_lab.models import LocalModel
from tss_lab.prompts import PromptEncoder

CARD = "README.md"


def export_model(
    model: Any, encoder: PromptEncoder, base: LocalModel, folder: Path, card: Mapping[str, Any], *, merge_lora: bool
) -> Path:
    """Writes ``folder/model``: safetensors, tokenizer, generation config and card; whole or not at all.

    A LoRA wrapper is merged into the model, or written apart as adapters that name the base model's
    directory. Raises TrainingError when the disk is full.
    """
    target = folder / "model"
    scratch = folder / f".model-{os.getpid()}.tmp"
    is_adapter = hasattr(model, "merge_and_unload")
    try:
        if is_adapter and merge_lora:
            model = model.merge_and_unload()
        elif is_adapter:
            model.peft_config["default"].base_model_name_or_path = str(base.folder)
        model.save_pretrained(scratch)
        encoder.tokenizer.save_pretrained(scratch)
        (scratch / CARD).write_text(card_text(base, card), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(scratch, target)
    except OSError as error:
        raise TrainingError(
            f"can't write the tuned model to {target} ({error}); free some room and run the same command again"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def card_text(base: LocalModel, card: Mapping[str, Any]) -> str:
    """A model card: what it was made of, as a table of everything in ``card``, nested keys joined by dots."""
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [instruction-tuning, task-specificity, tss_lab]",
        "---",
        "",
        f"# {_plain(base.name)}, instruction-tuned",
        "",
        f"Tuned with tss_lab from {_plain(base.name)} (weights sha256 {base.weights_sha256[:16]}; "
        f"licence: {_plain(base.licence)}). "
        "The tuned model stays under the base model's licence and that of its training data.",
        "",
        "| what | value |",
        "|---|---|",
        *(f"| {_plain(name)} | {_plain(value)} |" for name, value in _flat(card)),
        "",
    ]
    return "\n".join(lines)


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in content.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    for mark, escaped in (("\n", " "), ("|", "\\|"), ("<", "&lt;")):
        text = text.replace(mark, escaped)
    return text
