"""Loggers write locally, never ask, and never write a secret."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tss_lab.config import LoggerConfig
from tss_lab.errors import ConfigError
from tss_lab.runs import ScoredRow
from tss_lab.tracking.loggers import close_loggers, log_page, log_scores, log_summary, make_loggers, wandb_mode
from tss_lab.tracking.secrets import HIDDEN, typed_without_secrets, without_secrets

SETTINGS = {
    "experiment_name": "quickstart",
    "rho": 0.3,
    "method": {"name": "tss"},
    "generator": {"api_key_env": "OPENAI_API_KEY", "base_url": "https://user:hunter2@host/v1?api_key=hunter2&x=1"},
    "sft": {"max_target_tokens": 4096},
    "api_key": "hunter2",
}
ROWS = [
    ScoredRow(1, "a", 0.5, 2, False, 0.0, None, {"instruction": "a secret of the house"}),
    ScoredRow(2, None, None, None, False, 0.0, "empty output", {}),
    ScoredRow(3, "b", 2.0, 1, True, 1.2, None, {}),
    ScoredRow(4, "c", 3.0, 0, True, 0.8, None, {}),
]


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    """A machine without any key, whatever the developer's own has."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()


def written(kind, folder):
    page = folder / "index.html"
    folder.mkdir()
    page.write_text("<h1>report</h1>")
    loggers = make_loggers(LoggerConfig(kind=kind), folder, "my-run", SETTINGS)
    for step in range(3):
        loggers[0].log_metrics({"sft/loss": 1.0 / (step + 1)}, step=step)
    log_scores(loggers, ROWS)
    log_summary(loggers, {"eval/tuned/sum": 130.5})
    log_page(loggers, page)
    close_loggers(loggers)
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def test_csv_holds_curve_and_results(tmp_path):
    written("csv", tmp_path / "run")
    (table,) = (tmp_path / "run" / "logs").rglob("metrics.csv")
    rows = list(csv.DictReader(table.open()))
    assert [float(row["sft/loss"]) for row in rows if row["sft/loss"]] == [1.0, 1 / 2, 1 / 3]
    assert [row["summary/eval/tuned/sum"] for row in rows if row["summary/eval/tuned/sum"]] == ["130.5"]


def test_tensorboard_holds_curve_and_histogram(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written("tensorboard", tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [round(event.value, 3) for event in events.Scalars("sft/loss")] == [1.0, 0.5, 0.333]
    assert events.Histograms("scores")[0].histogram_value.num == 3  # without the row that has no score


def test_wandb_without_a_key_goes_offline_without_asking(tmp_path):
    """In a process of its own, without a terminal: everything that a run sends lands in the offline file."""
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]); import test_loggers; "
        "test_loggers.written('wandb', Path(sys.argv[1]) / 'run')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (offline,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    inspect = [
        str(Path(sys.executable).with_name("wandb")),
        "leet",
        "inspect",
        "--summary",
        "--json",
        str(offline.parent),
    ]
    shown = subprocess.run(inspect, capture_output=True, text=True, timeout=120, check=False)
    content = json.loads(shown.stdout)
    assert content["config"]["rho"] == 0.3
    assert content["summary"]["eval/tuned/sum"] == 130.5
    assert (content["summary"]["scores"]["nrows"], content["summary"]["scores"]["ncols"]) == (3, 6)
    assert content["summary"]["report"]["_type"] == "html-file"
    assert content["state"] == "finished"


@pytest.mark.parametrize("kind", ["csv", "tensorboard"])
def test_no_secret_reaches_the_disk(kind, tmp_path):
    files = written(kind, tmp_path / "run")
    assert files
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("rho=0.3", "rho=0.3"),
        ("generator.extra_body.api_key=sk-1", f"generator.extra_body.api_key={HIDDEN}"),
        ("generator.extra_body={api_key: sk-1, top_k: 5}", f"generator.extra_body={{api_key: {HIDDEN}, top_k: 5}}"),
        ("generator.extra_body={'token':'s k'}", f"generator.extra_body={{'token':{HIDDEN}}}"),
        ("generator.base_url=https://me:pw@host/v1", f"generator.base_url=https://{HIDDEN}@host/v1"),
        ("generator.api_key_env=MY_KEY", "generator.api_key_env=MY_KEY"),
        ("generator.max_new_tokens=256", "generator.max_new_tokens=256"),
    ],
)
def test_a_typed_setting_keeps_no_secret(typed, kept):
    assert typed_without_secrets(typed) == kept


def test_secrets_are_known_by_name_and_by_place_in_an_address():
    shown = without_secrets(SETTINGS)
    assert shown["api_key"] == HIDDEN
    assert shown["generator"]["base_url"] == f"https://{HIDDEN}@host/v1?api_key={HIDDEN}&x=1"
    assert shown["generator"]["api_key_env"] == "OPENAI_API_KEY"
    assert shown["sft"]["max_target_tokens"] == 4096
    assert without_secrets({"paths": [Path("a")]}) == {"paths": ["a"]}


def test_mode_follows_setting_then_environment_then_key(monkeypatch, tmp_path):
    assert wandb_mode(LoggerConfig(kind="wandb")) == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert wandb_mode(LoggerConfig(kind="wandb")) == "online"
    assert wandb_mode(LoggerConfig(kind="wandb", mode="offline")) == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode(LoggerConfig(kind="wandb")) == "disabled"
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.delenv("WANDB_MODE")
    (tmp_path / "home" / ".netrc").write_text("machine wandb.example.org login user password secret\n")
    assert wandb_mode(LoggerConfig(kind="wandb")) == "offline"  # a key for another server
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert wandb_mode(LoggerConfig(kind="wandb")) == "online"


def test_online_without_a_key_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"has no key.*logger\.mode=offline"):
        make_loggers(LoggerConfig(kind="wandb", mode="online"), tmp_path, "run", {})


def test_further_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    log_page([object()], tmp_path / "absent.html")
    log_summary([object()], {"a": 1.0})
    log_scores([object()], ROWS)
    close_loggers([object()])
