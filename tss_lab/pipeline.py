"""The steps of a run, in the order of the paper's method section: values in, a value out.

What each step does is decided first (``stages.plan_run``); what it came to lies in the run's folder. Heavy imports
happen in the step that needs them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tss_lab.config import ModelConfig, RunConfig
from tss_lab.console import output
from tss_lab.engine.release import letting_go
from tss_lab.errors import DataError
from tss_lab.evidence import LazyEmbedder, evidence_of
from tss_lab.methods import (
    Budget,
    Chooser,
    Evidence,
    Method,
    WeightStatistics,
    build_chooser,
    build_method,
    ranking_stability,
    score_examples,
    select,
)
from tss_lab.runs import RunFolder, names, open_folder, read_run
from tss_lab.runs.evaluations import flat_metrics
from tss_lab.runs.likelihoods import to_likelihoods
from tss_lab.runs.rows import scored_lines, selected_lines
from tss_lab.runs.tables import from_alternatives, from_examples, from_selection
from tss_lab.stages import StagePlan, find_model, prepare
from tss_lab.store import Store, fingerprint
from tss_lab.types import Alternatives, FloatArray, Likelihoods, PromptKind, Selection

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from tss_lab.data import Dataset
    from tss_lab.models import LocalModel
    from tss_lab.models.prompted import PromptedModel

log = logging.getLogger(__name__)


@letting_go()
def run(config: RunConfig, overrides: Sequence[str] = ()) -> Path:
    """Runs the stages of a config and returns the run's folder.

    ``overrides`` are the settings as they were typed, for the record, which keeps no secret of them.
    """
    from tss_lab.doctor import check_up
    from tss_lab.probe import refuse_probe_early
    from tss_lab.report.terminal import print_end
    from tss_lab.tracking.loggers import open_loggers
    from tss_lab.tracking.secrets import typed_without_secrets

    began, store = time.perf_counter(), Store(config.paths.store)
    method, chooser, embedder = build_method(config.method), build_chooser(config.choose), LazyEmbedder(config, store)
    plan, model = prepare(config, method.needs.kinds)
    with open_folder(config) as folder, open_loggers(config, folder.path, wanted=plan.sft.may_compute) as loggers:
        folder.note(overrides=[typed_without_secrets(one) for one in overrides])
        log.info("%s: %s; results go to %s", config.run_name, plan.in_words(), folder.path)
        dataset = read_dataset(config, folder)
        if plan.probe:
            refuse_probe_early(config, dataset)
        check_up(config, method.needs, dataset, folder, in_full=bool(plan.doctor), at_start=plan.checks_first)
        if model is not None:
            record_model(model, dataset, folder)
        alternatives = find_alternatives(plan, config, dataset, store, embedder, folder)
        evidence = take_likelihoods(plan, config, method, dataset, alternatives, model, store, embedder, folder)
        scores_N = score(config, method, evidence, folder) if plan.scores else None
        chosen = None
        if scores_N is not None and plan.selection:
            chosen = choose(plan, config, method, chooser, evidence, scores_N, dataset, folder)
        if model and plan.probe:
            probe(config, dataset, model, store, embedder, folder)
        tuned = tune(plan, config, chosen, dataset, model, folder, loggers) if chosen and model and plan.sft else None
        if model and plan.evaluation:
            evaluate(config, plan, dataset, alternatives, model, tuned, store, folder)
        folder.measure("cost/total", {"seconds": time.perf_counter() - began})
        page = show(plan, folder, loggers) if folder.is_writer else None
    if folder.is_writer:  # the folder is closed: whoever doesn't read to the end changes nothing in it
        print_end(read_run(folder.path), page, dataset.check.summary() if plan.only_reads else None, output())
    return folder.path


def read_dataset(config: RunConfig, folder: RunFolder) -> Dataset:
    """Step 1: the examples to choose from, and those held out."""
    from tss_lab.data import load_examples

    with folder.step("dataset") as step:
        dataset = load_examples(config.dataset)
        rows = [[example.example_id for example in mine] for mine in (dataset.examples, dataset.held_out)]
        folder.claim("data", fingerprint({"examples": rows[0], "held_out": rows[1]}))
        step.write(names.EXAMPLES, from_examples(dataset.examples, dataset.held_out))
        step.record(dataset=dataset.check.as_dict())
        step.measure("dataset", {"examples": len(dataset.examples), "held_out": len(dataset.held_out)})
        step.put_aside(dataset.check.set_aside_rows)
    return dataset


def record_model(model: PromptedModel, dataset: Dataset, folder: RunFolder) -> PromptedModel:
    """Whose tokens the run counts; rows that spell one of its special tokens are counted too."""
    folder.claim_model(model.local)
    spelled = dataset.check.count_special_tokens([*dataset.examples, *dataset.held_out], model.encoder.tokenizer)
    folder.note(dataset=dataset.check.as_dict())
    folder.measure("dataset", {"special_token_rows": spelled.rows})
    return model


def find_alternatives(
    plan: StagePlan, config: RunConfig, dataset: Dataset, store: Store, embedder: LazyEmbedder, folder: RunFolder,
) -> Alternatives:  # fmt: skip
    """Step 2: K alternative instructions for each example that needs them."""
    wanted = dataset.examples if plan.scores_need_alternatives else []
    wanted = wanted + (dataset.held_out if plan.held_out_need_alternatives else [])
    if not wanted:
        return {}
    from tss_lab.alternatives import audit, make_alternatives

    with folder.step("alternatives") as step:
        made = make_alternatives(
            wanted, dataset.corpus, config.alternatives, config.generator, store, config.paths.cache,
            may_generate=plan.alternatives.may_compute, embedder=embedder,
        )  # fmt: skip
        for source, name in made.fingerprints.items():
            folder.claim(f"{source} alternatives", name)
        quality = audit(wanted, made.by_example, config.alternatives, embedder)
        step.write(names.ALTERNATIVES, from_alternatives(one for mine in made.by_example.values() for one in mine))
        facts = {"fingerprints": made.fingerprints, "prompt_example": made.prompt_example}
        step.record(alternatives={"counts": made.counts, "audit": quality, **facts})
        step.measure("alternatives", {**made.counts, **quality})
        step.put_aside(made.set_aside)
    return made.by_example


def take_likelihoods(
    plan: StagePlan, config: RunConfig, method: Method, dataset: Dataset, alternatives: Alternatives,
    model: PromptedModel | None, store: Store, embedder: LazyEmbedder, folder: RunFolder,
) -> Evidence:  # fmt: skip
    """Step 3: one frozen pass over the pairs that the method is made of; its evidence, of the examples it can score."""

    def prompted() -> PromptedModel:
        return model or record_model(find_model(config), dataset, folder)

    if model is None or not plan.likelihoods:
        return evidence_of(dataset.examples, None, prompted, embedder)
    from tss_lab.scoring import compute_likelihoods, plan_pairs

    with folder.step("likelihoods") as step:
        needs = method.needs
        pairs = plan_pairs(dataset.examples, alternatives, needs.kinds, model.encoder, needs.direct_context)
        done = compute_likelihoods(
            pairs, model.local, model.encoder, config.scoring, config.trainer, store,
            may_compute=plan.likelihoods.may_compute, per_token=needs.per_token or config.scoring.per_token,
        )  # fmt: skip
        step.write(names.LIKELIHOODS, done.frame.drop("pair_id"))
        facts = {**pairs.as_dict(), **done.as_dict()}
        step.record(likelihoods=facts)
        step.measure("likelihoods", facts)
        step.put_aside(pairs.set_aside)
    return evidence_of(dataset.examples, to_likelihoods(done.frame), prompted, embedder)


def score(config: RunConfig, method: Method, evidence: Evidence, folder: RunFolder) -> FloatArray:
    """Step 4: the method's score of each example."""
    if not len(evidence):
        raise DataError(f"no example could be scored; {folder.path / names.SET_ASIDE} lists why each was set aside")
    with folder.step("scores") as step:
        scores_N = score_examples(method, evidence, config.seed)
        step.measure("scores", {name: float(getattr(scores_N, name)()) for name in ("mean", "std", "min", "max")})
        if PromptKind.ALTERNATIVE in method.needs.kinds:
            stability = ranking_stability(evidence, lambda mine: method.score(mine, config.seed))
            step.record(ranking_stability=stability)
            step.measure("scores/stability", stability)
    return scores_N


