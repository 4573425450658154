"""Runs compared: from made-up run folders to the page, the files and the terminal."""

import csv
import json
import re

import numpy as np
import polars as pl
import pytest
from made_up_folders import BENCHMARKS, write_grid, write_run
from made_up_run import HOSTILE
from pytest import approx
from test_page import outline

from tss_lab.errors import ArtifactError
from tss_lab.report.__main__ import main
from tss_lab.report.comparison.compare import compare
from tss_lab.report.comparison.files import as_csv, as_json
from tss_lab.report.comparison.page import render

FOUR = {"arc_challenge": 4, "mmlu": 4}


def right(*counts):
    """The first so many of four items of two benchmarks are right."""
    return {name: [index < count for index in range(4)] for name, count in zip(FOUR, counts, strict=True)}


def two(root, method, rho, seed, *counts, **more):
    return write_run(root, method, rho, seed, correct=right(*counts), benchmarks=tuple(FOUR), **more)


def texts(html):
    return re.sub(r"\s+", " ", " ".join(outline(html).texts))


def row_of(comparison, method, rho=None):
    rows = [row for pair in comparison.pairs for row in pair.rows if row.method == method]
    return next(row for row in rows if rho is None or row.rho == rho)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    root = tmp_path_factory.mktemp("grid") / "runs"
    write_grid(root)
    return compare(sorted(root.iterdir()))


@pytest.fixture(scope="module")
def grid_page(grid):
    return render(grid)


def test_a_grid_is_rows_with_the_baselines_on_top(grid):
    rows = grid.pairs[0].rows
    assert [row.method for row in rows[:3]] == ["zero-shot", "full", "random"]
    assert [row.rho for row in rows[2:]] == [0.05] * 5 + [0.15] * 5 + [1.0] * 5
    assert len(grid.runs) == 48
    assert not grid.unused
    assert all(row.accuracies["sum"].num_seeds == 3 for row in rows[1:])


def test_rows_by_hand(tmp_path):
    """Seed 0 has 1 and 2 of 4 right, seed 1 has 3 and 2: sums 75 and 125."""
    comparison = compare([two(tmp_path, "tss", 0.3, 0, 1, 2, nll=2.0), two(tmp_path, "tss", 0.3, 1, 3, 2, nll=2.4)])
    row = row_of(comparison, "tss")
    assert row.accuracies["arc_challenge"].value == approx(50)
    assert row.accuracies["sum"].value == approx(100)
    assert row.accuracies["sum"].spread == approx(50 / np.sqrt(2))
    assert row.held_out["nll"].value == approx(2.2)
    assert comparison.titles["sum"] == "SUM of 2 benchmarks"
    zero_shot = row_of(comparison, "zero-shot")
    assert (zero_shot.accuracies["sum"].value, zero_shot.held_out["nll"].value) == (50.0, 3.5)


def test_tables_by_hand(tmp_path):
    """At 5 %: random 75, PPL 100, TSS 125. At 15 % random is the best. Full 100: TSS at 5 % is 25 above."""
    for method, rho, counts in (
        ("random", 0.05, (1, 2)), ("ppl", 0.05, (2, 2)), ("tss", 0.05, (3, 2)),
        ("random", 0.15, (2, 2)), ("tss", 0.15, (1, 1)), ("full", 1.0, (2, 2)),
    ):  # fmt: skip
        two(tmp_path, method, rho, 0, *counts)
    comparison = compare(sorted(tmp_path.iterdir()))
    tables = comparison.tables
    (five,), (fifteen,) = tables.small_budgets["Table 2"], tables.small_budgets["Table 3"]
    assert (five.baseline["sum"], five.value["sum"], five.row.method, five.num_candidates) == (75, 125, "tss", 3)
    assert five.differences["sum"].value == approx(50)
    assert (fifteen.row.method, fifteen.differences) == ("random", {})
    (overall,) = tables.overall
    assert (overall.row.method, overall.row.rho, overall.differences["sum"].value) == ("tss", 0.05, approx(25))
    (breakdown,) = tables.breakdown
    assert {name: one.value for name, one in breakdown.differences.items()} == approx(
        {"arc_challenge": 50, "mmlu": 0, "sum": 50}
    )
    missing = " ".join(tables.missing)
    assert "Table 3 (ρ = 0.15), tiny on made: shown without PPL, IFD, TSS (E), TSS++, TSS++ (E)" in missing
    assert "Random at ρ = 0.45, 0.75, 1" in missing
    page = texts(render(comparison))
    assert "+50.000" in page
    assert "0 (random itself)" in page
    assert "No null test" not in page or "needs at least two" in page


