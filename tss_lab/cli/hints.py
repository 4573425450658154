"""What a setting that isn't there was probably meant to be, in one sentence, read off the yaml files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_OF_YOUR_OWN = {
    "model": "a model on the Hub or on this machine is model.path={}",
    "dataset": "data on the Hub or on this machine are dataset=jsonl dataset.path={}",
    "generator": "a generator on the Hub or on this machine is generator.model.path={}",
}
_LAUNCHERS = {
    "joblib": "pip install hydra-joblib-launcher",
    "submitit_local": "pip install -e '.[cluster]' in the checkout of tss_lab",
    "submitit_slurm": "pip install -e '.[cluster]' in the checkout of tss_lab",
}
_FILES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_MOST_HINTS = 3


def unknown_choice(missing: str, choices: Sequence[str]) -> str:
    """``missing`` is ``group/choice`` where no yaml of this name stands."""
    group, _, choice = missing.partition("/")
    if group not in _OF_YOUR_OWN:
        group, _, choice = missing.rpartition("/")
    said = f"{group}={choice} is not there"
    if group == "hydra/launcher" and choice in _LAUNCHERS:
        return f"{said}: {_LAUNCHERS[choice]}. Choices now: {', '.join(choices)}"
    if group in _OF_YOUR_OWN and ("/" in choice or choice.endswith(_FILES)):
        return f"{said}; {_OF_YOUR_OWN[group].format(choice)}. Choices: {', '.join(choices)}"
    near = difflib.get_close_matches(choice, choices, n=1)
    return f"{said}; {f'did you mean {group}={near[0]}? Choices' if near else 'choices'}: {', '.join(choices)}"


def unknown_setting(name: str, given: Mapping[str, str], folders: Sequence[Path]) -> str:
    """``given`` are the overrides by key; ``folders`` hold the yaml files, the package's own last."""
    if name == "experiment":
        return f"an experiment is added with a plus sign: write +experiment={given.get(name, 'NAME')}"
    settings = _settings(folders)
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
    near = _meant(name, known)
    return f"{name} is not a setting of tss_lab; {f'did you mean {near}?' if near else 'see them with --cfg job'}"


def several_values(name: str, value: str, folders: Sequence[Path]) -> str:
    """A sweep without -m, or a list without brackets."""
    group, _, key = name.rpartition(".")
    files = [file for folder in folders for file in (folder / group).glob("*.yaml")]
    if any(isinstance(_content(file).get(key), list) for file in files):
        return f"several values for {name}: a list stands in brackets, '{name}=[{value}]'"
    return f"several values for {name}: add -m to sweep over them, or give one value"


def bare_word(word: str, folders: Sequence[Path]) -> str:
    """An argument that is no ``key=value``: perhaps the name of a choice or of a file, without its group."""
    said = f"{word} can't be read as key=value"
    if "=" in word:
        return f"{said}; close its brackets and quote it for the shell"
    if word.endswith(_FILES):
        return f"{said}; data of your own are dataset=jsonl dataset.path={word}"
    groups = [file.parent.name for folder in folders for file in folder.glob(f"*/{word}.yaml")]
    if "experiment" in groups:
        return f"{said}; write +experiment={word}"
    if groups:
        return f"{said}; write {_or([f'{group}={word}' for group in dict.fromkeys(groups)])}"
    return f"{said}; give it a value"


def dashed(message: str, arguments: Sequence[str], folders: Sequence[Path]) -> str:
    """A setting written as a flag (``--rho 0.3``, ``--rho=0.3``). ``message`` is argparse's own."""
    unknown = re.search(r"unrecognized arguments: (-\S+)", message)
    if not unknown:
        return f"{message}; see --help and --hydra-help"
    flag, _, value = unknown[1].partition("=")
    after = arguments[arguments.index(flag) + 1 :] if flag in arguments else []
    value = value or next((one for one in after[:1] if not one.startswith("-") and "=" not in one), "...")
    name = flag.lstrip("-").replace("-", "_")
    known = {known for names in _settings(folders).values() for known in names}
    near = name if name in known else _meant(name, known)
    said = f"{flag} is no flag, and settings are written without dashes"
    return f"{said}: {' or '.join(f'{one}={value}' for one in near.split(' or '))}" if near else f"{said}; see --help"


def _meant(name: str, known: set[str]) -> str:
    """The settings that ``name`` comes nearest to, joined by "or"; empty where none is near.

    First those of its own group, then all: the same last word, its initials (lr), a part of it (warmup),
    and at last its spelling.
    """
    group, _, word = name.rpartition(".")
    of_group = {setting for setting in known if setting.rpartition(".")[0] == group}
    for pool in (of_group, known):
        for is_near in (_is_called, _has_initials, _has_part):
            if near := sorted(setting for setting in pool if is_near(setting.rpartition(".")[2], word)):
                return _or(near[:_MOST_HINTS])
    last_words = {setting.rpartition(".")[2]: setting for setting in sorted(of_group)}
    if near := difflib.get_close_matches(word, last_words, n=1):
        return last_words[near[0]]
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)), "")


def _is_called(last_word: str, word: str) -> bool:
    return last_word == word


def _has_initials(last_word: str, word: str) -> bool:
    parts = last_word.split("_")
    return len(parts) > 1 and "".join(part[:1] for part in parts) == word


def _has_part(last_word: str, word: str) -> bool:
    return len(word) > 2 and (word in last_word.split("_") or last_word.startswith(word))


def _or(words: Sequence[str]) -> str:
    return " or ".join(words)


def _settings(folders: Sequence[Path]) -> dict[Path, set[str]]:
    """The dotted names in each yaml file."""
    files = (path for folder in folders for path in sorted(folder.rglob("*.yaml")) if path.parent.name != "experiment")
    roots = {folder: folder for folder in folders}
    return {file: set(_names(file, next(r for r in roots if r in file.parents))) for file in files}


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
        if key in ("defaults", "hydra"):
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
