"""All checks together, on tiny models: every family in order, and what can't be made is skipped with a reason."""

import json

import pytest
from transformers import AutoTokenizer

from tests.made_up import run_config
from tss_lab.data import load_examples
from tss_lab.doctor import contamination, copies, machine, passes, tokens
from tss_lab.doctor.examine import examine
from tss_lab.doctor.gather import num_parameters, tokens_of
from tss_lab.doctor.measure import sampled_pairs
from tss_lab.errors import ArtifactError
from tss_lab.methods import build_method
from tss_lab.models import load_model, resolve_model
from tss_lab.models.prompted import PromptedModel
from tss_lab.runs.findings import Finding, findings_content, read_findings
from tss_lab.types import PromptKind

FAMILIES = (tokens, copies, contamination, passes, machine)


@pytest.fixture
def given(tmp_path, tiny_model_folder):
    """(settings, data, model, needs) of a run over ten rows."""

    def made(*overrides, model="gemma3", folder=None):
        path = tmp_path / "rows.jsonl"
        lines = [
            {"instruction": f"Say {n} in words.", "input": "", "output": f"It is {n}, a number."} for n in range(10)
        ]
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        data = ("dataset=jsonl", f"dataset.path={path}", f"model.path={folder or tiny_model_folder(model)}")
        config = run_config(tmp_path / "runs", "a", *data, "scoring.max_length=256", "doctor.sample=4", *overrides)
        local = resolve_model(config.model, config.paths.cache)
        return config, load_examples(config.dataset), local, build_method(config.method).needs

    return made


def examined(given, *, with_passes, trains=True):
    config, dataset, local, needs = given
    return {one.name: one for one in examine(config, needs, dataset, local, with_passes=with_passes, trains=trains)}


@pytest.mark.parametrize("model", ["llama", "gemma3", "qwen3"])
def test_the_full_form_agrees_with_lm_eval(given, model):
    found = examined(given("method=ifd", model=model), with_passes=True)
    assert list(found) == ["template", *(check.__name__ for family in FAMILIES for check in family.CHECKS)]
    agreed = found["evaluation_harness"]
    assert (agreed.status, agreed.figures["pairs"]) == ("ok", 4)
    assert agreed.figures["largest_nats"] < 1e-3
    assert found["finite"].figures["pairs"] == 8  # under the own instruction, and by itself
    assert {one.status for one in found.values()} <= {"ok", "skipped"}


def test_the_cheap_form_needs_no_weights(given, monkeypatch):
    monkeypatch.setattr("tss_lab.models.load.load_model", None)
    found = examined(given("eval=paper"), with_passes=False, trains=False)
    assert not {check.__name__ for check in passes.CHECKS} & set(found)
    assert "stages=[doctor]" in found["benchmark_items"].text
    assert "training_needed_bytes" not in found["memory"].figures


def test_a_low_precision_is_compared(given):
    found = examined(given("scoring.dtype=bfloat16", "method=ppl"), with_passes=True)
    assert found["precision"].figures["pairs"] == 4
    assert found["evaluation_harness"].figures["largest_nats"] < 1e-3  # float32 on both sides


def test_a_template_that_the_model_lacks_is_a_failure_and_no_error(given):
    found = examined(given("scoring.template=chat"), with_passes=True)
    assert found["template"].status == "failure"
    assert {found[name].status for name in ("merge_rate", "finite", "throughput")} == {"skipped"}
    assert found["duplicates"].status == "ok"


def test_damaged_weights_are_named(given, tmp_path, tiny_llama_folder):
    model = load_model(tiny_llama_folder)
    model.model.layers[1].mlp.up_proj.weight.data[0, 0] = float("nan")
    model.save_pretrained(tmp_path / "damaged")
    AutoTokenizer.from_pretrained(tiny_llama_folder).save_pretrained(tmp_path / "damaged")
    found = examined(given("method=ppl", folder=tmp_path / "damaged"), with_passes=True)
    assert found["finite"].status == "failure"
    assert "model.layers.1.mlp.up_proj.weight" in found["finite"].text


def test_no_memory_is_a_finding(given, monkeypatch):
    def refuse(self, pairs):
        raise MemoryError("can't allocate memory")

    monkeypatch.setattr("tss_lab.doctor.measure.Scorer.score", refuse)
    found = examined(given(), with_passes=True)
    assert found["memory"].status == "failure"
    assert {found[check.__name__].status for check in passes.CHECKS} == {"skipped"}


def test_the_sample_is_paired_with_its_neighbours_instructions(given):
    config, dataset, local, needs = given("method=tss", "alternatives.k=2")
    model = PromptedModel.of(local, config.scoring)
    own, others = sampled_pairs(tokens_of(dataset, model, needs.kinds, config.doctor), model, config, needs)
    assert [pair.kind for pair in own] == [PromptKind.TRUE] * 4
    assert len(others) == 4 * 2
    assert {tuple(pair.prompt_ids) for pair in others} == {tuple(pair.prompt_ids) for pair in own}


def test_weights_are_counted_without_reading_them(tiny_llama_folder):
    assert num_parameters(tiny_llama_folder) == sum(one.numel() for one in load_model(tiny_llama_folder).parameters())


def test_findings_survive_their_file(tmp_path):
    found = [Finding("a_b", "ok", "fine", "", {"x": 1.5, "ids": ["1"]}), Finding("c", "failure", "bad", "mend it")]
    path = tmp_path / "doctor.json"
    path.write_text(json.dumps(findings_content(found)), encoding="utf-8")
    assert read_findings(path) == found
    assert [str(one) for one in found] == ["a b: fine", "c: bad; mend it"]
    assert findings_content([Finding("a", "ok", "", "", {"x": float("nan")})])["findings"][0]["figures"] == {"x": None}
    path.write_text('{"format_version": 99, "findings": []}', encoding="utf-8")
    with pytest.raises(ArtifactError, match="newer tss_lab"):
        read_findings(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="format_version"):
        read_findings(path)
