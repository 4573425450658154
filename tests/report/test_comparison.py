"""Runs compared: from run folders to the page, the files and the terminal."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from made_up_run import HOSTILE
from pytest import approx
from test_page import outline

from tests.made_up import TITLES, result_of, run_config, write_folder
from tss_lab.errors import ArtifactError
from tss_lab.report.__main__ import main
from tss_lab.report.comparison.compare import compare
from tss_lab.report.comparison.sections import page_of
from tss_lab.report.comparison.tables import all_tables, line_a_row
from tss_lab.report.comparison.write import as_json, write_comparison
from tss_lab.report.page import render
from tss_lab.types import Estimate, HeldOutMeasure, Likelihoods

EASE = {"random": 0.45, "ppl": 0.47, "tss": 0.5, "tss_pp": 0.55, "tss_pp_exp": 0.6, "full": 0.5}
EIGHT = [f"h{index}" for index in range(8)]


def with_settings(config, **changes):
    """``method__name="x"`` changes a setting behind the back of the command line."""
    for place, value in changes.items():
        group, _, name = place.partition("__")
        section = getattr(config, group)
        config = config.model_copy(update={group: section.model_copy(update={name: value}) if name else value})
    return config


def answers(method, rho, seed, num_items):
    """Right or wrong for each item: an item has its own difficulty, shared by all models."""
    rng = np.random.default_rng([seed, round(rho * 100), sum(map(ord, method))])
    difficulty = np.random.default_rng(99).random((len(TITLES), num_items))
    ease = EASE.get(method, 0.5) + 0.05 * rho
    return {name: difficulty[i] < ease + rng.normal(0, 0.06, num_items) for i, name in enumerate(TITLES)}


def write_run(root, method, rho, seed, *overrides, correct=None, num_items=30, nll=None, before=3.5, examples=EIGHT,
              baseline=True, kind="paper", name=None, facts=None, likelihoods=None, **changes):  # fmt: skip
    """A finished run; ``correct`` is benchmark -> right or wrong, drawn where not given, nothing where False."""
    name = name or f"{method}-rho{rho}-seed{seed}"
    known = method if method in EASE or method in ("ifd", "tss_exp") else "random"
    config = run_config(root, name, f"method={known}", f"eval={kind}", "dataset.held_out=8", *overrides)
    config = with_settings(config, rho=rho, seed=seed, **changes)
    if correct is None:
        correct = answers(method, rho, seed, num_items)
    nll = 3.0 - rho - 0.01 * seed if nll is None else nll
    tokens = np.arange(10, 10 + len(examples))
    held_out = pl.DataFrame({"example_id": examples, "n_target_tokens": tokens,
                             "loglik_before": -before * tokens, "loglik_after": -nll * tokens})  # fmt: skip
    measures = [
        HeldOutMeasure("nll", "Loss", "nats a token", "lower", Estimate(before, 0.2, 8), Estimate(nll, 0.1, 8)),
        HeldOutMeasure("sensitivity", "TSS", "nats", "higher", Estimate(2.0, 0.1, 8), Estimate(2.0 + rho, 0.1, 8)),
    ]
    facts = {"model": {"name": "m", "weights_sha256": "w" * 64, "tokenizer_sha256": "t"},
             "dataset": {"rows_read": 120, "used": 100, "held_out": 8}, **(facts or {})}  # fmt: skip
    tuned, zero_shot = None, None
    if correct:
        tuned = shuffled(result_of(correct, demo=kind == "mini"), seed)
        fourths = {benchmark: [index % 4 == 0 for index in range(len(mine))] for benchmark, mine in correct.items()}
        zero_shot = result_of(fourths, demo=kind == "mini") if baseline else None
    return write_folder(
        config, tuned=tuned, zero_shot=zero_shot, held_out=measures, held_out_table=held_out, likelihoods=likelihoods,
        metrics={"selection/kept": round(100 * rho)}, **facts,
    )  # fmt: skip


def shuffled(result, seed):
    order = np.random.default_rng(seed).permutation(len(result.item_id_N))
    return replace(result, item_id_N=result.item_id_N[order], item_benchmark_N=result.item_benchmark_N[order],
                   correct_N=result.correct_N[order])  # fmt: skip


def right(*counts):
    """The first so many of four items of two benchmarks are right."""
    return {
        name: [index < count for index in range(4)]
        for name, count in zip(("arc_challenge", "mmlu"), counts, strict=True)
    }


def two(root, method, rho, seed, *counts, **more):
    return write_run(root, method, rho, seed, "eval.benchmarks=[arc_challenge,mmlu]", correct=right(*counts), **more)


def texts(html):
    return re.sub(r"\s+", " ", " ".join(outline(html).texts))


def page_text(comparison):
    return texts(render(page_of(comparison)))


def row_of(comparison, method, rho=None):
    rows = [row for pair in comparison.pairs for row in pair.rows if row.method == method]
    return next(row for row in rows if rho is None or row.rho == rho)


def reasons(comparison):
    return {one.folder.name: one.reason for one in comparison.unused}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Three methods, three shares (and all of the data), two seeds."""
    root = tmp_path_factory.mktemp("grid") / "runs"
    for seed in (0, 1):
        for rho in (0.05, 0.15, 1.0):
            for method in ("random", "tss", "tss_pp_exp"):
                write_run(root, method, rho, seed)
        write_run(root, "full", 0.3, seed)
    return compare(sorted(root.iterdir()))