def choose(
    plan: StagePlan, config: RunConfig, method: Method, chooser: Chooser, evidence: Evidence, scores_N: FloatArray,
    dataset: Dataset, folder: RunFolder,
) -> tuple[Selection, WeightStatistics]:  # fmt: skip
    """Step 5: which examples are kept, how much each weighs, and how the kept differ from the others."""
    from tss_lab.audit import audit_selection
    from tss_lab.report.data_card import data_card

    with folder.step("selection") as step:
        budget = Budget(config.budget.kind, config.rho)
        selection, weights = select(method, chooser, config.method, budget, config.seed, evidence, scores_N)
        step.write(names.SCORES, from_selection(selection))
        step.write(names.SELECTED, selected_lines(selection, dataset.examples, dataset.rows))
        step.write(names.SCORED, scored_lines(dataset.rows, selection, folder.reasons))
        if plan.needs_model:  # its tokenizer is at hand
            counts = dict(zip(evidence.example_id_N.tolist(), evidence.num_target_tokens_N.tolist(), strict=True))
            step.write(names.EXAMPLES, from_examples(dataset.examples, dataset.held_out, counts))
        scored, kept = len(selection.example_id_N), selection.num_kept
        step.measure("selection", {"scored": scored, "kept": kept, **weights.figures()})
        log.info("kept %d of %d examples; effective sample size %.1f", kept, scored, weights.effective_size)
        if folder.is_writer:
            audit = audit_selection(evidence, selection, config.audit, config.seed, in_tokens=plan.needs_model)
            step.write(names.AUDIT, asdict(audit))
            step.measure("audit", audit.figures())
            step.write(names.CARD, data_card(read_run(folder.path)))
    return selection, weights


