"""Every yaml composes and passes the door; wrong settings are named in one sentence with exit code 2."""

import re
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tss_lab import __version__
from tss_lab.__main__ import main
from tss_lab.cli import config_folder
from tss_lab.cli.check import checked
from tss_lab.config import MethodConfig
from tss_lab.errors import ConfigError
from tss_lab.methods import Needs, build_method

CHOICES = [
    (path.parent.name, path.stem)
    for path in sorted(config_folder().glob("*/*.yaml"))
]  # fmt: skip
NEEDS_A_PATH = {("dataset", "jsonl"): "dataset.path=x", ("dataset", "chat"): "dataset.path=x"}
NEEDS_MORE = {
    ("generator", "endpoint"): ["generator.base_url=http://127.0.0.1:1", "generator.model_name=m"],
    ("generator", "replay"): ["generator.path=x"],
}


def composed(*overrides):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
        return checked(OmegaConf.to_container(config, resolve=True), list(overrides))


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_yaml_composes_and_checks(group, choice):
    overrides = [f"+experiment={choice}" if group == "experiment" else f"{group}={choice}"]
    overrides += [NEEDS_A_PATH[group, choice]] if (group, choice) in NEEDS_A_PATH else []
    config = composed(*overrides, *NEEDS_MORE.get((group, choice), []))
    assert build_method(config.method)
    assert config.run_name


def test_every_yaml_says_what_it_is_for():
    silent = [
        path.name for path in config_folder().rglob("*.yaml") if not path.read_text(encoding="utf-8").startswith("#")
    ]
    assert silent == []


def test_the_paper_grid_is_there():
    names = {path.stem for path in (config_folder() / "experiment").glob("*.yaml")}
    assert {f"{model}_{data}" for model in ("gemma", "llama", "qwen") for data in ("alpaca", "dolly", "ni20")} <= names


def test_every_command_of_the_paper_grid_composes():
    """One zero-shot run a model, no run twice, and no sweep that several devices would run again."""
    grid = runpy.run_path(str(config_folder().parent / "scripts" / "paper_grid.py"))["commands"]
    each = [command[command.index("tss_lab") + 1 :] for command in grid("0,1", ["trainer=ddp"], processes=8)]
    assert len(each) == len(set(map(tuple, each))) == 3 + 9 * 36 * 2
    assert not any("-m" in overrides for overrides in each)
    names = [composed(*overrides).run_name for overrides in (*each[:3], *each[3::72])]
    assert len(set(names)) == 3 + 9
    assert sum("zero-shot" in name for name in names) == 3
    assert sum("-m" in command[3:] for command in grid("0,1", [])) == 18
    assert composed("+experiment=gemma_alpaca").dataset.held_out == 500


@pytest.mark.parametrize(
    ("settings", "m"),
    [
        (["alternatives=generated", "alternatives.k=8"], 8),
        (["alternatives=mixed", "alternatives.k=8"], 4),
        (["alternatives=generated", "alternatives.k=8", "method.m=2"], 2),
    ],
)
def test_the_hard_set_is_all_of_k_when_only_generated(settings, m):
    """docs/method.md, Scores: m = 4, all K when the alternatives are generated only."""
    assert composed("method=tss_pp", *settings).method.params["m"] == m


def test_run_names():
    """Readable; the same for the same settings; another for any other setting that changes numbers."""
    plain = composed("+experiment=llama_alpaca", "method=tss_pp_exp", "rho=0.45").run_name
    assert plain == "llama_alpaca-tss_pp_exp-rho0.45-seed0"
    assert composed("+experiment=llama_alpaca", "method=tss_pp_exp", "rho=0.45", "logger=csv").run_name == plain
    assert composed("+experiment=llama_alpaca", "method=tss_pp_exp", "rho=0.45", "method.tau=0.5").run_name != plain
    assert composed("model.path=some/Model-7B").run_name.startswith("Model-7B_alpaca-")
    assert composed("+experiment=llama_alpaca", "method=tss_pp_exp", "rho=0.45", "overwrite=true").run_name == plain


def test_full_has_no_share():
    """rho doesn't apply to a method that keeps everything: neither in its name nor in its settings."""
    config = composed("+experiment=llama_alpaca", "method=full", "rho=0.3")
    assert (config.run_name, config.rho) == ("llama_alpaca-full-seed0", 1.0)
    assert config == composed("+experiment=llama_alpaca", "method=full", "rho=0.5")