@pytest.fixture(scope="module")
def grid_page(grid):
    return render(page_of(grid))


def test_a_grid_is_rows_with_the_baselines_on_top(grid):
    rows = grid.pairs[0].rows
    assert [row.method for row in rows[:3]] == ["zero-shot", "full", "random"]
    assert [row.rho for row in rows[1:]] == [1.0] + [0.05] * 3 + [0.15] * 3 + [1.0] * 3
    assert len(grid.runs) == 20
    assert not grid.unused
    assert all(row.means["sum"].num_seeds == 2 for row in rows[1:])


def test_rows_by_hand(tmp_path):
    """Seed 0 has 1 and 2 of 4 right, seed 1 has 3 and 2: sums 75 and 125."""
    comparison = compare([two(tmp_path, "tss", 0.3, 0, 1, 2, nll=2.0), two(tmp_path, "tss", 0.3, 1, 3, 2, nll=2.4)])
    row = row_of(comparison, "tss")
    assert row.means["arc_challenge"].value == approx(50)
    assert row.means["sum"].value == approx(100)
    assert row.means["sum"].spread == approx(50 / np.sqrt(2))
    assert row.means["nll"].value == approx(2.2)
    assert comparison.titles["sum"] == "SUM of 2 benchmarks"
    zero_shot = row_of(comparison, "zero-shot")
    assert (zero_shot.means["sum"].value, zero_shot.means["nll"].value) == (50.0, 3.5)


def test_tables_by_hand(tmp_path):
    """At 5 %: random 75, PPL 100, TSS 125. At 15 % random is the best. Full 100: TSS at 5 % is 25 above."""
    for method, rho, counts in (
        ("random", 0.05, (1, 2)), ("ppl", 0.05, (2, 2)), ("tss", 0.05, (3, 2)),
        ("random", 0.15, (2, 2)), ("tss", 0.15, (1, 1)), ("full", 1.0, (2, 2)),
    ):  # fmt: skip
        two(tmp_path, method, rho, 0, *counts)
    comparison = compare(sorted(tmp_path.iterdir()))
    (answers,) = comparison.answers
    tables = answers.tables
    (five,), (fifteen,) = tables["Table 2"], tables["Table 3"]
    assert (five.values(five.baseline)["sum"], five.values(five.row)["sum"], five.row.method, five.num_candidates) == (
        75,
        125,
        "tss",
        3,
    )
    assert five.differences["sum"].value == approx(50)
    assert (fifteen.row.method, fifteen.differences) == ("random", {})
    (overall,) = tables["Table 4"]
    assert (overall.row.method, overall.row.rho, overall.differences["sum"].value) == ("tss", 0.05, approx(25))
    (breakdown,) = tables["Table 5"]
    assert {name: one.value for name, one in breakdown.differences.items() if name != "nll"} == approx(
        {"arc_challenge": 50, "mmlu": 0, "sum": 50}
    )
    missing = " ".join(comparison.missing)
    assert "Table 3 (ρ = 0.15), gemma3_270m on alpaca: shown without PPL, IFD, TSS (E), TSS++, TSS++ (E)" in missing
    assert "Random at ρ = 0.45, 0.75, 1" in missing
    shown = all_tables(comparison)
    assert {"table_2", "table_3", "table_4", "table_5_gemma3_270m_on_alpaca"} <= set(shown)
    (line,) = shown["table_2"].records()
    assert (line["baseline"], line["best"], line["difference"], line["label"]) == (75, 125, approx(50), "TSS")
    assert "+50.000" in shown["table_2"].to_latex()
    assert "0 (random itself)" in shown["table_3"].to_markdown()
    assert [row[0] for row in shown["table_5_gemma3_270m_on_alpaca"].rows] == list(comparison.titles.values())


