"""A model together with how it reads prompts, for scoring and for training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tss_lab.config import ModelConfig, ScoringConfig
from tss_lab.models.load import load_tokenizer
from tss_lab.models.resolve import LocalModel, context_length, resolve_model
from tss_lab.prompts import PromptEncoder, get_template
from tss_lab.types import IntArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class PromptedModel:
    """A model on this machine, its weights not loaded.

    ``encoder`` has the limits of scoring, ``tuning_encoder`` the model's own (training has a limit of its own).
    """

    local: LocalModel
    encoder: PromptEncoder
    tuning_encoder: PromptEncoder

    @classmethod
    def find(cls, config: ModelConfig, scoring: ScoringConfig, cache: Path) -> PromptedModel:
        """The model of a config. Raises ModelError when it can't be had, and as ``of``."""
        return cls.of(resolve_model(config, cache), scoring)

    @classmethod
    def of(
        cls, local: LocalModel, scoring: ScoringConfig, tokenizer: PreTrainedTokenizerBase | None = None
    ) -> PromptedModel:
        """Loads the tokenizer, unless it is given.

        Raises ConfigError for a template that isn't there or doesn't fit the model.
        """
        tokenizer, template = tokenizer or load_tokenizer(local.folder), get_template(scoring.template)
        own = context_length(local.folder)
        limits = [limit for limit in (scoring.max_length, own) if limit is not None]
        scored = PromptEncoder(tokenizer, template, min(limits, default=None))
        return cls(local, scored, PromptEncoder(tokenizer, template, own))

    def count_tokens(self, texts: Iterable[str]) -> IntArray:
        """Tokens of each text by itself."""
        return np.array([len(self.encoder.encode(text)) for text in texts], dtype=np.int64)
