"""The eight steps of a run, in the order of the paper's method section.

Each step is a value that is computed when a later one asks for it. ``stages`` says which steps may
compute; the others must find their results in the store or in the run's folder (docs/decisions/0003).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tss_lab.config import STAGES, RunConfig, Stage
from tss_lab.errors import DataError
from tss_lab.methods import Method, WeightStatistics, build_method, select
from tss_lab.pipeline.checks import refuse_early
from tss_lab.pipeline.evaluate import Evaluation, evaluate_models
from tss_lab.pipeline.folder import RunFolder, finite
from tss_lab.pipeline.outputs import model_card, write_scores, write_selected
from tss_lab.pipeline.page import finish, write_page
from tss_lab.store import Store
from tss_lab.types import Alternative, Example, FloatArray, Likelihoods, PromptKind, Selection, SetAside

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from tss_lab.alternatives import AlternativesRun
    from tss_lab.data import Dataset
    from tss_lab.models import LocalModel
    from tss_lab.prompts import PromptEncoder
    from tss_lab.scoring import LikelihoodRun, Plan
    from tss_lab.scoring.plan import IfdContext
    from tss_lab.sft.fit import TrainingResult

log = logging.getLogger(__name__)


class Pipeline:
    """One run. Reading a step's value computes it, or finds what it came to before."""

    def __init__(self, config: RunConfig, book: RunFolder):
        self.config = config
        self.book = book
        self.store = Store(config.paths.store)
        self.method: Method = build_method(config.method)

    def run(self) -> None:
        """The requested stages, in order; then the summary."""
        log.info("%s: %s; results go to %s", self.config.run_name, ", ".join(self.stages), self.book.path)
        began = time.perf_counter()
        refuse_early(self.config)
        if self._needs_the_model:
            _ = self.dataset, self.model  # what isn't there is found out before hours of generation
        for stage in self.stages:
            getattr(self, stage)
        self.book.measure("cost/total", {"seconds": time.perf_counter() - began})
        if self.book.is_writer:
            finish(self)

    @property
    def _needs_the_model(self) -> bool:
        asked = set(self.stages)
        return bool(
            {"sft", "evaluation"} & asked or ({"likelihoods", "scores", "selection"} & asked and self.method.needs)
        )

    @cached_property
    def stages(self) -> list[Stage]:
        """What may be computed, in the pipeline's order."""
        return sorted(set(self.config.stages), key=STAGES.index)

    # 1 ---------------------------------------------------------------------------------------- dataset

    @cached_property
    def dataset(self) -> Dataset:
        """The examples to choose from, and those held out."""
        from tss_lab.data import load_examples

        with self.book.timed("dataset"):
            dataset = load_examples(self.config.dataset)
        self.book.note(dataset=dataset.check.as_dict())
        self.book.measure("dataset", {"examples": len(dataset.examples), "held_out": len(dataset.held_out)})
        return dataset

    # 2 ----------------------------------------------------------------------------------- alternatives

    @cached_property
    def alternatives(self) -> AlternativesRun | None:
        """K alternative instructions for each example that needs them; None when nothing does."""
        wanted = self._examples_that_need_alternatives
        if not wanted:
            return None
        from tss_lab.alternatives import audit, make_alternatives

        config = self.config
        with self.book.timed("alternatives"):
            made = make_alternatives(
                wanted, self.dataset.corpus, config.alternatives, config.generator, self.store, config.paths.cache,
                may_generate="alternatives" in self.stages,
            )  # fmt: skip
            quality = audit(wanted, made.by_example, config.alternatives, self.store, config.paths.cache)
        self.book.note(
            alternatives={
                "counts": made.counts,
                "audit": quality,
                "fingerprints": made.fingerprints,
                "prompt_example": made.prompt_example,
            }
        )
        self.book.measure("alternatives", {**made.counts, **quality})
        return made

    @cached_property
    def _examples_that_need_alternatives(self) -> list[Example]:
        for_scores = PromptKind.ALTERNATIVE in self.method.needs or self.stages[-1] == "alternatives"
        return (self.dataset.examples if for_scores else []) + (self.dataset.held_out if self.wants_sensitivity else [])

    @property
    def alternatives_of(self) -> Mapping[str, Sequence[Alternative]]:
        return self.alternatives.by_example if self.alternatives else {}

    @cached_property
    def wants_sensitivity(self) -> bool:
        later = {"sft", "evaluation", "report"} & set(self.stages)
        return bool(later and self.dataset.held_out and self.config.eval.held_out_sensitivity)

    # 3 ------------------------------------------------------------------------------------ likelihoods

    @cached_property
    def model(self) -> LocalModel:
        """The scored and tuned model, on this machine; not loaded."""
        from tss_lab.models import resolve_model

        model = resolve_model(self.config.model, self.config.paths.cache)
        self.book.note(model={"name": model.name, "licence": model.licence, **model.identity()})
        return model

    @cached_property
    def encoder(self) -> PromptEncoder:
        from tss_lab.models import context_length, load_tokenizer
        from tss_lab.prompts import PromptEncoder, get_template

        scoring = self.config.scoring
        limits = [limit for limit in (scoring.max_length, context_length(self.model.folder)) if limit is not None]
        return PromptEncoder(
            load_tokenizer(self.model.folder), get_template(scoring.template), min(limits, default=None)
        )

    @cached_property
    def tuning_encoder(self) -> PromptEncoder:
        """The same for training, whose limits are ``sft.max_length`` and the model's own."""
        from tss_lab.models import context_length
        from tss_lab.prompts import PromptEncoder

        return PromptEncoder(self.encoder.tokenizer, self.encoder.template, context_length(self.model.folder))

    @cached_property
    def plan(self) -> Plan:
        """The (prompt, target) pairs that the method is made of."""
        return self.plan_of(self.dataset.examples, self.method.needs)

    def plan_of(self, examples: Sequence[Example], kinds: frozenset[PromptKind]) -> Plan:
        from tss_lab.scoring import plan_pairs

        context: IfdContext = getattr(self.method, "direct_context", "bos")
        return plan_pairs(examples, self.alternatives_of, kinds, self.encoder, context)

    def pass_over(self, plan: Plan, model: LocalModel, stage: Stage) -> LikelihoodRun:
        """Likelihoods of a plan's pairs under a model, from the store or, in ``stage``, computed into it.

        Every process of a distributed run takes part.
        """
        from tss_lab.scoring import compute_likelihoods

        config = self.config
        return compute_likelihoods(
            plan, model, self.encoder, config.scoring, config.trainer, self.store, may_compute=stage in config.stages
        )

    @cached_property
    def likelihood_pass(self) -> LikelihoodRun | None:
        """One frozen pass over the plan; None for a method that needs no likelihood."""
        if not self.method.needs:
            return None
        from tss_lab.scoring import write_table

        with self.book.timed("likelihoods"):
            done = self.pass_over(self.plan, self.model, "likelihoods")
        if self.book.is_writer:
            write_table(done.frame, self.book.path / "likelihoods.parquet")
        self.book.note(likelihoods={**done.as_dict(), **self.plan.as_dict()})
        self.book.measure("likelihoods", {**self.plan.as_dict(), **done.as_dict()})
        return done

    @cached_property
    def likelihoods(self) -> Likelihoods:
        """The likelihood table as arrays; without numbers for a method that needs none."""
        if self.likelihood_pass is None:
            return Likelihoods.none_of([example.example_id for example in self.dataset.examples], self._target_tokens())
        from tss_lab.scoring import to_likelihoods

        return to_likelihoods(self.likelihood_pass.frame)

    def _target_tokens(self) -> list[int]:
        """Tokens of each target; counted only where a budget in tokens asks for them."""
        if self.config.budget.kind != "tokens":
            return [1] * len(self.dataset.examples)
        return [len(self.encoder.encode(example.output)) for example in self.dataset.examples]

    # 4 and 5 --------------------------------------------------------------------- scores and selection

    @cached_property
    def scores(self) -> FloatArray:
        """The method's score of each example that could be scored, in the order of the likelihood table."""
        if not len(self.likelihoods):
            raise DataError("no example could be scored; run.json lists why each was set aside")
        score_N = self.method.score(self.likelihoods, self.config.seed)
        if not np.all(np.isfinite(score_N)):
            raise DataError(
                f"{int(np.sum(~np.isfinite(score_N)))} scores are not finite; the likelihood table is damaged, "
                "run again with a fresh paths.store"
            )
        spread = {"mean": score_N.mean(), "std": score_N.std(), "min": score_N.min(), "max": score_N.max()}
        self.book.measure("scores", {name: float(value) for name, value in spread.items()})
        if PromptKind.ALTERNATIVE in self.method.needs:
            from tss_lab.alternatives import ranking_stability

            stability = ranking_stability(self.likelihoods, lambda table: self.method.score(table, self.config.seed))
            self.book.note(ranking_stability=finite(stability))
            self.book.measure("scores/stability", stability)
        return score_N

    @cached_property
    def selection(self) -> Selection:
        """Which examples are kept, and how much each weighs."""
        return self.selected[0]

    @cached_property
    def selected(self) -> tuple[Selection, WeightStatistics]:
        config = self.config
        selection, weights = select(
            self.method, config.method, config.budget.kind, config.rho, config.seed,
            example_id_N=self.likelihoods.example_id_N, score_N=self.scores,
            num_target_tokens_N=self.likelihoods.num_target_tokens_N,
        )  # fmt: skip
        if self.book.is_writer:
            write_scores(self.book.path / "scores.parquet", selection)
            write_selected(self.book.path / "selected.jsonl", selection, self.dataset.examples)
        self.book.measure(
            "selection",
            {
                "scored": len(selection.example_id_N), "kept": selection.num_kept,
                "effective_size": weights.effective_size, "clipped_share": weights.clipped_share,
                "smallest_weight": weights.smallest, "largest_weight": weights.largest,
            },
        )  # fmt: skip
        log.info(
            "kept %d of %d examples; effective sample size %.1f",
            selection.num_kept,
            len(selection.example_id_N),
            weights.effective_size,
        )
        return selection, weights

    @property
    def set_aside(self) -> list[SetAside]:
        """Everything that was read and not used by the steps so far, with its reason."""
        done = vars(self)
        asides = list(self.dataset.check.set_aside_rows) if "dataset" in done else []
        asides += self.alternatives.set_aside if done.get("alternatives") else []  # type: ignore[union-attr]
        asides += list(self.plan.set_aside) if "plan" in done else []
        return asides + (list(self.sft.set_aside) if "sft" in done else [])

    # 6 -------------------------------------------------------------------------------------------- sft

    @cached_property
    def sft(self) -> TrainingResult:
        """The model tuned on the selection."""
        from tss_lab.sft.fit import fine_tune

        config, (selection, weights) = self.config, self.selected
        by_id = {example.example_id: example for example in self.dataset.examples}
        kept = np.flatnonzero(selection.kept_N)
        whole = config.method.scope == "full"
        identity = {
            "model": self.model.identity(),
            "prompts": self.tuning_encoder.identity(),
            "sft": config.sft.identity(),
            "precision": config.trainer.precision,
            "seed": config.seed,
        }
        with self.book.timed("sft"):
            result = fine_tune(
                [by_id[str(selection.example_id_N[n])] for n in kept], selection.weight_N[kept], self.dataset.held_out,
                self.model, self.tuning_encoder, config.sft, config.trainer, config.seed, self.book.path,
                self.loggers if "sft" in self.stages else [], identity,
                card=model_card(config), clipped_share=weights.clipped_share,
                steps_fraction=config.rho if whole else 1.0, may_train="sft" in self.stages,
            )  # fmt: skip
        self.book.measure("", result.metrics)
        return result

    @property
    def tuned_folder(self) -> Path | None:
        """The tuned model: of this run, or one that an earlier run of this name left; None where there is none."""
        if "sft" in self.stages:
            return self.sft.model_folder
        folder = self.book.path / "model"
        return folder if list(folder.glob("*config.json")) else None  # adapters have a config of their own

    @cached_property
    def tuned_model(self) -> LocalModel | None:
        from tss_lab.config import ModelConfig
        from tss_lab.models import resolve_model

        if self.tuned_folder is None:
            return None
        return resolve_model(
            ModelConfig(name=self.config.run_name, path=str(self.tuned_folder)), self.config.paths.cache
        )

    # 7 ------------------------------------------------------------------------------------- evaluation

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """The untuned and the tuned model on benchmarks and on held-out examples; None on further ranks."""
        with self.book.timed("evaluation"):
            return evaluate_models(self)

    @cached_property
    def held_out_likelihoods(self) -> tuple[Likelihoods, Likelihoods | None] | None:
        """Those of the held-out examples under the untuned and the tuned model; None without such examples."""
        if not self.dataset.held_out:
            return None
        from tss_lab.scoring import to_likelihoods

        kinds = {PromptKind.TRUE} | ({PromptKind.ALTERNATIVE} if self.wants_sensitivity else set())
        plan = self.plan_of(self.dataset.held_out, frozenset(kinds))
        before = to_likelihoods(self.pass_over(plan, self.model, "evaluation").frame)
        if self.tuned_model is None:
            return before, None
        return before, to_likelihoods(self.pass_over(plan, self.tuned_model, "evaluation").frame)

    # 8 ----------------------------------------------------------------------------------------- report

    @cached_property
    def report(self) -> Path | None:
        """The run's page; None on further ranks."""
        if self.stages == ["report"]:  # asked for alone: show all that the store and the folder hold
            _ = self.selected
        if not self.book.is_writer:
            return None
        self._find_what_was_done_before()
        with self.book.timed("report"):
            return write_page(self)

    def _find_what_was_done_before(self) -> None:
        """Training and evaluation of an earlier command of this run, where this one leaves them out."""
        from tss_lab.models.devices import num_processes

        if num_processes(self.config.trainer) > 1:
            return  # the first process is alone here, and a pass takes all of them
        known = {name.partition("/")[0] for name in self.book.metrics}
        if "sft" in known and "sft" not in self.stages:
            _ = self.sft
        if {"eval", "held_out"} & known and "evaluation" not in self.stages:
            _ = self.evaluation

    # ------------------------------------------------------------------------------------------ tracking

    @cached_property
    def loggers(self) -> list[Logger]:
        """Where curves and results go besides the run's folder."""
        from tss_lab.tracking.loggers import make_loggers

        config = self.config
        return make_loggers(config.logger, self.book.path, config.run_name, config.model_dump(mode="json"))

    def close(self, *, succeeded: bool) -> None:
        """Ends the loggers, so that the next job of a sweep begins its own."""
        if "loggers" in vars(self):
            from tss_lab.tracking.loggers import close_loggers

            close_loggers(self.loggers, succeeded)