def test_nothing_changed_and_no_random(tmp_path):
    for method, rho, counts in (("random", 0.3, (1, 2)), ("tss", 0.3, (1, 2)), ("ppl", 0.6, (3, 3))):
        two(tmp_path, method, rho, 0, *counts)
    two(tmp_path, "random", 0.9, 0, 1, 1)
    two(tmp_path, "ifd", 0.9, 1, 1, 1)
    comparison = compare(sorted(tmp_path.iterdir()))
    notes = {one.row.method: one.note for one in comparison.answers[0].against}
    assert notes["tss"].startswith("no item changed")
    assert notes["ppl"] == "no random run at this ρ"
    assert notes["ifd"] == "no random run of the same seeds"
    page = page_text(comparison)
    assert "+0.0 " not in page
    assert "no random run at this ρ" in page


def test_null_test_counts_unweighted_runs_on_all_of_the_data(tmp_path):
    """Sums 100 and 125 under one seed: mean 112.5, SD 25/√2; the weighted run is left out."""
    two(tmp_path, "random", 1.0, 0, 2, 2)
    two(tmp_path, "tss", 1.0, 0, 3, 2)
    two(tmp_path, "tss_exp", 1.0, 0, 4, 4)
    comparison = compare(sorted(tmp_path.iterdir()))
    null = comparison.answers[0].null
    assert null.methods == ["random", "tss"]
    assert (null.spread.mean, null.spread.over_all) == approx((112.5, 25 / np.sqrt(2)))
    assert null.largest_against_random == approx(25)
    (line,) = all_tables(comparison)["null_test"].records()
    assert (line["mean"], line["lowest"], line["highest"]) == approx((112.5, 100, 125))


def test_null_test_says_when_a_seed_decides_all(tmp_path):
    for seed, counts in ((0, (2, 2)), (1, (3, 2))):
        two(tmp_path, "random", 1.0, seed, *counts)
        two(tmp_path, "ppl", 1.0, seed, *counts)
    null = compare(sorted(tmp_path.iterdir())).answers[0].null
    assert "came out the same" in null.note


ODD = {"weights_sha256": "other", "tokenizer_sha256": "t"}


@pytest.mark.parametrize(
    ("overrides", "changes", "reason"),
    [
        ((), {"facts": {"model": ODD}}, "other weights under the same name: weights_sha256 is other"),
        (("sft.learning_rate=1.0",), {}, "sft.learning_rate is 1.0 and not 1e-05"),
        (("dataset.limit=5",), {}, "dataset.limit is 5 and not none"),
        ((), {"facts": {"made_of": {"data": "x"}}}, "other settings: other examples"),
        ((), {"num_items": 5}, "another evaluation: other items"),
        ((), {"kind": "mini"}, "eval.name is mini and not paper"),
        (("eval.limit=3",), {}, "eval.limit is 3 and not none"),
        (("eval.label=others",), {}, "eval.label is others"),
        ((), {"examples": [f"x{one}" for one in EIGHT]}, "other held-out examples"),
        ((), {"before": 3.6}, "the untuned model's loss is 3.6000 there and 3.5000"),
        ((), {"name": "again", "seed": 0}, "the same settings and seed as"),
    ],
)
def test_what_is_not_comparable_is_set_aside_with_its_reason(tmp_path, overrides, changes, reason):
    for seed in (0, 1):
        write_run(tmp_path, "random", 0.3, seed)
    changes = {"seed": 2, **changes}
    odd = write_run(tmp_path, "random", 0.3, changes.pop("seed"), *overrides, **changes)
    for folders in (
        [*sorted(tmp_path.glob("random-rho0.3-seed[01]")), odd],
        [odd, *sorted(tmp_path.glob("random*[01]"))],
    ):
        comparison = compare(folders)
        if "name" in changes and folders[0] == odd:
            continue  # of two that are the same the first one counts
        assert [one.folder for one in comparison.unused] == [odd]
        assert reason in comparison.unused[0].reason
        assert len(comparison.runs) == 2


