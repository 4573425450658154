"""RunConfig: every setting of a run, typed and checked at the door. No DictConfig goes further in.

Each class mirrors the config group of the same name in ``conf/``; a setting's meaning is said once,
here, and its usual value stands in the yaml.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tss_lab.errors import ConfigError

Stage = Literal["dataset", "alternatives", "likelihoods", "scores", "selection", "sft", "evaluation", "report"]
STAGES: tuple[Stage, ...] = (
    "dataset", "alternatives", "likelihoods", "scores", "selection", "sft", "evaluation", "report",
)  # fmt: skip
DATA_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_HARD_SET = 4
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
BenchmarkNames = Annotated[
    list[Literal["arc_challenge", "mmlu", "hellaswag", "truthfulqa_mc1"]],
    AfterValidator(lambda names: list(dict.fromkeys(names))),
]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}


def _one_character(separator: str) -> str:
    character = _SEPARATORS.get(separator, separator)
    if len(character) != 1 or character in '"\r\n':
        raise ValueError("dataset.separator is one character, or comma, semicolon, tab or pipe")
    return character


Separator = Annotated[str, AfterValidator(_one_character)]


class Section(BaseModel):
    """A config group: unknown keys are refused, values can't change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    not_identity: ClassVar[frozenset[str]] = frozenset()
    """Settings of memory, speed and place: they move numbers by rounding at most."""

    def identity(self) -> dict[str, Any]:
        """What determines the results, as plain values; two runs that differ in it are two runs."""
        plain = self.model_dump(mode="json")
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Section):
                plain[name] = value.identity()
        return {name: value for name, value in plain.items() if name not in self.not_identity}


class Paths(Section):
    """Where things are written. Each folder is safe to delete."""

    store: Folder
    """Artefacts shared by all runs, named by content."""
    runs: Folder
    """A folder a run."""
    cache: Folder
    """Converted model weights and other downloads."""


def data_name(path: str | None) -> str:
    """What data that no config names are called: the file's or directory's name, or the last part of a Hub id.

    Raises ConfigError without a path.
    """
    if path is None:
        raise ConfigError("dataset.path is not given; give a file, a directory, or a Hub id")
    place = Path(str(path)).expanduser()
    if place.name in ("", ".."):
        place = place.resolve()
    return place.stem if place.suffix.lower() in DATA_SUFFIXES else place.name


class DatasetConfig(Section):
    name: str
    """What the data are called on pages and in a run's name; null: ``data_name(path)``."""
    reader: str
    """``records``, ``natural_instructions``, ``chat``, ``starter``, or the dotted path of a function."""
    path: str | None = None
    """A file, a directory, a mirror of the Hub data set, or a Hub id."""
    hub_id: str | None = None
    """Read from the Hub where ``path`` is not given."""
    subset: str | None = None
    split: str = "train"
    fields: dict[str, str | None] = Field(default_factory=dict)
    """instruction, input, output, category -> the source's field names; null: not read. ``category`` is read where
    the data have it."""
    separator: Separator | None = None
    """Between the columns of a CSV file: a character, or comma, semicolon, tab, pipe. None: found in the file."""
    limit: Count | None = None
    """At most so many examples, drawn by ``seed`` (stratified by category where ``stratify``)."""
    stratify: bool = False
    stratify_by: list[str] = Field(default_factory=lambda: ["category"])
    """``category``, or names of further fields that the reader keeps with an example."""
    seed: int = 0
    held_out: Annotated[int, Field(ge=0)] = 0
    """So many examples are put aside for held-out measures; no method may select from them."""
    on_bad_row: Literal["fail", "skip"] = "fail"
    drop_duplicates: bool = True
    max_output_characters: Count = 20_000
    categories: list[str] | None = None
    per_task: Count | None = None
    """natural_instructions: at most so many instances a task."""
    english_only: bool = True
    """natural_instructions: only tasks whose output is English or whose category is Translation."""

    @model_validator(mode="before")
    @classmethod
    def _own_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and "name" in values and values["name"] is None:
            return {**values, "name": data_name(values.get("path"))}
        return values


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


