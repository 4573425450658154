"""``python -m tss_lab.store list|verify|gc``: what the store holds, whether it is whole, what can go."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from tss_lab.errors import ArtifactError
from tss_lab.store.artifact import CORRUPT, Artifact, Store, shard_is_whole

_ABANDONED_SECONDS = 3600.0


def folders(store: Store) -> Iterator[Artifact]:
    """Every folder of the store that holds shards, finished or not."""
    for folder in sorted({path.parent for path in store.root.glob("*/*/part-*")}):
        yield Artifact(folder, folder.parent.name, {})


def describe(artifact: Artifact) -> str:
    """One line: kind, fingerprint, shards, bytes, and what the manifest counts."""
    shards = artifact.shards()
    manifest = artifact.manifest() or {}
    size = sum(shard.stat().st_size for shard in shards)
    state = "complete" if manifest.get("complete") else "unfinished"
    counts = ", ".join(f"{name} {value}" for name, value in manifest.get("counts", {}).items())
    return (
        f"{artifact.kind}/{artifact.fingerprint}  {len(shards)} shards  {size / 1e6:.1f} MB  {state}  {counts}".rstrip()
    )


def verify(store: Store) -> list[Path]:
    """The shards whose bytes don't match their name; nothing is changed."""
    return [
        shard for artifact in folders(store) for shard in artifact.shards() if not shard_is_whole(shard, thorough=True)
    ]


def rubbish(store: Store, older_than_days: float | None = None) -> list[Path]:
    """What can go: damaged shards, temporary files an hour old and, where asked, artefacts unused for so long."""
    now = time.time()
    found = list(store.root.glob(f"*/*/*{CORRUPT}"))
    found += [path for path in store.root.glob("*/*/.*.tmp") if now - path.stat().st_mtime > _ABANDONED_SECONDS]
    if older_than_days is not None:
        for artifact in folders(store):
            files = [path for path in artifact.folder.iterdir() if path.is_file()]
            if all(now - max(f.stat().st_mtime, f.stat().st_atime) > older_than_days * 86_400 for f in files):
                found += [path for path in files if path not in found]
    return found


def _in_use(folder: Path) -> bool:
    held = filelock.FileLock(folder / ".lock")
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        return True
    held.release()
    return False


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
    store = Store(chosen.store)
    out = sys.stdout.write
    try:
        if chosen.command == "list":
            for artifact in folders(store):
                out(describe(artifact) + "\n")
            return 0
        if chosen.command == "verify":
            damaged = verify(store)
            for shard in damaged:
                out(f"altered or truncated: {shard}\n")
            out(f"{len(damaged)} damaged shards; the next run that needs them computes what they held again\n")
            return 1 if damaged else 0
    except ArtifactError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    freed = 0
    for path in rubbish(store, chosen.older_than_days):
        if _in_use(path.parent):
            out(f"in use, left alone: {path}\n")
            continue
        freed += path.stat().st_size
        out(f"{'would remove' if chosen.dry_run else 'removed'} {path}\n")
        if not chosen.dry_run:
            path.unlink()
    out(f"{freed / 1e6:.1f} MB {'would be ' if chosen.dry_run else ''}freed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