@pytest.mark.parametrize(
    ("overrides", "changes"),
    [
        (
            ("eval.batch_size=1", "sft.tokens_per_pack=64", "scoring.tokens_per_pack=64", "trainer.deterministic=true"),
            {},
        ),
        (("eval.mirror=/somewhere/else",), {}),
        (("eval.baseline=false",), {"baseline": False}),
    ],
)
def test_memory_speed_and_place_set_nothing_apart(tmp_path, overrides, changes):
    runs = [write_run(tmp_path, "tss", 0.3, 0), write_run(tmp_path, "tss", 0.3, 1, *overrides, **changes)]
    comparison = compare(runs)
    assert not comparison.unused
    assert len(row_of(comparison, "tss").runs) == 2


def test_one_odd_run_that_comes_first_sets_itself_aside(tmp_path):
    """The middle of 3.4, 3.5 and 3.5 is the reference, wherever the odd one stands."""
    odd = write_run(tmp_path, "random", 0.3, 0, before=3.4)
    comparison = compare([odd, *(write_run(tmp_path, "random", 0.3, seed) for seed in (1, 2))])
    assert list(reasons(comparison)) == [odd.name]


def edit(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def test_lost_or_altered_held_out_losses(tmp_path):
    for method in ("random", "tss", "ppl"):
        write_run(tmp_path, method, 0.3, 0)
    names = {method: tmp_path / f"{method}-rho0.3-seed0/eval/held_out.parquet" for method in ("tss", "ppl")}
    names["tss"].unlink()
    pl.read_parquet(names["ppl"]).with_columns(pl.col("loglik_after") + 1).write_parquet(names["ppl"])
    found = reasons(compare(sorted(tmp_path.iterdir())))
    assert "don't make up metrics.json; run the same command again" in found["ppl-rho0.3-seed0"]
    assert (
        "has lost its held-out examples (eval/held_out.parquet); run its evaluation again" in found["tss-rho0.3-seed0"]
    )


def test_damaged_and_foreign_folders_say_what_to_run(tmp_path):
    good = write_run(tmp_path, "random", 0.3, 0)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half/config.yaml").write_text("rho: 0.3")
    for name in ("broken", "strange", "old", "new", "text", "words", "stopped", "by_hand", "no_items", "other_items"):
        write_run(tmp_path, "tss", 0.6, 0, name=name)
    (tmp_path / "broken/config.yaml").write_text("a: [1")
    (tmp_path / "strange/config.yaml").write_text("model: resnet")
    edit(tmp_path / "old/run.json", format_version=1)
    edit(tmp_path / "new/run.json", format_version=99)
    (tmp_path / "text/metrics.json").write_text("not JSON")
    edit(tmp_path / "words/metrics.json", rho="b")
    edit(tmp_path / "stopped/run.json", status="stopped: DataError: x")
    edit(tmp_path / "by_hand/run.json", held_out=[{"name": "nll", "before": 2.0}])
    (tmp_path / "no_items/eval/samples.parquet").unlink()
    edit(tmp_path / "other_items/metrics.json", **{"eval/tuned/sum": 12.0})
    comparison = compare([*sorted(tmp_path.iterdir()), good, tmp_path / "nowhere"])
    assert [run.folder for run in comparison.runs] == [good]
    found = reasons(comparison)
    for name, said, remedy in (
        ("foreign", "is no run", "give a run's folder"),
        ("half", "is no run", "give a run's folder"),
        ("nowhere", "is not there", "give a run's folder"),
        ("broken", "config.yaml can't be read", "overwrite=true"),
        ("strange", "config.yaml isn't what this version of tss_lab writes", "overwrite=true"),
        ("old", "was written by an older tss_lab (format 1)", "run its command again with overwrite=true"),
        ("new", "is of format 99", "update tss_lab"),
        ("text", "metrics.json can't be read", "run the same command again"),
        ("words", "metrics.json: rho is no number", "run the same command again"),
        ("stopped", "is not finished (stopped: DataError: x)", "run its command again"),
        ("by_hand", "run.json: its held-out measures can't be read", "run the same command again"),
        ("no_items", "has lost the items", "run the same command again"),
        ("other_items", "don't make up metrics.json", "run the same command again"),
    ):  # fmt: skip
        assert said in found[name]
        assert remedy in found[name]
        assert str(tmp_path) not in found[name]


def test_variants_of_a_method_are_rows_of_their_own(tmp_path):
    write_run(tmp_path, "tss_pp", 0.3, 0)
    write_run(tmp_path, "tss_pp", 0.3, 1, "method.tau=0.5", name="sharp")
    write_run(tmp_path, "tss", 0.3, 0)
    write_run(tmp_path, "tss", 0.3, 1, "generator=qwen3_14b", name="other generator")
    write_run(tmp_path, "tss", 0.3, 2, name="other chooser", choose__name="spread")
    labels = [row.label for row in compare(sorted(tmp_path.iterdir())).pairs[0].methods]
    assert labels == [
        "TSS (choose spread, generator smollm2_135m)", "TSS (choose top, generator qwen3_14b)",
        "TSS (choose top, generator smollm2_135m)", "TSS++ (tau 0.1)", "TSS++ (tau 0.5)",
    ]  # fmt: skip


PLUGIN = """
from dataclasses import dataclass
import numpy as np
from tss_lab.methods import Needs

@dataclass(frozen=True)
class Length:
    needs: Needs = Needs()
    def score(self, evidence, seed): return np.zeros(len(evidence))
    def preference(self, score_N): return score_N
"""


@pytest.mark.parametrize(("module", "is_here"), [("of_my_own", True), ("nowhere", False)])
def test_a_method_of_ones_own_without_likelihoods_is_one_row(tmp_path, monkeypatch, module, is_here):
    """Neither the generator nor the precision of likelihoods splits it."""
    (tmp_path / "of_my_own.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    for seed, generator in enumerate(("smollm2_135m", "qwen3_14b")):
        dtype = ("float32", "bfloat16")[seed]
        settings = (f"generator={generator}", f"scoring.dtype={dtype}")
        write_run(tmp_path / "runs", "random", 0.3, seed, *settings, name=f"{seed}", method__name="length",
                  method__target=f"{module}.Length")  # fmt: skip
    comparison = compare(sorted((tmp_path / "runs").iterdir()))
    (row,) = comparison.pairs[0].methods
    assert (row.label, row.seeds) == ("length", [0, 1])
    note = "The class of method length (nowhere.Length) can't be loaded here"
    assert [one.startswith(note) for one in comparison.pairs[0].notes] == [True] * (not is_here)


def test_without_its_class_a_methods_likelihoods_tell_what_it_is_made_of(tmp_path):
    """Two generators: one row where only the true prompt was scored, two where alternatives were."""
    names, loss_N, ones_N = np.array(["a"], dtype=object), np.array([-2.0]), np.array([1])
    plain = Likelihoods(names, loss_N, np.empty((1, 0)), np.array([0]), loss_N * np.nan, ones_N)
    against = Likelihoods(names, loss_N, np.array([[-3.0]]), ones_N, loss_N * np.nan, ones_N)
    for method, likelihoods in (("mine", plain), ("yours", against)):
        for seed, generator in enumerate(("smollm2_135m", "qwen3_14b")):
            write_run(tmp_path, "random", 0.3, seed, f"generator={generator}", name=f"{method}{seed}",
                      method__name=method, method__target=f"nowhere.{method}", likelihoods=likelihoods)  # fmt: skip
    labels = [row.label for row in compare(sorted(tmp_path.iterdir())).pairs[0].methods]
    assert labels == ["mine", "yours (generator qwen3_14b)", "yours (generator smollm2_135m)"]


def test_nothing_is_called_that_is_no_method(tmp_path):
    """A folder may come from anywhere: reading it runs no function that its config names."""
    write_run(tmp_path, "random", 0.3, 0, method__target="pathlib.Path.touch", method__name="odd")
    config = (tmp_path / "random-rho0.3-seed0/config.yaml").read_text()
    config = config.replace("target: pathlib.Path.touch", f"target: os.mkdir\n  path: {tmp_path}/made")
    (tmp_path / "random-rho0.3-seed0/config.yaml").write_text(config)
    comparison = compare([tmp_path / "random-rho0.3-seed0"])
    assert "can't be loaded here" in comparison.pairs[0].notes[0]
    assert not (tmp_path / "made").exists()


def test_the_untuned_model_of_a_run_of_its_own(tmp_path):
    write_run(tmp_path, "random", 0.3, 0, baseline=False)
    config = with_settings(run_config(tmp_path, "zero", "method=full", "eval=paper"), dataset__name="another")
    result = result_of({name: [index % 10 < 3 for index in range(30)] for name in TITLES})
    write_folder(config, zero_shot=result, model={"weights_sha256": "w" * 64, "tokenizer_sha256": "t"})
    comparison = compare(sorted(tmp_path.iterdir()))
    assert [pair.title for pair in comparison.pairs] == ["gemma3_270m on alpaca"]
    assert row_of(comparison, "zero-shot").means["sum"].value == approx(120.0)


def test_without_benchmarks_the_held_out_loss_is_compared(tmp_path):
    for method, losses in (("random", (3.0, 3.0)), ("tss", (2.9, 2.7))):
        for seed, loss in enumerate(losses):
            write_run(tmp_path, method, 0.3, seed, correct=False, kind="none", nll=loss)
    comparison = compare(sorted(tmp_path.iterdir()))
    (against,) = comparison.answers[0].against
    assert against.differences["nll"].value == approx(-0.2)
    assert against.note == ""
    page = page_text(comparison)
    assert "Nothing was evaluated on benchmarks" in page
    assert "lower is better" in page


def test_texts_of_runs_stay_texts(tmp_path):
    for method in ("random", "tss", HOSTILE):
        write_run(tmp_path, method, 0.3, 0, name=f"run{len(method)}", method__name=method, model__name=HOSTILE,
                  dataset__name=HOSTILE, eval__label=HOSTILE)  # fmt: skip
    odd = write_run(tmp_path, "ppl", 0.3, 0, name="odd")
    edit(odd / "run.json", status=HOSTILE)
    comparison = compare(sorted(tmp_path.iterdir(), key=lambda folder: folder == odd))
    parsed = outline(render(page_of(comparison)))
    assert not {"script", "img"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert parsed.tags.count("style") == 1
    assert HOSTILE in "".join(parsed.texts)
    fetched = [value for name, value in parsed.attributes if name in {"src", "href", "xlink:href", "action", "data"}]
    assert all(value.startswith("#") for value in fetched)
    write_comparison(comparison, tmp_path / "comparison")
    assert all(path.parent.name == "tables" for path in tmp_path.rglob("*.tex"))


def test_demonstration_items_are_called_that(tmp_path):
    for method in ("random", "tss"):
        write_run(tmp_path, method, 0.05, 0, kind="mini")
    page = page_text(compare(sorted(tmp_path.iterdir())))
    for name in TITLES.values():
        assert page.count(name) > 0
        assert page.count(name) == len(re.findall(rf"{name}-style demonstration items", page))
    assert "Sum over demonstration items of 4 kinds" in page
    assert "SUM" not in page


def test_the_page_has_all_its_parts(grid_page):
    parsed = outline(grid_page)
    assert {"runs", "results", "random", "tables", "curves", "reading"} <= set(parsed.ids)
    assert "aside" not in parsed.ids
    assert len(parsed.ids) == len(set(parsed.ids))
    assert parsed.tags.count("figure") == 1
    shown = texts(grid_page)
    for words in ("of Table 2", "of Table 3", "of Table 4", "of Table 5", "Null test", "SD at ρ = 1"):
        assert words in shown
    assert "var(--series-1)" in grid_page
    assert re.findall(r"#(0[1-9a-d])\1\1", grid_page) == []


def test_files_hold_the_rows(grid):
    content = json.loads(json.dumps(as_json(grid), allow_nan=False))
    text = line_a_row(grid).to_csv()
    lines = list(csv.DictReader(text.splitlines()))
    assert text.startswith(
        "model,dataset,method,variant,rho,budget,seeds,arc_challenge,arc_challenge_sd,arc_challenge_stderr,"
    )
    assert len(content["rows"]) == len(lines) == 11
    tss = next(row for row in content["rows"] if row["method"] == "tss" and row["rho"] == 0.15)
    line = next(line for line in lines if line["method"] == "tss" and line["rho"] == "0.15")
    assert float(line["sum"]) == approx(tss["accuracies"]["sum"]["value"])
    assert float(line["sum_minus_random_low"]) == approx(tss["against_random"]["sum"]["interval"][0])
    assert (tss["seeds"], line["seeds"]) == ([0, 1], "0 1")
    assert content["tables"]["Table 2"][0]["method"] == "tss_pp_exp"
    assert set(content) == {"format_version", "evaluation", "titles", "rows", "tables", "missing", "null_test", "notes",
                            "set_aside"}  # fmt: skip


def test_every_table_is_a_file(grid, tmp_path):
    write_comparison(grid, tmp_path)
    pair = "gemma3_270m_on_alpaca"
    names = {
        f"results_{pair}",
        f"against_random_{pair}",
        "null_test",
        "table_2",
        "table_3",
        "table_4",
        f"table_5_{pair}",
    }
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("csv", "md", "tex")
    }
    lines = list(csv.DictReader((tmp_path / f"tables/results_{pair}.csv").read_text().splitlines()))
    assert float(lines[2]["sum"]) == row_of(grid, "random").means["sum"].value
    (tmp_path / "tables/notes.md").write_text("mine")
    write_comparison(
        replace(grid, answers=[replace(grid.answers[0], null=None)]), tmp_path
    )  # what isn't shown any more goes, and nothing else
    assert not list((tmp_path / "tables").glob("null_test*"))
    assert (tmp_path / "tables/notes.md").exists()


def test_command_line(tmp_path, capsys):
    root = tmp_path / "runs"
    for method in ("random", "tss"):
        two(root, method, 0.3, 0, 1, 2 if method == "random" else 3)
    (root / "sweeps").mkdir()
    assert main([str(folder) for folder in sorted(root.iterdir())]) == 0
    printed = capsys.readouterr().out
    assert "1 of 3 folders set aside:" in printed
    assert "+25.0" in printed
    assert {path.name for path in (root / "comparison").iterdir()} == {
        "index.html", "comparison.json", "comparison.csv", "tables"
    }  # fmt: skip
    # The page written beside the runs is not taken for a run the next time.
    assert main([*(str(folder) for folder in sorted(root.iterdir())), "--output", str(tmp_path / "other")]) == 0
    assert "1 of 3 folders set aside:" in capsys.readouterr().out
    assert (tmp_path / "other/index.html").exists()


def test_one_folder_gives_its_own_page(tmp_path, capsys):
    run = two(tmp_path, "random", 0.3, 0, 1, 2)
    assert main([str(run)]) == 0
    assert str(run / "report/index.html") in capsys.readouterr().out
    assert (run / "report/index.html").exists()
    assert main([str(tmp_path)]) == 2
    assert "is no run" in capsys.readouterr().err


def test_nothing_to_compare_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path / "x")]) == 2
    assert "none of the 2 folders can be compared" in capsys.readouterr().err
    with pytest.raises(ArtifactError, match="is no run"):
        compare([tmp_path])