def test_nothing_changed_and_no_random(tmp_path):
    for method, rho, counts in (("random", 0.3, (1, 2)), ("tss", 0.3, (1, 2)), ("ppl", 0.6, (3, 3))):
        two(tmp_path, method, rho, 0, *counts)
    two(tmp_path, "random", 0.9, 0, 1, 1)
    two(tmp_path, "ifd", 0.9, 1, 1, 1)
    comparison = compare(sorted(tmp_path.iterdir()))
    notes = {one.row.method: one.note for one in comparison.against[0]}
    assert notes["tss"].startswith("no item changed")
    assert notes["ppl"] == "no random run at this ρ"
    assert notes["ifd"] == "no random run of the same seeds"
    page = texts(render(comparison))
    assert "+0.0 " not in page
    assert "no random run at this ρ" in page


def test_null_test_counts_unweighted_runs_on_all_of_the_data(tmp_path):
    """Sums 100 and 125 under one seed: mean 112.5, SD 25/√2; the weighted run is left out."""
    two(tmp_path, "random", 1.0, 0, 2, 2)
    two(tmp_path, "tss", 1.0, 0, 3, 2)
    two(tmp_path, "tss_exp", 1.0, 0, 4, 4)
    comparison = compare(sorted(tmp_path.iterdir()))
    (null,) = comparison.nulls
    assert null.methods == ["random", "tss"]
    assert (null.spread.mean, null.spread.over_all) == approx((112.5, 25 / np.sqrt(2)))
    assert null.largest_against_random == approx(25)
    assert "Null test" in texts(render(comparison))


def test_null_test_says_when_a_seed_decides_all(tmp_path):
    for seed, counts in ((0, (2, 2)), (1, (3, 2))):
        two(tmp_path, "random", 1.0, seed, *counts)
        two(tmp_path, "ppl", 1.0, seed, *counts)
    (null,) = compare(sorted(tmp_path.iterdir())).nulls
    assert "came out the same" in null.note


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "stopped: DataError: x"}, "is not finished (stopped: DataError: x)"),
        ({"weights": "other"}, "other weights under the same name"),
        ({"sft__learning_rate": 1.0}, "sft.learning_rate is 1.0 and not 1e-05"),
        ({"dataset__limit": 5}, "dataset.limit is 5 and not none"),
        ({"num_items": 5}, "other items"),
        ({"kind": "mini"}, "eval.name is mini and not paper"),
        ({"eval__limit": 3}, "eval.limit is 3 and not none"),
        ({"label": "others"}, "label is others"),
        ({"name": "again", "seed": 0}, "the same settings and seed as"),
    ],
)
def test_what_is_not_comparable_is_set_aside_with_its_reason(tmp_path, changes, reason):
    for seed in (0, 1):
        write_run(tmp_path, "random", 0.3, seed)
    changes = {"seed": 2, **changes}
    odd = write_run(tmp_path, "random", 0.3, changes.pop("seed"), **changes)
    folders = sorted(tmp_path.iterdir(), key=lambda folder: folder == odd)
    comparison = compare(folders)
    assert [one.folder for one in comparison.unused] == [odd]
    assert reason in comparison.unused[0].reason
    assert len(comparison.runs) == 2
    page = texts(render(comparison))
    assert "1 folder set aside" in page
    assert reason in page


