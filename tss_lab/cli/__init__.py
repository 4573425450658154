"""Behind ``__main__``: what is typed, checked and planned before a run begins, and what is said about it."""

from pathlib import Path


def config_folder() -> Path:
    """``conf/`` of the installed package, or of the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"
