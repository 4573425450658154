"""Models that are scored and tuned, that write alternatives, and that embed instructions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tss_lab.config.section import Count, NonNegative, Positive, Section


class WheelSource(Section):
    """Files inside packages of PyPI, joined in order into one verified file or folder."""

    requirements: list[str]
    """``name==version`` of each package that carries a part."""
    members: list[str]
    """Paths of the files inside the packages, in the order in which they are joined."""
    sha256: str


class ModelConfig(Section):
    """A causal language model: scored, tuned or generating."""

    name: str
    path: str | None = None
    """A Hub id or a local directory in Hugging Face format; wins over ``gguf``."""
    revision: str | None = None
    gguf: WheelSource | None = None
    """Read the weights out of a GGUF file that PyPI packages carry; converted once into the cache."""
    licence: str = "see the model's own page"

    @model_validator(mode="after")
    def _has_a_source(self) -> ModelConfig:
        if self.path is None and self.gguf is None:
            raise ValueError(
                f"model {self.name} has neither a path nor a gguf source; set model.path to a Hub id or a directory"
            )
        return self


class GeneratorConfig(Section):
    """Who writes the alternative instructions, and how it is asked."""

    not_identity = frozenset(
        {"base_url", "api_key_env", "batch_size", "device", "concurrency", "request_retries", "requests_per_minute",
         "timeout_seconds"}
    )  # fmt: skip
    name: str
    kind: str
    """``transformers``, ``endpoint``, ``replay``, or the dotted path of a class."""
    model: ModelConfig | None = None
    base_url: str | None = None
    """endpoint: where the OpenAI-compatible API is, such as http://localhost:8000/v1."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key for ``base_url``; the key itself is never in a
    config, and none is sent unless it is named."""
    model_name: str | None = None
    """endpoint: the model's name there."""
    path: str | None = None
    """replay: a JSONL or Parquet file with example_id or (instruction, input), and alternatives."""
    ask: Literal["plain", "examples", "begun", "line_by_line"] = "plain"
    """plain: the paper's prompt. examples: with worked examples as turns. begun: the reply's "1." is
    given. line_by_line: one line at a time, each begun with another verb."""
    temperature: NonNegative = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_new_tokens: Count = 256
    max_input_characters: Count = 4000
    """The generator sees this much of a longer input, from its beginning; how often is counted."""
    batch_size: Count = 16
    retries: Annotated[int, Field(ge=0)] = 3
    """Asks again so often, with another seed, for an example with too few clean alternatives."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    """transformers: ``auto`` takes a GPU where there is one."""
    concurrency: Count = 8
    """endpoint: requests in flight at a time."""
    request_retries: Annotated[int, Field(ge=0)] = 6
    """endpoint: a request that times out, or gets 429 or 5xx, is sent again so often, with growing pauses."""
    requests_per_minute: Count | None = None
    timeout_seconds: Positive = 60.0
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """endpoint: further fields of the request, for settings that only some servers know."""
    seed: int = 0


class EmbedderConfig(Section):
    """The sentence-embedding model behind retrieval and the audit."""

    not_identity = frozenset({"batch_size"})
    name: str
    path: str
    """A local directory or a Hub id."""
    wheel: WheelSource | None = None
    """The same model inside a package of PyPI: read where the Hub can't be reached."""
    batch_size: Count = 64