def probe(
    config: RunConfig, dataset: Dataset, model: PromptedModel, store: Store, embedder: LazyEmbedder, folder: RunFolder,
) -> None:  # fmt: skip
    """Beside the steps: whether scores notice wrong instructions, on this data and with this model."""
    from tss_lab.probe import run_probe

    with folder.step("probe") as step:
        found, table = run_probe(config, dataset, model, store, embedder)
        step.write(names.PROBE, found.as_dict())
        step.write(names.PROBED, table)
        step.measure("probe", found.figures())


def tune(
    plan: StagePlan, config: RunConfig, chosen: tuple[Selection, WeightStatistics], dataset: Dataset,
    model: PromptedModel, folder: RunFolder, loggers: Sequence[Logger],
) -> LocalModel:  # fmt: skip
    """Step 6: the model tuned on the selection. One that an earlier command of this run tuned is found again."""
    from tss_lab.models import resolve_model
    from tss_lab.sft.card import card_facts
    from tss_lab.sft.fit import fine_tune

    selection, weights = chosen
    by_id = {example.example_id: example for example in dataset.examples}
    kept = np.flatnonzero(selection.kept_N)
    with folder.step("sft") as step:
        result = fine_tune(
            [by_id[str(selection.example_id_N[n])] for n in kept], selection.weight_N[kept], dataset.held_out,
            model.local, model.tuning_encoder, config.sft, config.trainer, config.seed, folder.path, loggers,
            card=card_facts(config), clipped_share=weights.clipped_share,
            steps_fraction=config.rho if config.method.scope == "full" else 1.0, may_train=plan.sft.may_compute,
        )  # fmt: skip
        step.record(sft={"reused": result.reused})
        step.measure("", result.metrics)
        step.put_aside(result.set_aside)
    return resolve_model(ModelConfig(name=config.run_name, path=str(result.model_folder)), config.paths.cache)


def evaluate(
    config: RunConfig, plan: StagePlan, dataset: Dataset, alternatives: Alternatives, model: PromptedModel,
    tuned: LocalModel | None, store: Store, folder: RunFolder,
) -> None:  # fmt: skip
    """Step 7: the untuned and the tuned model on benchmarks and on held-out examples.

    Every process takes part in the held-out passes; the rest is the first one's.
    """
    from tss_lab.evaluation.evaluate import evaluate_model, evaluate_untuned
    from tss_lab.evaluation.heldout import record_held_out
    from tss_lab.scoring import compute_likelihoods, plan_pairs

    with folder.step("evaluation") as step:
        if dataset.held_out:
            kinds = {PromptKind.TRUE} | ({PromptKind.ALTERNATIVE} if plan.held_out_need_alternatives else set())
            pairs = plan_pairs(dataset.held_out, alternatives, frozenset(kinds), model.encoder)

            def likelihoods(local: LocalModel) -> Likelihoods:
                done = compute_likelihoods(pairs, local, model.encoder, config.scoring, config.trainer, store)
                return to_likelihoods(done.frame)

            record_held_out(step, likelihoods(model.local), None if tuned is None else likelihoods(tuned))
            step.put_aside(pairs.set_aside)
        if config.eval.name == "none" or not folder.is_writer:
            return
        if config.eval.baseline or tuned is None:
            output = folder.path / names.ZERO_SHOT
            found = evaluate_untuned(model.local, config.eval, config.scoring, store.root, output)
            step.measure("eval/zero_shot", flat_metrics(found))
        if tuned is not None:
            found = evaluate_model(tuned, config.eval, config.scoring, folder.path / names.TUNED)
            step.measure("eval/tuned", flat_metrics(found))


def show(plan: StagePlan, folder: RunFolder, loggers: Sequence[Logger]) -> Path | None:
    """Step 8: the run's page, made of what lies in its folder; then the loggers."""
    from tss_lab.report.page import write_page
    from tss_lab.tracking.loggers import log_run

    finished = read_run(folder.path)
    page = None
    if plan.report:
        with folder.step("report"):
            page = write_page(finished)
    log_run(loggers, finished, page)
    return page