@pytest.mark.parametrize("group", ["model", "generator.model"])
def test_a_path_brings_no_licence_of_another_model(group):
    def model(*overrides):
        config = composed("model=gemma3_270m", "generator=smollm2_135m", *overrides)
        return config.model if group == "model" else config.generator.model

    own = model(f"{group}.path=some/Model-7B")
    assert (own.name, own.path, own.revision, own.gguf) == ("Model-7B", "some/Model-7B", None, None)
    assert own.licence == "see the model's own page"
    said = model(f"{group}.path=some/Model-7B", f"{group}.licence=MIT", f"{group}.revision=v2", f"{group}.name=mine")
    assert (said.name, said.licence, said.revision, said.gguf) == ("mine", "MIT", "v2", None)
    assert composed("generator.model.path=some/Model-7B").generator.name == "Model-7B"
    assert model().gguf is not None
    assert model().licence != "see the model's own page"


@pytest.mark.parametrize(
    ("path", "name"),
    [("some/My rows.v2.jsonl", "My rows.v2"), ("data/rows.CSV", "rows"), ("rows.d/", "rows.d"), ("org/name", "name")],
)
def test_own_data_are_called_by_their_own_name(path, name):
    for dataset in ("jsonl", "chat"):
        config = composed(f"dataset={dataset}", f"dataset.path='{path}'")
        assert config.dataset.name == name
        assert config.run_name.startswith(f"gemma3_270m_{name.replace(' ', '_')}-tss_pp-")
    assert composed("dataset=jsonl", f"dataset.path='{path}'", "dataset.name=mine").dataset.name == "mine"
    assert composed("dataset=alpaca", f"dataset.path='{path}'").dataset.name == "alpaca"


@pytest.mark.parametrize("dataset", ["jsonl", "chat", "alpaca"])
def test_a_category_can_be_mapped(dataset):
    fields = composed(f"dataset={dataset}", "dataset.path=x", "dataset.fields.category=kind").dataset.fields
    assert fields["category"] == "kind"
    assert composed(f"dataset={dataset}", "dataset.path=x").dataset.fields["category"] == "category"


WRONG = [
    (["--rho", "0.3"], "--rho is no flag", "without dashes: rho=0.3"),
    (["--rho=0.3", "dataset=starter"], "--rho is no flag", "without dashes: rho=0.3"),
    (["--lr", "1e-4"], "--lr is no flag", "sft.learning_rate=1e-4"),
    (["--run-name", "mine"], "--run-name is no flag", "run_name=mine"),
    (["--frobnicate"], "--frobnicate is no flag", "see --help"),
    (["--config-dir", "/no/such", "rho=0.3"], "--config-dir /no/such", "check the path"),
    (["--info", "--cfg", "job"], "Only one of", "--cfg"),
    (["quickstart"], "quickstart", "write +experiment=quickstart"),
    (["tss_pp"], "tss_pp", "write method=tss_pp"),
    (["my.jsonl"], "my.jsonl", "dataset=jsonl dataset.path=my.jsonl"),
    (["sft.lr=1"], "sft.lr", "did you mean sft.learning_rate?"),
    (["sft.bs=1"], "sft.bs", "did you mean sft.batch_size?"),
    (["sft.warmup=1"], "sft.warmup", "did you mean sft.warmup_ratio?"),
    (["method.k=1"], "method.k", "did you mean alternatives.k?"),
    (["limit=1"], "limit", "did you mean dataset.limit or eval.limit?"),
    (["method.tau=abc"], "method.tau=abc can't be used", "a valid number"),
    (["method.alpha=null"], "method.alpha=null can't be used", "a valid number"),
    (["method.m=2.5"], "method.m=2.5 can't be used", "a valid integer"),
    (["method.m=9"], "method.m=9", "at most 4 alternatives; lower method.m or raise alternatives.k"),
    (["alternatives=mixed", "method.m=9"], "method.m=9", "at most 8 alternatives"),
    (["method=ifd", "method.kind=x"], "method.kind=x can't be used", "'loss_ratio'"),
    (["hydra/launcher=joblub"], "hydra/launcher=joblub is not there", "basic"),
    (["rhoo=0.5"], "rhoo", "did you mean rho?"),
    (["sft.learnin_rate=1"], "sft.learnin_rate", "did you mean sft.learning_rate?"),
    (["method=tsss"], "method=tsss", "did you mean method=tss?"),
    (["method.tua=1"], "method.tua", "did you mean method.tau?"),
    (["method=tss", "method.tau=2"], "not a setting of method=tss", "method=tss_pp, method=tss_pp_exp have it"),
    (["+experiment=quickstart", "method.kind=x"], "not a setting of method=tss_pp_exp", "method=ifd has it"),
    (["sft.lora.rank=8"], "not a setting of sft=default", "sft=lora has it"),
    (["experiment=quickstart"], "experiment", "write +experiment=quickstart"),
    (["+rho=0.3"], "rho", "write rho=0.3 without the plus"),
    (["+method=tss"], "method", "write method=tss without the plus"),
    (["rho=0.1,0.2"], "several values for rho", "add -m to sweep over them, or give one value"),
    (["stages=dataset,sft"], "several values for stages", "'stages=[dataset,sft]'"),
    (["model=Qwen/Qwen3-0.6B"], "model=Qwen/Qwen3-0.6B", "model.path=Qwen/Qwen3-0.6B."),
    (["dataset=my.jsonl"], "dataset=my.jsonl", "dataset=jsonl dataset.path=my.jsonl."),
    (["generator=/my/model"], "generator=/my/model", "generator.model.path=/my/model."),
    (["rho"], "rho", "give it a value"),
    (["rho=1.5"], "rho=1.5", "a share in (0, 1], such as rho=0.15"),
    (["rho=0"], "rho=0", "a share in (0, 1], such as rho=0.15"),
    (["run_name=1e3"], "run_name=1e3", "'run_name=\"1e3\"'"),
    (["run_name=a/b"], "run_name=a/b", "leave out /"),
    (["run_name=.."], "run_name=..", "paths.runs"),
    (["stages=dataset"], "stages=dataset", "'stages=[dataset]'"),
    (["stages=[]"], "stages=[]", "'stages=[dataset]'"),
    (["alternatives.k=0"], "alternatives.k=0", "greater than or equal to 1"),
    (["stages=[score]"], "stages.0=score", "'scores'"),
    (["method.weighting.clip=[3,1]"], "clip", "[smallest, largest]"),
    (["dataset=jsonl"], "dataset.path is not given", "give a file, a directory, or a Hub id"),
    (["dataset=jsonl", "dataset.path=x", "dataset.separator=ab"], "dataset.separator", "comma, semicolon, tab or pipe"),
    (["eval=mini", "eval.mirror=x"], "eval=mini reads no eval.mirror", "take eval=paper"),
    (["rho=[", "dataset=starter"], "rho=[", "close its brackets"),
]
WRONG_ON_THIS_MACHINE = [
    (["dataset=jsonl", "dataset.path=no/such.jsonl"], "no/such.jsonl", "check the path"),
    (["model.path=/no/such/model", "dataset=starter"], "/no/such/model", "directory"),
]


