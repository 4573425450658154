"""From a method's or a chooser's config to the object: class by dotted path, settings checked by name and type."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from tss_lab.config import ChooseConfig, MethodConfig
from tss_lab.errors import ConfigError
from tss_lab.methods.base import Chooser, Method, Needs


def build_method(config: MethodConfig) -> Method:
    """The method object of a config. Raises ConfigError for an unknown class or a wrong parameter."""
    built = _build("method", config.name, config.target, config.params, ("score", "preference"))
    if not isinstance(built, Method) or not isinstance(built.needs, Needs):
        raise ConfigError(
            f"method.target={config.target} lacks needs (a Needs), score() or preference(); see tss_lab/methods/base.py"
        )
    return built


def build_chooser(config: ChooseConfig) -> Chooser:
    """The chooser object of a config. Raises ConfigError for an unknown class or a wrong parameter."""
    built = _build("choose", config.name, config.target, config.params, ("choose",))
    if not isinstance(built, Chooser):
        raise ConfigError(f"choose.target={config.target} lacks choose(); see tss_lab/methods/base.py")
    return built


def _build(group: str, name: str, target: str, params: Mapping[str, Any], members: Sequence[str]) -> object:
    module_name, _, class_name = target.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{group}.target={target} can't be imported ({error}); give the dotted path of a class"
        ) from error
    # A config may come with somebody else's run: nothing is called that isn't a class of the kind.
    if not isinstance(cls, type) or not all(callable(getattr(cls, member, None)) for member in members):
        wanted = " and ".join(f"{member}()" for member in members)
        raise ConfigError(f"{group}.target={target} is no class with {wanted}; see tss_lab/methods/base.py")
    settings = _checked(cls, group, name, target, params)
    try:
        built: object = cls(**settings)
    except (TypeError, ValueError) as error:  # as our own classes say what is wrong with a value
        raise ConfigError(f"{group}={name}: {error}") from error
    except Exception as error:
        raise ConfigError(f"{group}={name}: {target} raised {type(error).__name__}: {error}") from error
    return built


def _checked(cls: type[Any], group: str, name: str, target: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, as the annotations of the class's constructor want them.

    What isn't annotated, or by a type that only the class understands, is left to the class. Raises
    ConfigError that names the first setting that the constructor doesn't take, or whose value isn't of its type.
    """
    taken = inspect.signature(cls).parameters
    open_to_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values())
    unknown = [setting for setting in params if setting not in taken]
    if unknown and not open_to_all:
        raise ConfigError(
            f"{group}.{unknown[0]} is not a setting of {target}, which takes {', '.join(taken) or 'none'}; "
            f"take it out of the yaml of {group}={name}"
        )
    try:
        annotations = get_type_hints(cls.__init__)
    except NameError:  # names that are imported for a type checker alone
        annotations = {}
    return {
        setting: _of_type(f"{group}.{setting}", value, annotations.get(setting, Any))
        for setting, value in params.items()
    }


def _of_type(setting: str, value: Any, wanted: Any) -> Any:
    try:
        adapter = TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        written = "null" if value is None else value
        raise ConfigError(f"{setting}={written} can't be used: {reason[0].lower()}{reason[1:]}") from error