class AlternativesConfig(Section):
    not_identity = frozenset({"exact_search_up_to", "audit_sample"})
    kind: Literal["generated", "retrieved", "mixed"]
    k: Count = 4
    """Alternatives an example, of each kind asked for."""
    max_words: Count = 25
    similarity_ceiling: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Retrieved instructions that are more similar to I than this are near-duplicates and left out."""
    exact_search_up_to: Count = 100_000
    embedder: EmbedderConfig
    on_too_few: Literal["set_aside", "keep"] = "keep"
    """An example that ends with fewer than k alternatives: kept with what it has, or set aside. One with
    none is set aside always."""
    audit_sample: Count = 2000
    """The audit embeds the alternatives of at most so many examples, and says so."""


class ScoringConfig(Section):
    not_identity = frozenset(
        {"engine", "tokens_per_pack", "logits_memory_mb", "self_check_pairs", "pairs_per_shard", "per_token"}
    )
    template: str = "alpaca"
    max_length: Count | None = 2048
    """Tokens of prompt and target together; the model's own limit where that is smaller."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    engine: Literal["auto", "tree", "plain"] = "auto"
    """tree: shared prefixes are computed once. plain: a pair at a time. auto: tree where it is exact."""
    tokens_per_pack: Count | None = None
    """Tokens a forward pass; None: chosen for the device, halved after an out-of-memory."""
    logits_memory_mb: Count = 64
    """Memory that the projection to the vocabulary may take at a time."""
    self_check_pairs: Annotated[int, Field(ge=0)] = 3
    """So many pairs of each run are computed a second time by the plain path and compared."""
    pairs_per_shard: Count = 2048
    per_token: bool = False
    """Whether the log-likelihood of each target token is kept too; a method that needs them has them anyway."""


class WeightingConfig(Section):
    """w = exp(λ·z), clipped, divided by its mean (docs/method.md, From score to training set)."""

    enabled: bool = False
    lambda_: NonNegative = 1.0
    clip: tuple[Positive, Positive] = (0.1, 10.0)
    standardize: Literal["zscore", "none"] = "zscore"

    @model_validator(mode="after")
    def _ordered(self) -> WeightingConfig:
        if self.clip[0] > self.clip[1]:
            raise ValueError(f"clip must be [smallest, largest] weight, got {list(self.clip)}")
        return self


class MethodConfig(Section):
    """``target`` names the scoring class; ``params`` are its own settings, checked by it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    target: str
    """Module in ``tss_lab.methods`` or dotted path of a class outside the package."""
    weighting: WeightingConfig = WeightingConfig()
    scope: Literal["retained", "full"] = "retained"
    uses_rho: bool = True
    """False: every example is kept, whatever ρ."""

    @property
    def params(self) -> dict[str, Any]:
        """The method's own settings (τ, α, m, ...)."""
        return dict(self.model_extra or {})


class ChooseConfig(Section):
    """``target`` names the choosing class; ``params`` are its own settings, checked by it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    target: str
    """Dotted path of a class, such as ``tss_lab.methods.choose.top.Top``."""

    @property
    def params(self) -> dict[str, Any]:
        """The chooser's own settings."""
        return dict(self.model_extra or {})


class BudgetConfig(Section):
    kind: Literal["examples", "tokens"]


class LoraConfig(Section):
    rank: Count = 16
    alpha: Positive = 32.0
    dropout: NonNegative = 0.0
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    merge: bool = True


class SftConfig(Section):
    not_identity = frozenset(
        {"tokens_per_pack", "packing", "gradient_checkpointing", "cross_entropy", "logits_memory_mb",
         "checkpoint_every", "validate_every"}
    )  # fmt: skip
    learning_rate: Positive
    epochs: Positive | None = None
    max_steps: Count | None = None
    max_target_tokens: Count | None = None
    batch_size: Count = 8
    """Examples an optimiser step, over all devices."""
    tokens_per_pack: Count = 1024
    packing: Literal["auto", "tree", "flat", "padded"] = "auto"
    """tree: one row without padding in which a prefix that examples share (the template's) stands once.
    flat: the same without sharing. padded: rows of similar length. One gradient, whichever.
    auto: tree where it is exact, else padded."""
    max_length: Count = 2048
    reduction: Literal["example", "token"] = "example"
    weight_decay: NonNegative = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] = 0.03
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    gradient_clip: NonNegative = 1.0
    gradient_checkpointing: bool = False
    train_embeddings: bool = True
    """False: token embeddings (and a head that is tied to them) stay as they are."""
    lora: LoraConfig | None = None
    cross_entropy: Literal["chunked", "liger"] = "chunked"
    logits_memory_mb: Count = 64
    checkpoint_every: Count = 100
    validate_every: Annotated[int, Field(ge=0)] = 0
    """Held-out loss each so many steps; 0: before and after only."""

    @model_validator(mode="after")
    def _one_length(self) -> SftConfig:
        given = [n for n in ("epochs", "max_steps", "max_target_tokens") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                "set exactly one of sft.epochs, sft.max_steps and sft.max_target_tokens "
                f"(and the others to null); set now: {', '.join(given) or 'none'}"
            )
        return self


