"""The one small interface between those who ask for alternatives and those who write them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tss_lab.types import Example

Turn = tuple[str, str]  # (role, content); role is system, user or assistant


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to ask.

    ``begun`` is how the reply must begin; the generator gives it to the model and it is part of the
    reply's text. ``sample`` numbers the requests of an example: it and the example seed the sampling.
    """

    example: Example
    sample: int
    turns: tuple[Turn, ...]
    begun: str = ""
    one_line: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``finished`` is False where the length limit cut it; ``refused`` says why there is none."""

    request: Request
    text: str
    finished: bool = True
    refused: str | None = None


class Generator(Protocol):
    """Who writes alternatives. Built from (GeneratorConfig, cache folder): its module's ``build``."""

    def identity(self) -> dict[str, Any]:
        """What determines the replies beside the requests: weights or model name, sampling settings, seed."""

    def render(self, request: Request) -> str:
        """The exact text that is sent for a request."""

    def ask(self, requests: Sequence[Request]) -> Iterator[list[Reply]]:
        """Replies in any order, each exactly once, in lists as they are done.

        All requests of one example stand together. Raises GeneratorError when it can't go on; what was
        yielded before that is kept.
        """


def request_seed(request: Request, seed: int) -> int:
    """A seed of 63 bits from the run's seed, the example and the number of the request, and nothing else."""
    name = f"{seed}\0{request.example.example_id}\0{request.sample}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 1
