"""Sentence embeddings, kept in the store: a text is embedded once, whoever asks."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tss_lab.config import EmbedderConfig
from tss_lab.errors import ModelError
from tss_lab.models.wheels import fetch_folder
from tss_lab.provenance import versions
from tss_lab.store import Store, file_sha256

log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
_TEXTS_PER_SHARD = 8192
_IDENTITY_FILES = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")
_OTHER_RUNTIMES = {"onnx", "openvino"}


class Embedder:
    """A sentence-transformers model with a memory. Weights are loaded when a new text comes."""

    def __init__(self, config: EmbedderConfig, store: Store, cache: Path):
        self.config = config
        self.folder = _folder(config, cache)
        self._artifact = store.artifact("embeddings", self.identity())

    def identity(self) -> dict[str, Any]:
        """Hashes of the weights and of the files that say how they are used."""
        present = {path for pattern in _IDENTITY_FILES for path in self.folder.rglob(pattern)}
        names = sorted(str(path.relative_to(self.folder)) for path in present)
        used = [name for name in names if Path(name).parts[0] not in _OTHER_RUNTIMES]
        return {"files": {name: file_sha256(self.folder / name) for name in used}, "normalized": True}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors in the order of ``texts``: (P, D)."""
        names = [_name(text) for text in texts]
        known = self._known(names)
        if not known.keys() >= set(names):
            with self._artifact.lock():
                known = self._known(names)
                self._compute({name: text for name, text in zip(names, texts, strict=True) if name not in known}, known)
        return np.stack([known[name] for name in names])

    def known(self, texts: Sequence[str]) -> Vectors | None:
        """The same where the store holds every text, else None: nothing is computed."""
        names = [_name(text) for text in texts]
        found = self._known(names)
        return np.stack([found[name] for name in names]) if found.keys() >= set(names) else None

    def _known(self, names: Sequence[str]) -> dict[str, Vectors]:
        table = self._artifact.scan()
        if table is None:
            return {}
        rows = table.filter(pl.col("text_id").is_in(pl.Series(sorted(set(names))).implode())).collect()
        return dict(zip(rows["text_id"].to_list(), rows["vector"].to_numpy(), strict=True))

    def _compute(self, missing: dict[str, str], known: dict[str, Vectors]) -> None:
        """Embeds and stores the missing texts, shard by shard, and adds them to ``known``."""
        if not missing:
            return
        from sentence_transformers import SentenceTransformer

        log.info("embedding %d instructions with %s", len(missing), self.config.name)
        if not list(self.folder.rglob("*.safetensors")):
            raise ModelError(
                f"{self.folder} holds no *.safetensors file; tss_lab reads weights in that format only. "
                "Take another alternatives.embedder.path, or save the model again with save_pretrained()"
            )
        model = SentenceTransformer(
            str(self.folder), local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
        names = list(missing)
        for start in range(0, len(names), _TEXTS_PER_SHARD):
            shard = names[start : start + _TEXTS_PER_SHARD]
            vectors = model.encode(
                [missing[name] for name in shard], batch_size=self.config.batch_size, normalize_embeddings=True,
                convert_to_numpy=True, show_progress_bar=len(missing) > 1000,
            ).astype(np.float32)  # fmt: skip
            column = pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
            self._artifact.append(pl.DataFrame({"text_id": shard, "vector": column}))
            known.update(zip(shard, vectors, strict=True))
            if len(names) > _TEXTS_PER_SHARD:
                log.info("embedded %d of %d instructions", start + len(shard), len(names))
        self._artifact.write_manifest(complete=True, counts={"model": self.config.name}, versions=versions())


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _folder(config: EmbedderConfig, cache: Path) -> Path:
    """A local directory, the Hub, or, where the Hub can't be reached, the package that carries the same model."""
    local = Path(config.path).expanduser()
    if local.is_dir():
        return local
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                config.path, ignore_patterns=["onnx/*", "openvino/*", "*.bin", "*.h5", "*.ot", "*.msgpack"]
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        if config.wheel is None:
            raise ModelError(
                f"can't get embedding model {config.path} from the Hugging Face hub ({type(error).__name__}); "
                "check the network, or set alternatives.embedder.path to a local directory"
            ) from error
        log.info(
            "the Hugging Face hub can't be reached; taking %s out of %s",
            config.name,
            ", ".join(config.wheel.requirements),
        )
        return fetch_folder(config.wheel, cache / "embedders" / f"{config.name}-{config.wheel.sha256[:12]}")