def test_other_held_out_examples_are_noticed(tmp_path):
    write_run(tmp_path, "random", 0.3, 0)
    odd = write_run(tmp_path, "tss", 0.3, 0)
    metrics = json.loads((odd / "metrics.json").read_text())
    (odd / "metrics.json").write_text(json.dumps({**metrics, "held_out/nll/before": 3.6}))
    comparison = compare(sorted(tmp_path.iterdir()))
    assert "other held-out examples" in comparison.unused[0].reason
    (odd / "metrics.json").write_text(json.dumps(metrics))
    assert not compare(sorted(tmp_path.iterdir())).unused
    losses = pl.read_parquet(odd / "eval/held_out.parquet")
    losses.with_columns(example_id="x" + pl.col("example_id")).write_parquet(odd / "eval/held_out.parquet")
    assert "other held-out examples" in compare(sorted(tmp_path.iterdir())).unused[0].reason


def test_lost_or_altered_held_out_losses(tmp_path):
    for method in ("random", "tss", "ppl"):
        write_run(tmp_path, method, 0.3, 0)
    names = {method: tmp_path / f"{method}-rho0.3-seed0/eval/held_out.parquet" for method in ("tss", "ppl")}
    names["tss"].unlink()
    pl.read_parquet(names["ppl"]).with_columns(pl.col("loglik_after") + 1).write_parquet(names["ppl"])
    unused = compare(sorted(tmp_path.iterdir())).unused
    assert ["don't make up" in unused[0].reason, "has lost its held-out" in unused[1].reason] == [True, True]


