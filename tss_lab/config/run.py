"""The whole of a run's settings, and what has to fit across its groups."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tss_lab.config.choice import (
    AlternativesConfig,
    AuditConfig,
    BudgetConfig,
    ChooseConfig,
    MethodConfig,
    ScoringConfig,
)
from tss_lab.config.data import DatasetConfig
from tss_lab.config.doctor import DoctorConfig
from tss_lab.config.models import GeneratorConfig, ModelConfig
from tss_lab.config.probe import ProbeConfig
from tss_lab.config.section import Folder, Section
from tss_lab.config.tuning import EvalConfig, LoggerConfig, SftConfig, TrainerConfig

Stage = Literal[
    "dataset", "doctor", "alternatives", "likelihoods", "scores", "selection", "probe", "sft", "evaluation", "report",
]  # fmt: skip
STAGES: tuple[Stage, ...] = (
    "dataset", "doctor", "alternatives", "likelihoods", "scores", "selection", "probe", "sft", "evaluation", "report",
)  # fmt: skip
_HARD_SET = 4


class Paths(Section):
    """Where things are written. Each folder is safe to delete."""

    store: Folder
    """Artefacts shared by all runs, named by content."""
    runs: Folder
    """A folder a run."""
    cache: Folder
    """Converted model weights and other downloads."""


class RunConfig(Section):
    """One run of the pipeline."""

    not_identity = frozenset({"stages", "paths", "logger", "overwrite", "audit", "probe", "doctor"})

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
    audit: AuditConfig = AuditConfig()
    probe: ProbeConfig = ProbeConfig()
    sft: SftConfig
    trainer: TrainerConfig
    eval: EvalConfig
    logger: LoggerConfig
    doctor: DoctorConfig = DoctorConfig()

    @property
    def share(self) -> float:
        """ρ as far as the method uses it: the share of the corpus that is kept."""
        return self.rho if self.method.uses_rho else 1.0

    @model_validator(mode="before")
    @classmethod
    def _default_hard_set(cls, values: Any) -> Any:
        """``method.m=null``: 4 hard alternatives of C(X), all K where they are only generated (docs/method.md)."""
        if not isinstance(values, dict):
            return values
        alternatives = values.get("alternatives") or {}
        kind, k = alternatives.get("kind"), alternatives.get("k")
        there_are = _most_alternatives(kind, k) if isinstance(k, int) else _HARD_SET
        hard = there_are if kind == "generated" else min(_HARD_SET, there_are)

        def filled(method: Any) -> Any:
            return {**method, "m": hard} if isinstance(method, dict) and method.get("m", 0) is None else method

        values = {**values, "method": filled(values.get("method"))}
        if isinstance(probe := values.get("probe"), dict) and isinstance(probe.get("methods"), dict):
            methods = {name: filled(method) for name, method in probe["methods"].items()}
            values["probe"] = {**probe, "methods": methods}
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
