"""From a model's config to a local directory and a fingerprint of what is in it.

Nothing here loads weights into memory, so that a run which finds everything in the store stays light.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tss_lab.config import ModelConfig
from tss_lab.errors import ModelError
from tss_lab.store import file_sha256, write_json

if TYPE_CHECKING:
    from transformers import PretrainedConfig

log = logging.getLogger(__name__)

_WEIGHT_PATTERNS = ("*.safetensors", "*.safetensors.index.json")
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    "tokenizer.model", "vocab.json", "merges.txt",
)  # fmt: skip
_DOWNLOADED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt"]


@dataclass(frozen=True)
class LocalModel:
    """A model on this machine: where it lies, and hashes of what determines its numbers."""

    name: str
    folder: Path
    weights_sha256: str
    tokenizer_sha256: str
    licence: str

    def identity(self) -> dict[str, Any]:
        """What a fingerprint covers: the content, never the name or the place."""
        return {"weights_sha256": self.weights_sha256, "tokenizer_sha256": self.tokenizer_sha256}


def resolve_model(config: ModelConfig, cache: Path) -> LocalModel:
    """Finds, downloads or converts the model. Raises ModelError with the remedy when it can't be had."""
    if config.path is not None:
        local = Path(config.path).expanduser()
        folder = local.resolve() if local.is_dir() else _from_hub(config.path, config.revision)
    elif config.gguf is not None:
        from tss_lab.models.gguf import converted_folder

        folder = converted_folder(config.name, config.gguf, cache)
    else:
        raise ModelError(f"model {config.name} has neither a path nor a gguf source")
    if not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} holds no *.safetensors file; tss_lab reads weights in that format only. "
            "Save the model with save_pretrained()"
        )
    return LocalModel(
        name=config.name,
        folder=folder,
        weights_sha256=_cached(
            cache, folder, "weights", lambda: _hash_files(folder, (*_WEIGHT_PATTERNS, "config.json"))
        ),
        tokenizer_sha256=_cached(cache, folder, "tokenizer", lambda: _hash_files(folder, _TOKENIZER_FILES)),
        licence=config.licence,
    )


def _from_hub(hub_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=_DOWNLOADED))
    except HFValidationError as error:
        raise ModelError(
            f"model.path={hub_id} is neither a directory on this machine nor a Hub id; check the path"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"can't get model {hub_id} from the Hugging Face hub ({type(error).__name__}); "
            "check the network, the id and your access (`hf auth login`), or give a local directory as model.path"
        ) from error


def _hash_files(folder: Path, patterns: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _cached(cache: Path, folder: Path, what: str, compute: Callable[[], str]) -> str:
    """Remembers a hash for as long as no file of the folder changes its size or time."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    state = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    key = hashlib.sha256(f"{folder}\0{what}".encode()).hexdigest()[:16]
    note = cache / "hashes" / f"{key}.json"
    if note.exists():
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["sha256"])
    value = compute()
    write_json(note, {"folder": str(folder), "what": what, "state": state, "sha256": value})
    return value


def model_config(folder: Path) -> PretrainedConfig:
    """The transformers config of a local model; no weights are read. Raises ModelError when it can't be read."""
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"can't read {folder / 'config.json'}: {error}") from error
    return config


def context_length(folder: Path) -> int | None:
    """The longest sequence that the model's config admits, in tokens; None where it doesn't say."""
    length = getattr(model_config(folder).get_text_config(), "max_position_embeddings", None)
    return None if length is None else int(length)
