"""Tiny models of further architectures: other names for the layers, learnt positions, biases, a vision tower."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.conftest import MAKERS, Tiny, _built, small_tokenizer


def make_tiny_gpt2() -> Tiny:
    """GPT-2: layers under ``h``, positions learnt, tied head, dropout off."""
    from transformers import GPT2Config

    tokenizer = small_tokenizer(with_bos=False)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=3, n_head=4, n_positions=1024, initializer_range=0.3,
        attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    return _built(config, tokenizer)


def make_tiny_opt() -> Tiny:
    """OPT: layers under ``decoder.layers``, positions learnt, tied head, dropout off."""
    from transformers import OPTConfig

    tokenizer = small_tokenizer(with_bos=True)
    config = OPTConfig(
        vocab_size=len(tokenizer), hidden_size=32, ffn_dim=64, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=1024, init_std=0.3, dropout=0.0, word_embed_proj_dim=32,
        pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    return _built(config, tokenizer)


def make_tiny_gemma3_vision() -> Tiny:
    """Gemma 3 as it is from 4B on: a text model beside a vision tower and its projector."""
    from transformers import Gemma3Config

    tokenizer = small_tokenizer(with_bos=True)
    text = MAKERS["gemma3"]()[0].config.to_dict()
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 16, "patch_size": 4,
    }  # fmt: skip
    return _built(Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4), tokenizer)


BUILDERS: dict[str, Callable[[], Tiny]] = {
    **MAKERS,
    "gpt2": make_tiny_gpt2,
    "opt": make_tiny_opt,
    "gemma3_vision": make_tiny_gemma3_vision,
}


def saved_model(name: str, folder: Path) -> Path:
    """The model of ``BUILDERS`` as a Hugging Face directory."""
    model, tokenizer = BUILDERS[name]()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
