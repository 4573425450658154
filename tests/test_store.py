"""The store under several writers, damage and a full disk; its command line."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import filelock
import polars as pl
import pytest

from tss_lab.errors import ArtifactError
from tss_lab.store import Artifact, Store
from tss_lab.store.__main__ import main


def rows(start: int, stop: int) -> pl.DataFrame:
    return pl.DataFrame({"x": list(range(start, stop))})


def artifact_in(folder: Path) -> Artifact:
    return Store(folder).artifact("likelihoods", {"weights": "abc"})


def append_many(folder: Path, start: int) -> None:
    for number in range(start, start + 5):
        artifact_in(folder).append(rows(number, number + 1))


def test_several_writers_lose_nothing_and_share_no_number(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(tmp_path, 5 * index)) for index in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    artifact = artifact_in(tmp_path)
    assert sorted(artifact.scan().collect()["x"].to_list()) == list(range(10))
    assert len({shard.name.split("-")[1] for shard in artifact.shards()}) == 10


def test_a_shard_is_hashed_once_and_again_when_it_changes(tmp_path, monkeypatch):
    artifact = artifact_in(tmp_path)
    shard = artifact.append(rows(0, 100))
    monkeypatch.setattr("tss_lab.store.artifact.file_sha256", lambda path: pytest.fail("hashed without need"))
    assert artifact.verified_shards() == [shard]
    monkeypatch.undo()
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert artifact.scan() is None
    assert len(list(artifact.folder.glob("*.corrupt"))) == 1


def test_temporary_files_of_a_killed_writer_are_not_read(tmp_path):
    artifact = artifact_in(tmp_path)
    artifact.append(rows(0, 3))
    (artifact.folder / ".part-000001-abc.parquet.1234.tmp").write_bytes(b"half a sh")
    assert artifact.scan().collect()["x"].to_list() == [0, 1, 2]


def test_a_disk_that_takes_no_more_is_one_sentence(tmp_path, monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ArtifactError, match="No space left on device; free some room"):
        artifact_in(tmp_path).append(rows(0, 3))
    assert [path for path in artifact_in(tmp_path).folder.iterdir() if "part" in path.name] == []


def test_command_line_lists_finds_damage_and_cleans_up(tmp_path, capsys):
    artifact = artifact_in(tmp_path)
    artifact.append(rows(0, 3))
    damaged = artifact.append(rows(3, 6))
    artifact.write_manifest(complete=True, counts={"rows": 6}, versions={})
    assert main(["list", "--store", str(tmp_path)]) == 0
    assert "2 shards" in (listed := capsys.readouterr().out)
    assert "complete" in listed
    assert main(["verify", "--store", str(tmp_path)]) == 0
    damaged.write_bytes(b"not a shard")
    assert main(["verify", "--store", str(tmp_path)]) == 1
    assert damaged.name in capsys.readouterr().out
    assert artifact.scan().collect().height == 3
    assert main(["gc", "--store", str(tmp_path), "--dry-run"]) == 0
    assert len(list(artifact.folder.glob("*.corrupt"))) == 1
    assert main(["gc", "--store", str(tmp_path)]) == 0
    assert len(list(artifact.folder.glob("*.corrupt"))) == 0
    assert main(["list", "--store", str(tmp_path / "nowhere")]) == 2


def test_a_listed_artefact_is_one_line_of_numbers(tmp_path, capsys):
    artifact = artifact_in(tmp_path)
    artifact.append(rows(0, 3))
    counts = {"rows": 3, "prompt_example": "Write it.\nIn two lines.", "model": "m", "share": 0.5, "kept": True}
    artifact.write_manifest(complete=True, counts=counts, versions={})
    assert main(["list", "--store", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert listed.count("\n") == 1
    assert listed.endswith("complete  rows 3, share 0.5\n")


def make_old(artifact: Artifact, but: str = "") -> None:
    """As if written ten days ago; the file ``but`` was used now."""
    for path in artifact.folder.iterdir():
        if path.name != but:
            os.utime(path, (time.time() - 10 * 86_400,) * 2)


def test_artefacts_long_unused_go_and_leave_their_locks(tmp_path, capsys):
    artifact = artifact_in(tmp_path)
    artifact.append(rows(0, 3))
    artifact.write_manifest(complete=True, counts={}, versions={})
    old = ["gc", "--store", str(tmp_path), "--older-than-days", "5"]
    make_old(artifact, but="manifest.json")
    assert main(old) == 0
    assert artifact.shards()
    make_old(artifact)
    with artifact.lock():
        assert main(old) == 0
        assert "in use, left alone" in capsys.readouterr().out
    assert artifact.shards()
    make_old(artifact)
    with filelock.FileLock(artifact.folder / ".append.lock"):
        assert main(old) == 0
    assert artifact.shards()
    make_old(artifact)
    locks = {path.name: path.stat().st_ino for path in artifact.folder.glob(".*lock")}
    assert main(old) == 0
    assert {path.name: path.stat().st_ino for path in artifact.folder.iterdir()} == locks
    assert locks
    artifact.append(rows(0, 3))  # and it can be made again
    assert artifact.scan().collect().height == 3
