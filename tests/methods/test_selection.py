"""Which examples are kept, and how much each weighs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from tss_lab.config import ChooseConfig, MethodConfig, WeightingConfig
from tss_lab.errors import ConfigError, DataError, TrainingError
from tss_lab.methods import Budget, Evidence, build_chooser, build_method, select, weight_statistics
from tss_lab.methods.choose.top import Top
from tss_lab.methods.order import rank_by
from tss_lab.methods.tss import TaskSpecificity
from tss_lab.methods.weighting import exponential_weights
from tss_lab.types import Example

TSS = "tss_lab.methods.tss.TaskSpecificity"


def chosen(score, rho, *, tokens=None, ids=None, seed=0, target=TSS, budget="examples", **config):
    score = np.asarray(score, dtype=float)
    settings = MethodConfig(name="m", target=target, **config)
    names = ids if ids is not None else [f"e{n}" for n in range(len(score))]
    tokens = np.asarray(tokens if tokens is not None else np.ones(len(score)), dtype=np.int64)
    examples = [Example(name, "I", "X", "Y") for name in names]
    evidence = Evidence(examples, count_target_tokens=lambda: tokens)
    return select(build_method(settings), Top(), settings, Budget(budget, rho), seed, evidence, score)


def test_keeps_the_best_share_and_at_least_one():
    selection, _ = chosen([0.1, 0.9, 0.5, 0.7], 0.5)
    assert selection.kept_N.tolist() == [False, True, False, True]
    assert selection.rank_N.tolist() == [3, 0, 2, 1]
    assert chosen([0.1, 0.9], 0.01)[0].num_kept == 1


@given(st.permutations(range(12)), st.integers(0, 5))
def test_ties_do_not_depend_on_file_order(order, seed):
    """All scores equal: the kept set is the same ids whatever the order, and depends on the seed alone."""
    ids = [f"e{n}" for n in range(12)]
    here, _ = chosen(np.zeros(12), 0.25, ids=ids, seed=seed)
    there, _ = chosen(np.zeros(12), 0.25, ids=[ids[n] for n in order], seed=seed)
    assert set(here.example_id_N[here.kept_N]) == set(there.example_id_N[there.kept_N])


def test_ties_differ_between_seeds():
    kept = {tuple(chosen(np.zeros(40), 0.25, seed=seed)[0].kept_N) for seed in range(4)}
    assert len(kept) == 4


def test_token_budget_leaves_out_the_one_that_overshoots():
    """Ranking of 5, 4, 3, 8 tokens, budget half of 20: 5 + 4 fit, + 3 would be 12 and ends the walk."""

    def kept(scores, rho):
        return chosen(scores, rho, tokens=[5, 4, 3, 8], budget="tokens")[0].kept_N

    assert kept([3, 2, 1, 0], 0.5).tolist() == [True, True, False, False]
    assert kept([0, 1, 2, 3], 1.0).all()


def test_token_budget_that_fits_nothing_is_refused():
    with pytest.raises(ConfigError, match="raise rho"):
        chosen([1.0, 0.0], 0.1, tokens=[50, 50], budget="tokens")


def test_full_keeps_everything_whatever_rho():
    assert chosen(np.zeros(7), 0.1, target="tss_lab.methods.full.Full", uses_rho=False)[0].num_kept == 7


def test_scope_full_weighs_every_example():
    selection, _ = chosen([0.0, 1.0, 2.0], 0.3, scope="full", weighting=WeightingConfig(enabled=True))
    assert selection.kept_N.all()
    assert np.all(np.diff(selection.weight_N) > 0)


def test_nan_scores_are_named():
    with pytest.raises(DataError, match="e1"):
        rank_by(np.array([0.0, np.nan]), np.array(["e0", "e1"], dtype=object), 0)


def test_weights_by_hand():
    """Scores 0 and log 3 without standardising: 1 and 3, divided by their mean."""
    weight, clipped = exponential_weights(np.array([0.0, np.log(3)]), WeightingConfig(enabled=True, standardize="none"))
    assert weight == approx([0.5, 1.5])
    assert clipped == 0.0
    statistics = weight_statistics(weight, clipped)
    assert statistics.effective_size == approx(4 / 2.5)


def test_clipping_is_before_the_mean_and_counted():
    """Scores of ±700 nats would overflow; they clip to 0.1 and 10, mean 5.05."""
    config = WeightingConfig(enabled=True, standardize="none")
    weight, clipped = exponential_weights(np.array([-7000.0, 7000.0]), config)
    assert weight == approx([0.1 / 5.05, 10 / 5.05])
    assert clipped == 1.0


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=30), st.floats(0, 5), st.sampled_from(["zscore", "none"]))
def test_weights_have_mean_one_and_keep_the_order(scores, lambda_, standardize):
    score = np.array(scores)
    weight, _ = exponential_weights(score, WeightingConfig(enabled=True, lambda_=lambda_, standardize=standardize))
    assert weight.mean() == approx(1.0)
    assert np.all(np.diff(weight[np.argsort(score, kind="stable")]) >= -1e-9)


def test_infinite_scores_make_no_weights():
    with pytest.raises(TrainingError, match="not finite"):
        exponential_weights(np.array([0.0, np.inf]), WeightingConfig(enabled=True))


class Broken(TaskSpecificity):
    """A method of one's own whose constructor fails."""

    def __init__(self):
        raise KeyError("no such table")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"target": "tss_lab.methods.nothing.Here"}, "can't be imported"),
        ({"target": "tss_lab.methods.tss_pp.TaskSpecificityPlusPlus", "tua": 1.0}, "tua"),
        ({"target": f"{__name__}.Broken"}, r"method=mine: .*Broken raised KeyError: 'no such table'"),
        ({"target": "tss_lab.types.Example"}, r"is no class with score\(\) and preference\(\)"),
    ],
)
def test_unusable_methods_are_named(config, said):
    with pytest.raises(ConfigError, match=said):
        build_method(MethodConfig(name="mine", **config))


class Everything:
    """Returns what a chooser may not."""

    def __init__(self, returned="none"):
        self.returned = {"none": np.zeros(3, dtype=bool), "short": np.ones(2, dtype=bool), "ranks": np.arange(3)}[
            returned
        ]

    def choose(self, preference_N, evidence, budget, seed):
        return self.returned


@pytest.mark.parametrize(
    ("returned", "said"), [("none", "keeps no example"), ("short", "3 booleans"), ("ranks", "int")]
)
def test_what_a_chooser_returns_is_checked(returned, said):
    settings = MethodConfig(name="m", target=TSS)
    evidence = Evidence([Example(name, "I", "X", "Y") for name in "abc"])
    with pytest.raises(ConfigError, match=said):
        select(
            build_method(settings), Everything(returned), settings, Budget("examples", 1.0), 0, evidence, np.zeros(3)
        )


def test_a_chooser_is_found_by_its_path():
    assert build_chooser(ChooseConfig(name="top", target="tss_lab.methods.choose.top.Top")) == Top()
    with pytest.raises(ConfigError, match=r"is no class with choose\(\)"):
        build_chooser(ChooseConfig(name="mine", target=TSS))


def test_evidence_without_likelihoods_says_so():
    with pytest.raises(DataError, match="no likelihood"):
        _ = Evidence([]).likelihoods
    with pytest.raises(DataError, match="target token counts"):
        _ = Evidence([]).num_target_tokens_N