@pytest.mark.parametrize(("overrides", "culprit", "remedy"), WRONG, ids=[" ".join(words[0]) for words in WRONG])
def test_wrong_settings_get_one_sentence(overrides, culprit, remedy, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        sys, "argv", ["tss_lab", *overrides, f"paths.runs={tmp_path}/runs", f"paths.store={tmp_path}/store"]
    )
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err.strip().splitlines()
    assert stopped.value.code == 2
    assert culprit in said[-1]
    assert remedy in said[-1]
    assert len(said) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("overrides", "culprit", "remedy"), WRONG_ON_THIS_MACHINE)
def test_what_isnt_there_gets_one_sentence(overrides, culprit, remedy, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        sys, "argv", ["tss_lab", *overrides, f"paths.runs={tmp_path}/runs", f"paths.store={tmp_path}/store"]
    )
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err.strip().splitlines()
    assert stopped.value.code == 2
    assert culprit in said[-1]
    assert remedy in said[-1]
    assert not any("Traceback" in line for line in said)
    assert not list(Path(tmp_path).glob("store/*/*/manifest.json"))


def test_a_setting_that_a_yaml_of_ones_own_lacks(monkeypatch, capsys, tmp_path):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text("name: mine\ntarget: mine.Mine\n")
    arguments = ["--config-dir", str(tmp_path), "method=mine", "method.weighting.enabled=true"]
    monkeypatch.setattr(sys, "argv", ["tss_lab", *arguments])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert "method.weighting.enabled is not a setting of method=mine; " in said
    assert f"or add it to {tmp_path}/method/mine.yaml" in said


@pytest.mark.parametrize("setting", ["paths.runs", "paths.store"])
@pytest.mark.parametrize(("place", "reason"), [("/dev/null/x", "Not a directory"), ("{}/taken", "it is a file")])
def test_folders_that_cant_be_written_to(setting, place, reason, monkeypatch, capsys, tmp_path):
    (tmp_path / "taken").touch()
    paths = {"paths.runs": tmp_path / "runs", "paths.store": tmp_path / "store", setting: place.format(tmp_path)}
    arguments = ["dataset=starter", "stages=[dataset]", *(f"{name}={path}" for name, path in paths.items())]
    monkeypatch.setattr(sys, "argv", ["tss_lab", *arguments])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"tss_lab: can't write to {setting}={paths[setting]}: {reason}")
    assert said.endswith("; give another folder")


