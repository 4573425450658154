"""Training, what it runs on, the evaluation after it, and where its curves are logged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tss_lab.config.section import Count, NonNegative, Positive, Section

BenchmarkNames = Annotated[
    list[Literal["arc_challenge", "mmlu", "hellaswag", "truthfulqa_mc1"]],
    AfterValidator(lambda names: list(dict.fromkeys(names))),
]


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