class TrainerConfig(Section):
    not_identity = frozenset({"accelerator", "devices", "num_nodes", "strategy", "deterministic"})
    accelerator: Literal["cpu", "gpu", "auto"]
    devices: int | Literal["auto"] = 1
    num_nodes: Count = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    deterministic: bool = False


class EvalConfig(Section):
    not_identity = frozenset({"batch_size"})
    name: Literal["paper", "mini", "none"]
    label: str = ""
    """What pages and logs call the items; the mini benchmarks are demonstration items."""
    limit: Count | None = None
    """Items a benchmark (a subject, for MMLU); None: all."""
    mirror: str | None = None
    """A directory with the benchmarks' files, read in place of the Hub."""
    benchmarks: BenchmarkNames = Field(["arc_challenge", "mmlu", "hellaswag", "truthfulqa_mc1"], min_length=1)
    batch_size: Count = 8
    engine: Literal["tree", "hf"] = "tree"
    """tree: question and choices share prefixes. hf: lm-eval's own HFLM, batch_size requests at a time."""
    baseline: bool = True
    """Evaluate the untuned model too (zero-shot)."""
    held_out_sensitivity: bool = True

    @model_validator(mode="after")
    def _settings_of_benchmarks(self) -> EvalConfig:
        if self.mirror is not None and self.name != "paper":
            raise ValueError(f"eval={self.name} reads no eval.mirror; take eval=paper, or leave the mirror out")
        if self.limit is not None and self.name == "none":
            raise ValueError("eval=none has no benchmark that eval.limit could cut; take eval=paper or eval=mini")
        return self


class LoggerConfig(Section):
    kind: Literal["wandb", "tensorboard", "csv"]
    project: str = "tss_lab"
    group: str | None = None
    tags: list[str] = Field(default_factory=list)
    mode: Literal["auto", "online", "offline"] = "auto"
    """wandb: auto is online with a key and offline without; it never waits at a prompt."""


class RunConfig(Section):
    """One run of the pipeline."""

    not_identity = frozenset({"stages", "paths", "logger", "overwrite"})

    experiment_name: str
    run_name: str
    rho: Annotated[float, Field(gt=0, le=1)]
    seed: Annotated[int, Field(ge=0)]
    stages: list[Stage]
    overwrite: bool = False
    """A folder of this name that holds another run is emptied first; without it that is refused."""
    paths: Paths
    dataset: DatasetConfig
    model: ModelConfig
    generator: GeneratorConfig
    alternatives: AlternativesConfig
    scoring: ScoringConfig
    method: MethodConfig
    choose: ChooseConfig
    budget: BudgetConfig
    sft: SftConfig
    trainer: TrainerConfig
    eval: EvalConfig
    logger: LoggerConfig

    @property
    def share(self) -> float:
        """ρ as far as the method uses it: the share of the corpus that is kept."""
        return self.rho if self.method.uses_rho else 1.0

    @model_validator(mode="before")
    @classmethod
    def _default_hard_set(cls, values: Any) -> Any:
        """``method.m=null``: 4 hard alternatives of C(X), all K where they are only generated (docs/method.md)."""
        method = values.get("method") if isinstance(values, dict) else None
        if isinstance(method, dict) and method.get("m", 0) is None:
            alternatives = values.get("alternatives") or {}
            kind, k = alternatives.get("kind"), alternatives.get("k")
            there_are = _most_alternatives(kind, k) if isinstance(k, int) else _HARD_SET
            hard = there_are if kind == "generated" else min(_HARD_SET, there_are)
            return {**values, "method": {**method, "m": hard}}
        return values

    @model_validator(mode="after")
    def _room_for_the_hard_set(self) -> RunConfig:
        """Above what C(X) can hold, every m is the same score; a sweep over it would show differences of none."""
        m, of_ours = self.method.params.get("m"), self.method.target.startswith("tss_lab.")
        kind, k = self.alternatives.kind, self.alternatives.k
        if of_ours and isinstance(m, int) and m > _most_alternatives(kind, k):
            raise ValueError(
                f"method.m={m}, but alternatives={kind} with alternatives.k={k} gives an example at most "
                f"{_most_alternatives(kind, k)} alternatives; lower method.m or raise alternatives.k"
            )
        return self


def _most_alternatives(kind: str | None, k: int) -> int:
    """Alternatives that an example can have: K, and under ``mixed`` K of each kind."""
    return 2 * k if kind == "mixed" else k
