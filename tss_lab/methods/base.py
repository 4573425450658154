"""What a selection method is, and how one is found.

A new method is one file with a class and one yaml in ``conf/method`` whose ``target`` is the class's
dotted path; the yaml's other keys are the class's own fields. It may live outside this package.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Protocol, get_type_hints, runtime_checkable

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from tss_lab.config import MethodConfig
from tss_lab.errors import ConfigError
from tss_lab.types import FloatArray, Likelihoods, PromptKind


@runtime_checkable
class Method(Protocol):
    """Maps likelihoods to one score an example. Hyper-parameters are fields of the implementing class."""

    @property
    def needs(self) -> frozenset[PromptKind]:
        """The likelihoods the score is made of; nothing else is computed for it."""
        ...

    def score(self, likelihoods: Likelihoods, seed: int) -> FloatArray:
        """The score as it is defined and shown: (N,), one finite number an example."""
        ...

    def preference(self, score_N: FloatArray) -> FloatArray:
        """Larger is kept first: (N,). The score itself, unless low scores are the good ones."""
        ...


def build_method(config: MethodConfig) -> Method:
    """The method object of a config. Raises ConfigError for an unknown class or a wrong parameter."""
    module_name, _, class_name = config.target.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"method.target={config.target} can't be imported ({error}); give the dotted path of a class"
        ) from error
    try:
        method = cls(**_checked_parameters(cls, config))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"method={config.name}: {error}") from error
    if not isinstance(method, Method):
        raise ConfigError(
            f"method.target={config.target} lacks needs, score() or preference(); see tss_lab/methods/base.py"
        )
    return method


def _checked_parameters(cls: type[Any], config: MethodConfig) -> dict[str, Any]:
    """The method's own settings, as the annotations of the class's constructor want them.

    What isn't annotated, or by a type that only the class understands, is left to the class. Raises
    ConfigError that names the first setting that the constructor doesn't take, or whose value isn't of its type.
    """
    taken = inspect.signature(cls).parameters
    open_to_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values())
    unknown = [name for name in config.params if name not in taken]
    if unknown and not open_to_all:
        raise ConfigError(
            f"method.{unknown[0]} is not a setting of {config.target}, which takes {', '.join(taken) or 'none'}; "
            f"take it out of the yaml of method={config.name}"
        )
    try:
        annotations = get_type_hints(cls.__init__)
    except NameError:  # names that are imported for a type checker alone
        annotations = {}
    return {name: _of_type(name, value, annotations.get(name, Any)) for name, value in config.params.items()}


def _of_type(name: str, value: Any, wanted: Any) -> Any:
    try:
        adapter = TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        written = "null" if value is None else value
        raise ConfigError(f"method.{name}={written} can't be used: {reason[0].lower()}{reason[1:]}") from error
