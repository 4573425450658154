"""What each step does, as a truth table: no model, no data."""

import pytest

from tests.made_up import run_config
from tss_lab.stages import Action, plan_run
from tss_lab.types import PromptKind

NONE, TRUE = frozenset(), frozenset({PromptKind.TRUE})
ALTERNATIVES = frozenset({PromptKind.TRUE, PromptKind.ALTERNATIVE})
LETTER = {Action.COMPUTE: "C", Action.FIND: "f", Action.LEAVE_OUT: "-"}
STEPS = ("dataset", "alternatives", "likelihoods", "scores", "selection", "sft", "evaluation", "report")
ALL = ",".join(STEPS)
SELECT = "dataset,alternatives,likelihoods,scores,selection"

#    stages asked for         needs      trained held out     d a l s s t e r
TABLE = [
    (ALL, ALTERNATIVES, False, 8, "C C C C C C C C"),
    (ALL, ALTERNATIVES, False, 0, "C C C C C C C C"),
    (ALL, TRUE, False, 0, "C - C C C C C C"),
    (ALL, TRUE, False, 8, "C C C C C C C C"),  # alternatives of the held-out examples, for the sensitivity
    (ALL, NONE, False, 0, "C - - C C C C C"),
    (SELECT, ALTERNATIVES, False, 8, "C C C C C - - -"),
    (SELECT, NONE, False, 8, "C - - C C - - -"),
    ("dataset", ALTERNATIVES, False, 8, "C - - - - - - -"),
    ("dataset,alternatives", NONE, False, 0, "C C - - - - - -"),  # asked for by themselves: for all examples
    ("alternatives,selection", NONE, False, 0, "C - - f C - - -"),
    ("likelihoods", ALTERNATIVES, False, 0, "C f C - - - - -"),
    ("selection", ALTERNATIVES, False, 0, "C f f f C - - -"),
    ("scores", TRUE, False, 0, "C - f C - - - -"),
    ("sft", ALTERNATIVES, False, 0, "C f f f f C - -"),
    ("sft", NONE, False, 0, "C - - f f C - -"),
    ("evaluation,report", ALTERNATIVES, False, 0, "C - - - - - C C"),  # no training there: the untuned model
    ("evaluation,report", ALTERNATIVES, False, 8, "C f - - - - C C"),
    ("evaluation,report", ALTERNATIVES, True, 0, "C f f f f f C C"),  # whose training is it? found by its selection
    ("evaluation,report", NONE, True, 0, "C - - f f f C C"),
    ("sft,evaluation", TRUE, True, 0, "C - f f f C C -"),
    ("report", ALTERNATIVES, True, 8, "C f f f f - - C"),  # what was trained and evaluated lies in the folder
    ("report", NONE, False, 8, "C - - f f - - C"),
    ("dataset,report", ALTERNATIVES, True, 8, "C - - - - - - C"),
    ("doctor", ALTERNATIVES, True, 8, "C - - - - - - -"),  # finds its model by itself
]


@pytest.mark.parametrize(("stages", "kinds", "trained", "held_out", "wanted"), TABLE)
def test_what_each_step_does(tmp_path, stages, kinds, trained, held_out, wanted):
    config = run_config(tmp_path / "runs", "a", f"stages=[{stages}]", f"dataset.held_out={held_out}")
    plan = plan_run(config, kinds, is_trained=trained)
    assert " ".join(LETTER[getattr(plan, step)] for step in STEPS) == wanted


@pytest.mark.parametrize(
    ("stages", "kinds", "at_start", "doctor", "checks_first"),
    [
        ("doctor", ALTERNATIVES, True, "C", False),
        ("doctor,likelihoods,sft", ALTERNATIVES, True, "C", False),  # the full checks hold the cheap ones
        (ALL, ALTERNATIVES, True, "-", True),
        (ALL, ALTERNATIVES, False, "-", False),
        ("likelihoods", TRUE, True, "-", True),
        ("probe", NONE, True, "-", True),
        ("sft", NONE, True, "-", True),
        (SELECT, NONE, True, "-", False),  # no likelihood, no training: a short run
        ("selection,evaluation,report", ALTERNATIVES, True, "-", False),
        ("dataset", ALTERNATIVES, True, "-", False),
    ],
)
def test_which_checks_are_made(tmp_path, stages, kinds, at_start, doctor, checks_first):
    config = run_config(tmp_path / "runs", "a", f"stages=[{stages}]", f"doctor.at_start={at_start}")
    plan = plan_run(config, kinds, is_trained=False)
    assert (LETTER[plan.doctor], plan.checks_first) == (doctor, checks_first)


def test_alternatives_are_made_for_those_who_need_them(tmp_path):
    def plan(kinds, *overrides):
        return plan_run(run_config(tmp_path / "runs", "a", "dataset.held_out=4", *overrides), kinds, is_trained=False)

    both = plan(ALTERNATIVES)
    assert both.scores_need_alternatives
    assert both.held_out_need_alternatives
    held_out_only = plan(NONE)
    assert not held_out_only.scores_need_alternatives
    assert held_out_only.held_out_need_alternatives
    assert not plan(NONE, "eval.held_out_sensitivity=false").alternatives


def test_the_model_is_asked_for_only_where_a_step_needs_it(tmp_path):
    def needs_model(kinds, stages):
        return plan_run(run_config(tmp_path / "runs", "a", f"stages=[{stages}]"), kinds, is_trained=False).needs_model

    assert not needs_model(NONE, SELECT)
    assert needs_model(TRUE, SELECT)
    assert needs_model(NONE, "sft")
    assert needs_model(NONE, "evaluation")
    assert not needs_model(ALTERNATIVES, "dataset,alternatives")


def test_the_plan_in_words(tmp_path):
    config = run_config(tmp_path / "runs", "a", "stages=[selection]")
    words = plan_run(config, ALTERNATIVES, is_trained=False).in_words()
    assert words == "computed: dataset, selection; found: alternatives, likelihoods, scores"