def test_damaged_and_foreign_folders(tmp_path):
    good = write_run(tmp_path, "random", 0.3, 0)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/config.yaml").write_text("a: [1")
    (tmp_path / "broken/run.json").write_text("{}")
    for name in ("text", "words"):
        (write_run(tmp_path, "tss", 0.6, 0, name=name) / "metrics.json").write_text('{"a": "b"}')
    (tmp_path / "text/metrics.json").write_text("not JSON")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/config.yaml").write_text("model: resnet")
    (tmp_path / "strange/run.json").write_text("{}")
    no_items = write_run(tmp_path, "tss", 0.3, 0)
    (no_items / "eval/samples.parquet").unlink()
    other_items = write_run(tmp_path, "ppl", 0.3, 0)
    metrics = json.loads((other_items / "metrics.json").read_text())
    (other_items / "metrics.json").write_text(json.dumps({**metrics, "eval/tuned/sum": 12.0}))
    comparison = compare([*sorted(tmp_path.iterdir()), good, tmp_path / "nowhere"])
    assert [run.folder for run in comparison.runs] == [good]
    reasons = {one.folder.name: one.reason for one in comparison.unused}
    assert "is no run" in reasons["foreign"]
    assert "config.yaml can't be read" in reasons["broken"]
    assert "none of this lab's" in reasons["strange"]
    assert "metrics.json can't be read" in reasons["text"]
    assert "no number" in reasons["words"]
    assert "has lost the items" in reasons[no_items.name]
    assert "don't add up" in reasons[other_items.name]
    assert reasons["nowhere"] == "is not there"


def test_variants_of_a_method_are_rows_of_their_own(tmp_path):
    write_run(tmp_path, "tss_pp", 0.3, 0)
    write_run(tmp_path, "tss_pp", 0.3, 1, name="sharp", method__tau=0.5)
    labels = [row.label for row in compare(sorted(tmp_path.iterdir())).pairs[0].methods]
    assert labels == ["TSS++ (tau 0.5)", "TSS++ (tau 1)"]


def test_the_untuned_model_of_a_run_of_its_own(tmp_path):
    write_run(tmp_path, "random", 0.3, 0, zero_shot=False)
    alone = write_run(tmp_path, "full", 1.0, 0, name="zero", correct=False, dataset="another", kind="paper")
    metrics = {f"eval/zero_shot/{name}": 30.0 for name in BENCHMARKS}
    metrics |= {f"eval/zero_shot/{name}_items": 30 for name in BENCHMARKS}
    (alone / "metrics.json").write_text(json.dumps({**metrics, "eval/zero_shot/sum": 120.0}))
    comparison = compare(sorted(tmp_path.iterdir()))
    assert [pair.title for pair in comparison.pairs] == ["tiny on made"]
    assert row_of(comparison, "zero-shot").accuracies["sum"].value == 120.0


def test_without_benchmarks_the_held_out_loss_is_compared(tmp_path):
    for method, losses in (("random", (3.0, 3.0)), ("tss", (2.9, 2.7))):
        for seed, loss in enumerate(losses):
            write_run(tmp_path, method, 0.3, seed, correct=False, kind="none", nll=loss)
    comparison = compare(sorted(tmp_path.iterdir()))
    (against,) = comparison.against[0]
    assert against.loss.value == approx(-0.2)
    assert against.note == ""
    page = texts(render(comparison))
    assert "Nothing was evaluated on benchmarks" in page
    assert "lower is better" in page


def test_texts_of_runs_stay_texts(tmp_path):
    for method in ("random", "tss", HOSTILE):
        write_run(tmp_path, method, 0.3, 0, name=f"run{len(method)}", model=HOSTILE, dataset=HOSTILE, label=HOSTILE)
    odd = write_run(tmp_path, "ppl", 0.3, 0, name="odd", status=HOSTILE)
    page = render(compare(sorted(tmp_path.iterdir(), key=lambda folder: folder == odd)))
    parsed = outline(page)
    assert not {"script", "img"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert parsed.tags.count("style") == 1
    assert HOSTILE in "".join(parsed.texts)
    fetched = [value for name, value in parsed.attributes if name in {"src", "href", "xlink:href", "action", "data"}]
    assert all(value.startswith("#") for value in fetched)


def test_demonstration_items_are_called_that(tmp_path):
    for method in ("random", "tss"):
        write_run(tmp_path, method, 0.05, 0, kind="mini")
    comparison = compare(sorted(tmp_path.iterdir()))
    page = texts(render(comparison))
    for name in ("ARC-Challenge", "MMLU", "HellaSwag", "TruthfulQA-MC1"):
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
    for words in (
        "form of Table 2",
        "form of Table 3",
        "form of Table 4",
        "form of Table 5",
        "Null test",
        "SD at ρ = 1",
    ):
        assert words in shown
    assert "var(--series-1)" in grid_page
    assert re.findall(r"#(0[1-9a-d])\1\1", grid_page) == []


def test_files_hold_the_rows(grid):
    content = json.loads(json.dumps(as_json(grid), allow_nan=False))
    lines = list(csv.DictReader(as_csv(grid).splitlines()))
    assert len(content["rows"]) == len(lines) == 17
    tss = next(row for row in content["rows"] if row["method"] == "tss" and row["rho"] == 0.15)
    line = next(line for line in lines if line["method"] == "tss" and line["rho"] == "0.15")
    assert float(line["sum"]) == approx(tss["accuracies"]["sum"]["value"])
    assert float(line["sum_minus_random_low"]) == approx(tss["against_random"]["sum"]["interval"][0])
    assert tss["seeds"] == [0, 1, 2]
    assert content["tables"]["Table 2"][0]["method"] == "tss_pp_exp"


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
        "index.html", "comparison.json", "comparison.csv"
    }  # fmt: skip
    # The page written beside the runs is not taken for a run the next time.
    assert main([*(str(folder) for folder in sorted(root.iterdir())), "--output", str(tmp_path / "other")]) == 0
    assert "1 of 3 folders set aside:" in capsys.readouterr().out
    assert (tmp_path / "other/index.html").exists()


def test_nothing_to_compare_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "none of the 1 folders can be compared" in capsys.readouterr().err
    with pytest.raises(ArtifactError, match="is no run"):
        compare([tmp_path])
