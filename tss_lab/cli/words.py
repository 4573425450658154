"""Hydra's and OmegaConf's errors in words: one sentence that names the culprit and the remedy."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import yaml
from hydra.errors import MissingConfigException, OverrideParseException

from tss_lab.cli.check import settings_in
from tss_lab.cli.hints import bare_word, dashed, several_values, unknown_choice, unknown_setting
from tss_lab.errors import ConfigError, TssError


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str], folders: Sequence[Path]) -> argparse.Namespace:
    """Flags and overrides in any order. Raises ConfigError in place of argparse's usage."""

    def refuse(message: str) -> NoReturn:
        raise ConfigError(dashed(message, arguments, folders))

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_intermixed_args(list(arguments))


def in_words(error: BaseException, arguments: Sequence[str], folders: Sequence[Path]) -> str:
    """What went wrong before a run began. ``folders`` hold the yaml files, the package's own last."""
    if isinstance(error, TssError):
        return str(error)
    chain = list(_causes(error))
    given = settings_in(argument for argument in arguments if not argument.startswith("-"))
    for cause in chain:
        if isinstance(cause, yaml.MarkedYAMLError) and cause.problem_mark:
            mark = cause.problem_mark
            return f"{mark.name}, line {mark.line + 1}, is not valid YAML: {cause.problem}; correct it"
        if isinstance(cause, MissingConfigException) and cause.options is not None:
            return unknown_choice(str(cause.missing_cfg_file), cause.options)
        if isinstance(cause, OverrideParseException):
            return bare_word(str(cause.override), folders)
    text = "\n".join(str(cause) for cause in chain)
    if several := re.search(r"Ambiguous value for argument '([^=']+)=([^']*)'", text):
        return several_values(several[1].lstrip("+"), several[2], folders)
    if twice := re.search(
        r"Could not append to config. An item is already at '([^']+)'|Multiple values for (\w+)", text
    ):
        name = twice[1] or twice[2]
        return f"{name} is a setting already; write {name}={given.get(name, '...')} without the plus sign"
    if unknown := re.search(r"Could not (?:override|append|delete)[^']*'([^'=]+)", text):
        return unknown_setting(unknown[1].strip(), given, folders)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:2]) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
