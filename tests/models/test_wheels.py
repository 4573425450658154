"""Files inside packages: joined in order, verified, never half-written."""

import hashlib
import importlib.metadata
import zipfile
from pathlib import Path

import pytest

from tss_lab.config import WheelSource
from tss_lab.errors import ModelError
from tss_lab.models import wheels

PYTEST = f"pytest=={importlib.metadata.version('pytest')}"
MEMBERS = ["pytest/py.typed", "pytest/__init__.py"]


def joined() -> bytes:
    root = Path(str(importlib.metadata.distribution("pytest").locate_file("")))
    return b"".join((root / member).read_bytes() for member in MEMBERS)


def test_members_of_an_installed_package_are_joined_in_order(tmp_path):
    source = WheelSource(requirements=[PYTEST], members=MEMBERS, sha256=hashlib.sha256(joined()).hexdigest())
    assert wheels.fetch_file(source, tmp_path / "a" / "file").read_bytes() == joined()


def test_a_wrong_checksum_leaves_nothing(tmp_path):
    source = WheelSource(requirements=[PYTEST], members=MEMBERS, sha256="0" * 64)
    with pytest.raises(ModelError, match="expected 0000"):
        wheels.fetch_file(source, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file.lock"]


def test_no_network_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    source = WheelSource(requirements=["no-such-package-here==1.0"], members=["x"], sha256="0" * 64)
    with pytest.raises(ModelError, match=r"can't download no-such-package-here==1\.0 .* check the network"):
        wheels.fetch_file(source, tmp_path / "file")


def test_an_archive_may_not_write_outside_its_folder(tmp_path):
    path = tmp_path / "evil.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/../../escaped", b"x")
    with zipfile.ZipFile(path) as archive, pytest.raises(ModelError, match="outside"):
        wheels._extract_below(archive, ["model"], tmp_path / "root")
    assert not (tmp_path.parent / "escaped").exists()
