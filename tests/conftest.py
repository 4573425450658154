"""Tiny randomly initialised models and a small tokenizer, made once a session; no network."""

from __future__ import annotations

import logging
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # models this small only lose by a second thread

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("any_machine", deadline=None)  # how long an example takes says nothing of the code
settings.load_profile("any_machine")

SENTENCES = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "Below is an instruction that describes a task, paired with an input that provides further context.",
    "### Instruction:\nSummarise the text in one sentence.\n\n### Input:\nThe cat sat on the mat.\n\n### Response:\n",
    "### Instruction:\nTranslate the sentence into French.\n\n### Response:\nLe chat est assis sur le tapis.",
    "What is the capital of Italy? The capital of Italy is Rome, and it has been so since 1871.",
    "List three colours: red, green and blue. Question: Answer: A B C D 0 1 2 3 4 5 6 7 8 9",
)
Tiny = tuple[Any, Any]
"""(model, tokenizer)"""


def small_tokenizer(with_bos: bool) -> Any:
    """A byte-level BPE tokenizer of about 400 entries; begins sequences with <bos> where asked."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<eos>", "<bos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(SENTENCES, trainer)
    special = {"pad_token": "<pad>", "eos_token": "<eos>"}
    if with_bos:
        special["bos_token"] = "<bos>"
        raw.post_processor = processors.TemplateProcessing(
            single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", raw.token_to_id("<bos>"))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=raw, **special)


def _sizes(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }


def _built(config: Any, tokenizer: Any) -> Tiny:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).float().eval(), tokenizer


def make_tiny_llama() -> Tiny:
    """Llama with a BOS token and an untied head."""
    from transformers import LlamaConfig

    tokenizer = small_tokenizer(with_bos=True)
    return _built(LlamaConfig(**_sizes(len(tokenizer)), bos_token_id=2), tokenizer)


def make_tiny_gemma3() -> Tiny:
    """Gemma 3 with a sliding window of 16 tokens in two of three layers, one key-value head, tied head."""
    from transformers import Gemma3TextConfig

    tokenizer = small_tokenizer(with_bos=True)
    sizes = _sizes(len(tokenizer)) | {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 16, "bos_token_id": 2}
    layers = ["sliding_attention", "sliding_attention", "full_attention"]
    return _built(Gemma3TextConfig(**sizes, layer_types=layers, query_pre_attn_scalar=8), tokenizer)


def make_tiny_qwen3() -> Tiny:
    """Qwen 3 with a tokenizer that has no BOS token."""
    from transformers import Qwen3Config

    tokenizer = small_tokenizer(with_bos=False)
    return _built(Qwen3Config(**_sizes(len(tokenizer)), head_dim=8), tokenizer)


MAKERS: dict[str, Callable[[], Tiny]] = {
    "llama": make_tiny_llama,
    "gemma3": make_tiny_gemma3,
    "qwen3": make_tiny_qwen3,
}


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """A command that a test runs sets up the log for people; the next test has it as it was."""
    level = logging.root.level
    yield
    logging.root.setLevel(level)
    own = logging.getLogger("tss_lab")
    own.handlers[:], own.propagate = [], True
    own.setLevel(logging.NOTSET)
    for name in logging.root.manager.loggerDict:  # a library's dictConfig disables what is there
        if name.startswith("tss_lab"):
            logging.getLogger(name).disabled = False


@pytest.fixture(scope="session")
def tiny_llama() -> Tiny:
    return make_tiny_llama()


@pytest.fixture(scope="session")
def tiny_gemma3() -> Tiny:
    return make_tiny_gemma3()


@pytest.fixture(scope="session")
def tiny_qwen3() -> Tiny:
    return make_tiny_qwen3()


@pytest.fixture(scope="session", params=sorted(MAKERS))
def tiny_model(request: pytest.FixtureRequest) -> Tiny:
    """Each of the three in turn. Tests that train a model make their own with ``conftest.MAKERS``."""
    return MAKERS[request.param]()


def _saved(name: str, folder: Path) -> Path:
    model, tokenizer = MAKERS[name]()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny Llama as a Hugging Face directory."""
    return _saved("llama", tmp_path_factory.mktemp("tiny_llama"))


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``tiny_model_folder("llama" | "gemma3" | "qwen3")`` -> a Hugging Face directory, saved once."""
    saved: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in saved:
            saved[name] = _saved(name, tmp_path_factory.mktemp(f"tiny_{name}"))
        return saved[name]

    return folder_of


@pytest.fixture
def wrong_tree_attention() -> Iterator[None]:
    """The tree attention takes its scores 5 % too large (its output alone would be normalised away in Gemma)."""
    from transformers import AttentionInterface

    from tss_lab.engine.attention import NAME, tree_attention

    def wrong(*arguments: Any, **settings: Any) -> tuple[Any, None]:
        return tree_attention(*arguments, **settings | {"scaling": 1.05 * settings["scaling"]})

    AttentionInterface.register(NAME, wrong)
    yield
    AttentionInterface.register(NAME, tree_attention)
