"""What each step of a run does: leave out, find what is there, or compute. Decided once, before anything is done."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from tss_lab.config import RunConfig, Stage
from tss_lab.runs import names
from tss_lab.runs.owner import refuse_another_run
from tss_lab.types import PromptKind

if TYPE_CHECKING:
    from tss_lab.models.prompted import PromptedModel

log = logging.getLogger(__name__)


class Action(enum.Enum):
    """What a step does."""

    LEAVE_OUT = "left out"
    FIND = "found"
    """Its result is taken from the store or the run's folder; that it isn't there is an error."""
    COMPUTE = "computed"
    """What the store or the folder lacks of it is computed."""

    def __bool__(self) -> bool:
        return self is not Action.LEAVE_OUT

    @property
    def may_compute(self) -> bool:
        return self is Action.COMPUTE


@dataclass(frozen=True)
class StagePlan:
    """The steps, in order."""

    dataset: Action
    doctor: Action
    """The checks in full."""
    alternatives: Action
    likelihoods: Action
    scores: Action
    selection: Action
    probe: Action
    sft: Action
    evaluation: Action
    report: Action
    checks_first: bool
    """Whether the run is a long one, and makes the cheap checks before it begins."""
    scores_need_alternatives: bool
    """Whether the examples to choose from need alternatives."""
    held_out_need_alternatives: bool
    """Whether the held-out examples do, for the instruction sensitivity."""

    @property
    def needs_model(self) -> bool:
        """Whether the scored model must be there."""
        return bool(self.likelihoods or self.probe or self.sft or self.evaluation)

    @property
    def only_reads(self) -> bool:
        """Whether the data are read and checked, and nothing more."""
        return self.in_words() in ("computed: dataset", "computed: dataset, doctor")

    def in_words(self) -> str:
        """``computed: dataset, scores; found: likelihoods``, without what is left out."""
        steps = [(field.name, getattr(self, field.name)) for field in fields(self) if field.type == "Action"]
        parts = [
            f"{action.value}: {', '.join(named)}"
            for action in (Action.COMPUTE, Action.FIND)
            if (named := [name for name, mine in steps if mine is action])
        ]
        return "; ".join(parts)


def plan_run(config: RunConfig, kinds: frozenset[PromptKind], *, is_trained: bool) -> StagePlan:
    """A pure function of the stages asked for, of what the method needs, and of whether the folder holds a training.

    Args:
        kinds: the prompts that the method's score is made of.
        is_trained: whether the run's folder has the record of a training. Without ``sft`` among the stages, an
            evaluation takes that model, and the selection is found again to make sure that it is this run's.
    """
    asked: set[Stage] = set(config.stages)

    def action(stage: Stage, *, needed: bool) -> Action:
        return Action.COMPUTE if stage in asked else Action.FIND if needed else Action.LEAVE_OUT

    alone = asked == {"report"}  # shows all that the store holds for these settings
    sft = action("sft", needed="evaluation" in asked and is_trained)
    selection = action("selection", needed=bool(sft) or alone)
    scores = action("scores", needed=bool(selection))
    likelihoods = action("likelihoods", needed=bool(scores)) if kinds else Action.LEAVE_OUT
    sensitivity = bool(config.dataset.held_out and config.eval.held_out_sensitivity and {"sft", "evaluation"} & asked)
    last_is_alternatives = "alternatives" in asked and not asked - {"dataset", "alternatives"}
    for_scores = last_is_alternatives or (PromptKind.ALTERNATIVE in kinds and bool(likelihoods))
    alternatives = action("alternatives", needed=True) if for_scores or sensitivity else Action.LEAVE_OUT
    doctor, probe = action("doctor", needed=False), action("probe", needed=False)
    is_long = likelihoods.may_compute or probe.may_compute or sft.may_compute
    checks_first = config.doctor.at_start and is_long and not doctor
    return StagePlan(
        Action.COMPUTE, doctor, alternatives, likelihoods, scores, selection, probe, sft,
        action("evaluation", needed=False), action("report", needed=False), checks_first, for_scores, sensitivity,
    )  # fmt: skip


def prepare(config: RunConfig, kinds: frozenset[PromptKind]) -> tuple[StagePlan, PromptedModel | None]:
    """What each step will do, and the model; what can't work is refused before there is a folder.

    Args:
        kinds: the prompts that the method's score is made of.

    Raises a TssError that says what to change.
    """
    path = config.paths.runs / config.run_name
    is_mine = refuse_another_run(path, config) is None  # another run's folder is emptied, where it may be
    plan = plan_run(config, kinds, is_trained=is_mine and (path / names.TRAINING).exists())
    refuse_early(config, plan, is_evaluated=is_mine and (path / names.TUNED / names.RESULTS).exists())
    if not plan.needs_model:
        return plan, None
    model = find_model(config)
    refuse_model_early(config, plan, path, model.local.folder, is_tuned=is_mine and (path / names.MODEL).exists())
    return plan, model


def find_model(config: RunConfig) -> PromptedModel:
    """The model that is scored and tuned, on this machine, its weights not loaded. Raises ModelError, ConfigError."""
    from tss_lab.models.prompted import PromptedModel

    return PromptedModel.find(config.model, config.scoring, config.paths.cache)


def refuse_early(config: RunConfig, plan: StagePlan, *, is_evaluated: bool) -> None:
    """What a later step would refuse after hours, refused at the start, before the run has a folder.

    Args:
        is_evaluated: whether the run's folder has the tuned model's results; their items aren't needed again.

    Raises a TssError for what can't work on this machine, as far as that is known without the model.
    """
    from tss_lab.data.files import local_path
    from tss_lab.evaluation.check import check_benchmarks
    from tss_lab.models.devices import check_devices
    from tss_lab.prompts import get_template

    get_template(config.scoring.template)
    if config.dataset.path is not None:
        local_path(config.dataset)
    if plan.likelihoods.may_compute or plan.probe or plan.doctor:
        check_devices(config.trainer)
    if not plan.evaluation:
        return
    if config.eval.name == "none" and not config.dataset.held_out:
        log.warning("nothing will be evaluated: set eval=paper or eval=mini, or dataset.held_out=500")
    items = {} if is_evaluated else check_benchmarks(config.eval)
    if items:
        log.info("to be evaluated: %s", ", ".join(f"{name} {count:,} items" for name, count in items.items()))


def refuse_model_early(config: RunConfig, plan: StagePlan, folder: Path, model_folder: Path, *, is_tuned: bool) -> None:
    """The same once the model is on this machine, its weights not loaded.

    Args:
        is_tuned: whether the run's folder holds this training finished.

    Raises ModelError for an engine that can't compute the model, ConfigError or TrainingError for a training that
    the model, the devices or the disk can't bear.
    """
    if config.scoring.engine == "tree" and (plan.likelihoods.may_compute or plan.probe or plan.evaluation):
        from tss_lab.engine.support import refuse_without_tree

        refuse_without_tree(model_folder)
    if not plan.sft.may_compute or is_tuned:
        return
    from tss_lab.sft.ready import refuse_training_early, room_for_training

    refuse_training_early(config.sft, config.trainer, model_folder, room_for_training(folder))
