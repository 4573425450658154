"""``python -m tss_lab.store list|verify|gc``: what the store holds, whether it is whole, what can go."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from tss_lab.console import readable_by_head
from tss_lab.errors import ArtifactError
from tss_lab.store.artifact import CORRUPT, Artifact, Store, shard_is_whole

_ABANDONED_SECONDS = 3600.0


def folders(store: Store) -> Iterator[Artifact]:
    """Every folder of the store that holds shards, finished or not."""
    for folder in sorted({path.parent for path in store.root.glob("*/*/part-*")}):
        yield Artifact(folder, folder.parent.name, {})


def describe(artifact: Artifact) -> str:
    """One line: kind, fingerprint, shards, bytes, and the numbers that the manifest counts."""
    shards = artifact.shards()
    manifest = artifact.manifest() or {}
    size = sum(shard.stat().st_size for shard in shards)
    state = "complete" if manifest.get("complete") else "unfinished"
    counts = ", ".join(
        f"{name} {value}"
        for name, value in manifest.get("counts", {}).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    return (
        f"{artifact.kind}/{artifact.fingerprint}  {len(shards)} shards  {size / 1e6:.1f} MB  {state}  {counts}".rstrip()
    )


def verify(store: Store) -> list[Path]:
    """The shards whose bytes don't match their name; nothing is changed."""
    return [
        shard for artifact in folders(store) for shard in artifact.shards() if not shard_is_whole(shard, thorough=True)
    ]


def rubbish(folder: Path, older_than_days: float | None = None) -> list[Path]:
    """What can go: damaged shards, temporary files an hour old and, where asked, an artefact unused for so long.

    Lock files stay: another process may hold or wait for one, and a new file would be another lock.
    """
    now = time.time()
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.endswith(".lock")]
    is_artifact = any(path.name.startswith("part-") for path in files)
    if is_artifact and older_than_days is not None and now - max(map(_last_of_use, files)) > older_than_days * 86_400:
        return sorted(files)
    return sorted(
        path
        for path in files
        if path.suffix == CORRUPT or (path.suffix == ".tmp" and now - path.stat().st_mtime > _ABANDONED_SECONDS)
    )


def _last_of_use(path: Path) -> float:
    """A scan of the artefact renews its manifest's time; a shard's time of access is not kept on every disk."""
    status = path.stat()
    return max(status.st_mtime, status.st_atime) if path.name.startswith("part-") else status.st_mtime


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether both locks of an artefact are ours; nobody computes or appends meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            for name in (".lock", ".append.lock"):
                stack.enter_context(filelock.FileLock(folder / name, timeout=0))
            free = True
        except filelock.Timeout:
            free = False
        yield free


def clean(store: Store, older_than_days: float | None, *, dry_run: bool, say: Callable[[str], object]) -> int:
    """Removes what can go, or only says what would; returns the bytes."""
    freed = 0
    for folder in sorted(path for path in store.root.glob("*/*") if path.is_dir()):
        if not rubbish(folder, older_than_days):
            continue
        with _held(folder) as free:
            if not free:
                say(f"in use, left alone: {folder}\n")
                continue
            for path in rubbish(folder, older_than_days):
                freed += path.stat().st_size
                say(f"{'would remove' if dry_run else 'removed'} {path}\n")
                if not dry_run:
                    path.unlink()
    return freed


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 1 when ``verify`` finds damage, 2 on a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m tss_lab.store", description=__doc__)
    parser.add_argument("command", choices=["list", "verify", "gc"])
    parser.add_argument("--store", type=Path, default=Path("store"), help="the folder of paths.store (default: store)")
    parser.add_argument("--older-than-days", type=float, help="gc: artefacts that nothing has read for so long, too")
    parser.add_argument("--dry-run", action="store_true", help="gc: say what would go")
    chosen = parser.parse_args(arguments)
    if not chosen.store.is_dir():
        sys.stderr.write(f"{chosen.store} is not a folder; give the one of paths.store with --store\n")
        return 2
    try:
        with readable_by_head():
            return _do(chosen, Store(chosen.store), sys.stdout.write)
    except ArtifactError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _do(chosen: argparse.Namespace, store: Store, say: Callable[[str], object]) -> int:
    """One of the three commands; returns the exit code."""
    if chosen.command == "list":
        for artifact in folders(store):
            say(describe(artifact) + "\n")
        return 0
    if chosen.command == "verify":
        damaged = verify(store)
        for shard in damaged:
            say(f"altered or truncated: {shard}\n")
        say(f"{len(damaged)} damaged shards; the next run that needs them computes what they held again\n")
        return 1 if damaged else 0
    freed = clean(store, chosen.older_than_days, dry_run=chosen.dry_run, say=say)
    say(f"{freed / 1e6:.1f} MB {'would be ' if chosen.dry_run else ''}freed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
