"""From alternatives to a training set: what is scored, by which method, and how much is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from tss_lab.config.models import EmbedderConfig
from tss_lab.config.section import Count, NonNegative, Positive, Section


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


class AuditConfig(Section):
    """What a selection keeps against what it drops; no score depends on it."""

    clusters: Literal["auto", "always", "never"] = "auto"
    """Of instructions, by k-means of their embeddings. auto: where the store holds them. always: they are made."""
    num_clusters: Annotated[int, Field(ge=2)] = 8
    length_bins: Annotated[int, Field(ge=2)] = 5
    most_values: Count = 15
    """Values of a property that stand by themselves; the rarer ones are put together."""
    fewest_rows: Count = 5
    """A value that fewer rows have is put together with other rare ones."""
    language_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A language is told from this probability on."""
    max_rows: Annotated[int, Field(ge=100)] = 100_000
    """Properties of more rows are compared on a sample of so many."""
