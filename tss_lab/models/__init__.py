"""Models: found on the Hub, in a directory, or inside installed packages; loaded without remote code."""

from tss_lab.models.load import free_memory, load_model, load_tokenizer
from tss_lab.models.resolve import LocalModel, context_length, model_config, resolve_model

__all__ = [
    "LocalModel",
    "context_length",
    "free_memory",
    "load_model",
    "load_tokenizer",
    "model_config",
    "resolve_model",
]
