"""A generator that needs no model, and the configs around it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tss_lab.alternatives.embed import Vectors
from tss_lab.alternatives.generators.base import Reply, Request
from tss_lab.config import AlternativesConfig, GeneratorConfig
from tss_lab.errors import GeneratorError
from tss_lab.types import Example

ROOT = Path(__file__).parents[2]


def example(number: int, instruction: str | None = None, **changes: Any) -> Example:
    fields: dict[str, Any] = {"input": f"Input {number}." if number % 2 else "", "output": f"Output {number}."}
    return Example(f"e{number:03d}", instruction or f"Do the thing with number {number}.", **{**fields, **changes})


def alternatives_config(**changes: Any) -> AlternativesConfig:
    content = yaml.safe_load((ROOT / "conf" / "alternatives" / "generated.yaml").read_text(encoding="utf-8"))
    return AlternativesConfig.model_validate({**content, **changes})


def generator_config(**changes: Any) -> GeneratorConfig:
    settings = {"name": "fake", "kind": "tests.alternatives.conftest.FakeGenerator", "ask": "line_by_line"}
    return GeneratorConfig.model_validate({**settings, **changes})


class FakeGenerator:
    """Writes lines made of a hash: about one in four is bad. Counts what it is asked; may die after so many replies."""

    asked: int = 0
    dies_after: int | None = None
    bad_share: float = 0.25

    def __init__(self, config: GeneratorConfig, cache: Path):
        self.config = config

    def identity(self) -> dict[str, Any]:
        return {"kind": "fake", "seed": self.config.seed}

    def render(self, request: Request) -> str:
        return "\n".join(f"{role}: {content}" for role, content in request.turns) + f"\n{request.begun}"

    def ask(self, requests: Sequence[Request]) -> Iterator[list[Reply]]:
        for number, request in enumerate(requests):
            if FakeGenerator.dies_after is not None and number >= FakeGenerator.dies_after:
                raise GeneratorError("the fake died")
            FakeGenerator.asked += 1
            yield [self.reply(request)]

    def reply(self, request: Request) -> Reply:
        if request.one_line:
            return Reply(request, self.line(request, 0))
        return Reply(request, "\n".join(f"{at + 1}. {self.line(request, at)}" for at in range(4)))

    def line(self, request: Request, at: int) -> str:
        name = f"{self.config.seed} {request.example.example_id} {request.sample} {at}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        return "Bad" if int(digest[:8], 16) / 2**32 < self.bad_share else f"Describe item {digest[:6]} in one sentence."


@pytest.fixture(autouse=True)
def _fresh_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeGenerator, "asked", 0)
    monkeypatch.setattr(FakeGenerator, "dies_after", None)
    monkeypatch.setattr(FakeGenerator, "bad_share", 0.25)


class BagOfWords:
    """In place of the embedding model: a text is its words."""

    def __init__(self, *_: Any) -> None:
        pass

    def identity(self) -> dict[str, Any]:
        return {"kind": "bag of words"}

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), 512), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.casefold().replace(".", "").split():
                vectors[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % 512] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


@pytest.fixture
def bag_of_words(monkeypatch: pytest.MonkeyPatch) -> Callable[..., BagOfWords]:
    monkeypatch.setattr("tss_lab.alternatives.make.Embedder", BagOfWords)
    return BagOfWords
