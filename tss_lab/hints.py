"""What a setting that isn't there was probably meant to be, in one sentence, read off the yaml files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_OF_YOUR_OWN = {
    "model": "a model on the Hub or on this machine is model.path={}",
    "dataset": "data on the Hub or on this machine are dataset=jsonl dataset.path={}",
    "generator": "a generator on the Hub or on this machine is generator.model.path={}",
}
_FILES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


def unknown_choice(missing: str, choices: Sequence[str]) -> str:
    """``missing`` is ``group/choice`` where no yaml of this name stands."""
    group, _, choice = missing.partition("/")
    if group not in _OF_YOUR_OWN:
        group, _, choice = missing.rpartition("/")
    said = f"{group}={choice} is not there"
    if group in _OF_YOUR_OWN and ("/" in choice or choice.endswith(_FILES)):
        return f"{said}; {_OF_YOUR_OWN[group].format(choice)}. Choices: {', '.join(choices)}"
    near = difflib.get_close_matches(choice, choices, n=1)
    return f"{said}; {f'did you mean {group}={near[0]}? Choices' if near else 'choices'}: {', '.join(choices)}"


def unknown_setting(name: str, given: Mapping[str, str], folders: Sequence[Path]) -> str:
    """``given`` are the overrides by key; ``folders`` hold the yaml files, the package's own last."""
    if name == "experiment":
        return f"an experiment is added with a plus sign: write +experiment={given.get(name, 'NAME')}"
    settings = {file: set(_names(file, folder)) for folder in folders for file in _yaml_files(folder)}
    group = name.partition(".")[0]
    chosen = _chosen(group, given, folders)
    having = [file.stem for file, names in settings.items() if file.parent.name == group and name in names]
    if having and chosen not in having:
        own = next((path for f in folders[:-1] if (path := f / group / f"{chosen}.yaml").is_file()), None)
        return (
            f"{name} is not a setting of {f'{group}={chosen}' if chosen else f'this {group}'}; "
            f"{', '.join(f'{group}={choice}' for choice in sorted(set(having)))} "
            f"{'have' if len(having) > 1 else 'has'} it{f', or add it to {own}' if own else ''}"
        )
    known = {known for names in settings.values() for known in names} - {name}
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{name} is not a setting of tss_lab; {f'did you mean {near[0]}?' if near else 'see them with --cfg job'}"


def several_values(name: str, value: str, folders: Sequence[Path]) -> str:
    """A sweep without -m, or a list without brackets."""
    group, _, key = name.rpartition(".")
    files = [file for folder in folders for file in (folder / group).glob("*.yaml")]
    if any(isinstance(_content(file).get(key), list) for file in files):
        return f"several values for {name}: a list stands in brackets, {name}=[{value}]"
    return f"several values for {name}: add -m to sweep over them, or give one value"


def _yaml_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.yaml")) if path.parent.name != "experiment"]


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:  # said when it is chosen; here it only has no names to offer
        return {}
    return content if isinstance(content, dict) else {}


def _names(path: Path, root: Path) -> Iterator[str]:
    """Dotted names of the settings in a yaml file, and its group."""
    group = "" if path.parent == root else path.parent.name
    if group:
        yield group
    yield from _dotted(_content(path), f"{group}." if group else "")


def _dotted(content: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    for key, value in content.items():
        if key == "defaults":
            continue
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")


def _chosen(group: str, given: Mapping[str, str], folders: Sequence[Path]) -> str | None:
    """The group's choice: from the command line, else the experiment's, else the usual one."""
    if group in given:
        return given[group]
    files = [folder / "experiment" / f"{given['experiment']}.yaml" for folder in folders if "experiment" in given]
    for path in [*files, *(folder / "config.yaml" for folder in folders)]:
        for default in _content(path).get("defaults", []) if path.is_file() else []:
            for key in (group, f"override /{group}") if isinstance(default, dict) else ():
                if key in default:
                    return str(default[key])
    return None
