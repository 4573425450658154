"""A run as it lies in its folder. Large tables are read when they are first asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tss_lab.config import RunConfig
from tss_lab.errors import ArtifactError
from tss_lab.runs import names
from tss_lab.runs.audits import Audit, read_audit
from tss_lab.runs.evaluations import Evaluated, read_evaluation
from tss_lab.runs.findings import Finding, read_findings
from tss_lab.runs.likelihoods import to_likelihoods
from tss_lab.runs.probe import Probe, read_probe
from tss_lab.runs.rows import ScoredRow, to_scored
from tss_lab.runs.tables import to_alternatives, to_examples, to_selection
from tss_lab.types import (
    Alternative,
    Estimate,
    Example,
    FloatArray,
    HeldOutMeasure,
    IntArray,
    Likelihoods,
    PromptKind,
    Selection,
    SetAside,
)


@dataclass(frozen=True)
class Training:
    """Fine-tuning: its curve over S optimiser steps. ``loss_S`` is the weighted batch loss, nats a target token."""

    step_S: IntArray
    loss_S: FloatArray
    held_out_loss: Sequence[tuple[int, float]]
    """(step, loss) each time it was taken."""
    reused: bool
    """Whether the run found this very training finished."""


@dataclass(frozen=True)
class Run:
    """One run: what was set, what it says of itself, its numbers, and its tables; None for what it didn't do.

    A damaged table raises ArtifactError, with the file's name and the remedy, when it is first read.
    """

    folder: Path
    config: RunConfig
    record: Mapping[str, Any]
    """``run.json``."""
    metrics: Mapping[str, float]
    """``metrics.json``."""

    @property
    def name(self) -> str:
        return self.config.run_name

    @property
    def is_finished(self) -> bool:
        return self.record.get("status") == names.FINISHED

    def facts(self, step: str) -> Mapping[str, Any]:
        """What ``run.json`` holds of a step; empty where it said nothing."""
        found = self.record.get(step)
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def _example_table(self) -> tuple[list[Example], list[Example]]:
        table = self._table(names.EXAMPLES)
        return to_examples(table) if table is not None else ([], [])

    @property
    def examples(self) -> list[Example]:
        """The examples to choose from."""
        return self._example_table[0]

    @property
    def held_out_examples(self) -> list[Example]:
        return self._example_table[1]

    @cached_property
    def alternatives(self) -> list[Alternative]:
        """Those of the examples to choose from and of the held-out ones."""
        table = self._table(names.ALTERNATIVES)
        return to_alternatives(table) if table is not None else []

    @cached_property
    def set_aside(self) -> list[SetAside]:
        """Every row that was read and not used, with its reason."""
        rows = self._read(names.SET_ASIDE, lambda path: list(names.read_lines(path))) or []
        return [SetAside(**{name: value for name, value in row.items() if name != "step"}) for row in rows]

    @cached_property
    def findings(self) -> list[Finding]:
        """What the doctor found; empty where nothing was checked."""
        return self._read(names.DOCTOR, read_findings) or []

    @cached_property
    def likelihoods(self) -> Likelihoods | None:
        table = self._table(names.LIKELIHOODS)
        return to_likelihoods(table) if table is not None else None

    @cached_property
    def prompt_kinds(self) -> frozenset[PromptKind]:
        """The prompts under which likelihoods were taken for the scores; empty where the scores needed none."""
        kinds = self._read(names.LIKELIHOODS, lambda path: pl.read_parquet(path, columns=["prompt_kind"]))
        found = [] if kinds is None else kinds["prompt_kind"].unique().to_list()
        return frozenset(kind for kind in PromptKind if kind.value in found)

    @cached_property
    def selection(self) -> Selection | None:
        table = self._table(names.SCORES)
        return to_selection(table) if table is not None else None

    @cached_property
    def audit(self) -> Audit | None:
        """What the selection keeps against what it drops."""
        found: Audit | None = self._read(names.AUDIT, read_audit)
        return found

    @cached_property
    def scored(self) -> list[ScoredRow]:
        """Every row of the source in its order, with its own columns and what became of it."""
        return self._read(names.SCORED, lambda path: [to_scored(row) for row in names.read_lines(path)]) or []

    @cached_property
    def row_numbers(self) -> Mapping[str, int]:
        """Example -> its row in the source, from 1; of the rows that were scored."""
        return {one.example_id: one.row for one in self.scored if one.example_id and one.set_aside is None}

    @cached_property
    def num_target_tokens(self) -> Mapping[str, int]:
        """Example -> tokens of its output, where the run counted them."""
        table = self._table(names.EXAMPLES)
        if table is None:
            return {}
        return dict(table.select("example_id", "n_target_tokens").drop_nulls().iter_rows())

    @cached_property
    def training(self) -> Training | None:
        facts = self.facts("sft")
        if not facts or not (self.folder / names.TRAINING).exists():
            return None
        content = self._read(names.TRAINING, lambda path: json.loads(path.read_text(encoding="utf-8"))) or {}
        if not content.get("complete"):
            return None
        curve = content["curve"]
        return Training(
            np.array([int(point["step"]) for point in curve], dtype=np.int64),
            np.array([point["loss"] for point in curve], dtype=np.float64),
            [(int(point["step"]), float(point["held_out_nll"])) for point in content["held_out"]],
            bool(facts.get("reused")),
        )

    @cached_property
    def probe(self) -> Probe | None:
        """Whether the scores notice wrong instructions."""
        path = self.folder / names.PROBE
        return read_probe(path) if path.exists() else None

    @cached_property
    def zero_shot(self) -> Evaluated | None:
        """The untuned model on benchmarks."""
        return self._evaluated("zero_shot", names.ZERO_SHOT)

    @cached_property
    def tuned(self) -> Evaluated | None:
        """The tuned model on the same items."""
        return self._evaluated("tuned", names.TUNED)

    @cached_property
    def held_out(self) -> list[HeldOutMeasure]:
        """Measures on the held-out examples, before and after tuning."""
        try:
            return [_measure(one) for one in self.record.get("held_out", ())]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"{self.folder / names.RECORD}: its held-out measures can't be read ({error}); {_AGAIN}"
            ) from error

    def measure(self, name: str) -> HeldOutMeasure | None:
        """One of them by its name: ``nll``, ``sensitivity``."""
        return next((one for one in self.held_out if one.name == name), None)

    @property
    def is_tuned(self) -> bool:
        """Whether anything was measured on a tuned model."""
        return self.tuned is not None or any(one.after is not None for one in self.held_out)

    @cached_property
    def held_out_table(self) -> pl.DataFrame | None:
        """``eval/held_out.parquet``: a row a held-out example, log-likelihood and TSS before and after tuning.

        As long as it makes up what the run's own metrics say.
        """
        table = self._table(names.HELD_OUT)
        if table is not None:
            self._read(names.HELD_OUT, lambda _: self._check_held_out(table))
        return table

    def _check_held_out(self, table: pl.DataFrame) -> None:
        tokens_N = table["n_target_tokens"].to_numpy()
        for when in ("before", "after"):
            wanted = self.metrics.get(f"held_out/nll/{when}")
            loss = Estimate.of_ratio(-table[f"loglik_{when}"].cast(pl.Float64).to_numpy(), tokens_N).value
            if wanted is not None and not math.isclose(loss, wanted, abs_tol=1e-6):
                raise ArtifactError(
                    f"{self.folder}: the losses in {names.HELD_OUT} don't make up metrics.json; {_AGAIN}"
                )

    def _evaluated(self, which: str, place: str) -> Evaluated | None:
        """What lies there, as long as it makes up what the run's own metrics say."""
        wanted = self.metrics.get(f"eval/{which}/sum")
        if wanted is None:
            return None
        found = read_evaluation(self.folder / place)
        if found is None:
            raise ArtifactError(f"{self.folder} has lost the items of its evaluation ({place}); {_AGAIN}")
        if not math.isclose(found.result.total.value, wanted, abs_tol=1e-6):
            raise ArtifactError(f"{self.folder}: the items in {place} don't make up metrics.json; {_AGAIN}")
        return found

    def _table(self, name: str) -> pl.DataFrame | None:
        found: pl.DataFrame | None = self._read(name, pl.read_parquet)
        return found

    def _read(self, name: str, reader: Any) -> Any:
        path = self.folder / name
        if not path.exists():
            return None
        try:
            return reader(path)
        except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(f"{path} can't be read ({str(error).splitlines()[0]}); {_AGAIN}") from error


_AGAIN = "run the same command again"


def _measure(plain: Mapping[str, Any]) -> HeldOutMeasure:
    before, after, difference = (_estimate(plain.get(when)) for when in ("before", "after", "difference"))
    if before is None:
        raise ValueError("one has no value before tuning")
    return HeldOutMeasure(plain["name"], plain["title"], plain["unit"], plain["better"], before, after, difference)


def _estimate(plain: Mapping[str, Any] | None) -> Estimate | None:
    if plain is None:
        return None
    return Estimate(float(plain["value"]), float(plain.get("standard_error", math.nan)), int(plain["n"]))