class Typed:
    """A method of a user's own, whose constructor checks nothing."""

    needs = Needs()

    def __init__(self, weight: float, names: "NotImported" = ()):  # type: ignore[name-defined]  # noqa: F821
        if weight == 0:
            raise ValueError("weight must not be 0")

    def score(self, evidence, seed): ...

    def preference(self, score_N): ...


@dataclass(frozen=True)
class TypedFields(Typed):
    weight: float = 1.0
    pair: tuple[int, int] = (1, 2)


@pytest.mark.parametrize(
    ("target", "settings", "said"),
    [
        ("Typed", {"weight": 0}, "method=mine: weight must not be 0"),
        ("Typed", {"weight": 1, "height": 2}, r"method.height is not a setting of .*Typed, which takes weight, names"),
        ("TypedFields", {"weight": "abc"}, "method.weight=abc can't be used: input should be a valid number"),
        ("TypedFields", {"pair": [1, 2, 3]}, "method.pair=.* can't be used"),
        ("TypedFields", {"pair": [3, 4]}, None),
    ],
)
def test_settings_of_a_method_of_ones_own(target, settings, said):
    """Held against the annotations of its constructor; what can't be resolved is left to the class."""
    config = MethodConfig(name="mine", target=f"{__name__}.{target}", **settings)
    if said is None:
        assert build_method(config).pair == (3, 4)
        return
    with pytest.raises(ConfigError, match=said):
        build_method(config)


def test_a_yaml_that_is_none(monkeypatch, capsys, tmp_path):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "broken.yaml").write_text("name: [broken\n")
    monkeypatch.setattr(sys, "argv", ["tss_lab", "--config-dir", str(tmp_path), "method=broken"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit):
        main()
    assert f"{tmp_path}/method/broken.yaml, line 2, is not valid YAML" in capsys.readouterr().err


def test_the_version_is_ours(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tss_lab", "--version"])
    main()
    assert capsys.readouterr().out == f"tss_lab {__version__}\n"


def test_the_documented_yaml_can_be_overridden(tmp_path, monkeypatch):
    text = (config_folder().parent / "docs" / "own_data_and_models.md").read_text(encoding="utf-8")
    for path, block in re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", text, re.DOTALL):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(block)
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = f"hydra.searchpath=[file://{tmp_path}/my_conf]"
    method = composed(mine, "method=margin", "method.weight=0.5", "method.weighting.enabled=true").method
    assert (method.name, method.params, method.weighting.enabled) == ("margin", {"weight": 0.5}, True)


def test_full_error_has_the_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tss_lab", "rho=2", f"paths.runs={tmp_path}"],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin", "HYDRA_FULL_ERROR": "1"},
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_sweep_over_several_devices_needs_a_launcher(monkeypatch, capsys, tmp_path):
    """Lightning would start the whole sweep again for the second device."""
    arguments = ["-m", "rho=0.1,0.2", "trainer.devices=2", "trainer.strategy=ddp", f"paths.runs={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["tss_lab", *arguments])
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "torchrun" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_job_of_a_sweep_has_its_log(monkeypatch, tmp_path):
    arguments = ["-m", "dataset=starter", "dataset.limit=5,10", "stages=[dataset]"]
    monkeypatch.setattr(
        sys, "argv", ["tss_lab", *arguments, f"paths.runs={tmp_path}/runs", f"paths.store={tmp_path}/store"]
    )
    main()
    logs = [path.read_text(encoding="utf-8") for path in (tmp_path / "runs").glob("*/run.log")]
    assert sorted(re.findall(r"\d+ are used", "".join(logs))) == ["10 are used", "5 are used"]
    assert len(logs) == 2


def test_a_union_problem_names_the_setting():
    with pytest.raises(ConfigError, match="devices"):
        composed("trainer.devices=many")


def test_help_loads_no_heavy_library():
    """--help and a bad config answer at once: neither torch nor transformers is imported on the way."""
    script = (
        "import sys, tss_lab.__main__, tss_lab.pipeline;"
        "heavy = ('torch', 'transformers', 'lm_eval', 'wandb', 'datasets', 'pytorch_lightning');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent
    )
    assert done.stdout.strip() == "[]"
