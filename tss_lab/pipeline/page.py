"""Step 8: what a run came to, as a page, as a table on the terminal, and for the loggers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tss_lab.report.model import RunReport, ScoringFacts, TrainingFacts

if TYPE_CHECKING:
    from tss_lab.pipeline.steps import Pipeline
    from tss_lab.sft.fit import TrainingResult


def run_report(run: Pipeline) -> RunReport:
    """Everything that this run has computed or read so far; nothing is computed for it."""
    config, done = run.config, vars(run)
    report: dict[str, Any] = {}
    if "dataset" in done:
        check = run.dataset.check
        report["counts"] = {
            "rows read": check.rows_read,
            **{f"left out, {reason}": count for reason, count in check.filtered.items()},
            **{f"set aside, {reason}": count for reason, count in check.set_aside.items()},
            "examples to choose from": len(run.dataset.examples),
            "held out": len(run.dataset.held_out),
        }
        report["examples"] = run.dataset.examples
        report["set_aside"] = run.set_aside
    if done.get("alternatives"):
        by_example = run.alternatives_of
        report["alternatives"] = [
            one for example in run.dataset.examples for one in by_example.get(example.example_id, ())
        ]
        report["generation"] = _generation_in_words(run.book.record)
    if done.get("likelihood_pass"):
        report["scoring"] = _scoring_facts(run)
        report["likelihoods"] = run.likelihoods
    if "selected" in done:
        report["selection"], weights = run.selected
        report["clipped_share"] = weights.clipped_share
    if "sft" in done:
        report["training"] = _training_facts(run.sft, run)
    if done.get("evaluation"):
        evaluation = run.evaluation
        assert evaluation is not None
        report |= {"zero_shot": evaluation.zero_shot, "tuned": evaluation.tuned, "held_out": evaluation.held_out}
    return RunReport(
        run_name=config.run_name,
        experiment_name=config.experiment_name,
        model_name=config.model.name,
        dataset_name=config.dataset.name,
        method_name=config.method.name,
        rho=1.0 if config.method.name == "full" else config.rho,
        seed=config.seed,
        settings=config.model_dump(mode="json"),
        record=run.book.record,
        **report,
    )


def _generation_in_words(record: dict[str, Any]) -> dict[str, str]:
    """What the generator did and how good its instructions are, for the page's table."""
    counts, audit = record["alternatives"]["counts"], record["alternatives"]["audit"]
    words: dict[str, str] = {}
    if "parse_rate" in counts:
        words["Replies in the asked form"] = f"{100 * counts['parse_rate']:.0f} %"
    if counts.get("filled_from_retrieval"):
        words["Filled up from retrieval"] = f"{counts['filled_from_retrieval']:,} alternatives"
    words["Alternatives that give the output away"] = f"{100 * audit['leak_share']:.1f} %"
    if "paraphrase_share" in audit:
        words["Paraphrases of the true instruction"] = f"{100 * audit['paraphrase_share']:.1f} %"
        words["Mean similarity within an example"] = f"{audit['pair_similarity']:.2f}"
    halves = record.get("ranking_stability", {}).get("halves")
    if halves is not None:
        words["Rankings by two halves of the alternatives agree (Spearman)"] = f"{halves:.2f}"
    return words


def _scoring_facts(run: Pipeline) -> ScoringFacts:
    done, plan = run.likelihood_pass, run.plan
    assert done is not None
    return ScoringFacts(
        num_pairs=len(plan.pairs),
        num_from_store=done.num_resumed,
        num_truncated=plan.num_truncated,
        num_target_tokens=plan.num_target_tokens,
        num_tokens_computed=done.num_tokens,
        teraflop=None if done.flops is None else done.flops / 1e12,
        merge_rate=plan.merge_rate,
        self_check_pairs=run.config.scoring.self_check_pairs,
        self_check_difference=done.self_check_difference,
        engine=done.engine,
    )


def _training_facts(result: TrainingResult, run: Pipeline) -> TrainingFacts:
    sft = run.config.sft
    return TrainingFacts(
        step_S=np.array([int(point["step"]) for point in result.curve], dtype=np.int64),
        loss_S=np.array([point["loss"] for point in result.curve]),
        held_out_loss=[(int(point["step"]), point["held_out_nll"]) for point in result.held_out],
        num_examples=run.selection.num_kept,
        num_target_tokens=int(result.metrics["sft/target_tokens"]),
        facts={
            "learning rate": sft.learning_rate,
            "schedule": f"{sft.schedule}, warm-up {sft.warmup_ratio:.0%}",
            "examples a step": sft.batch_size,
            "reused": "yes, this very training was finished before" if result.reused else "no",
        },
    )


def write_page(run: Pipeline) -> Path:
    """Writes ``report/index.html`` and returns its path."""
    from tss_lab.report.page import write_report

    return write_report(run_report(run), run.book.path / "report")


def finish(run: Pipeline) -> None:
    """Sends the results to the loggers and prints the summary, with the page's path last."""
    from rich.console import Console

    from tss_lab.report.summary import print_summary

    done = vars(run)
    page = done.get("report")
    if "loggers" in done or run.config.logger.kind != "csv":  # the run's folder holds what a CSV logger would
        _send_to_loggers(run, page)
    console = Console(soft_wrap=True)
    if run.stages == ["dataset"]:
        console.print(run.dataset.check.summary(), markup=False, highlight=False)
    else:
        print_summary(run_report(run), console)
    console.print(f"page: {page}" if page else f"results: {run.book.path}", markup=False, highlight=False)


def _send_to_loggers(run: Pipeline, page: Path | None) -> None:
    from tss_lab.tracking.loggers import log_page, log_scores, log_summary

    log_summary(run.loggers, run.book.metrics)
    if "selected" in vars(run):
        log_scores(run.loggers, run.selection)
    if page:
        log_page(run.loggers, page)
