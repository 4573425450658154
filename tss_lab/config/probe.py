"""The probe: which wrong instructions are put into how many rows, and which methods have to notice them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tss_lab.config.choice import MethodConfig
from tss_lab.config.section import Count, Section

CorruptionKind = Literal["random", "near", "alternative", "vague", "paraphrase"]


class ProbeConfig(Section):
    examples: Count = 200
    """Rows that are looked at; one half keeps its instruction."""
    kinds: tuple[CorruptionKind, ...] = ("random", "near", "alternative", "vague", "paraphrase")
    """What is put in the place of the other half's (docs/probe.md)."""
    methods: dict[str, MethodConfig] = Field(default_factory=dict)
    """Probed beside the run's own method; null takes one of the list out."""
    alternatives: list[Literal["generated", "retrieved", "mixed"]] | None = None
    """Sources of alternatives that are compared; None: the run's own."""
    rhos: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.05, 0.15, 0.45)
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("methods", mode="before")
    @classmethod
    def _without_null(cls, methods: object) -> object:
        return {name: one for name, one in methods.items() if one is not None} if isinstance(methods, dict) else methods
