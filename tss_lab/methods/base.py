"""What a selection method is, and how one is found.

A new method is one file with a class and one yaml in ``conf/method`` whose ``target`` is the class's
dotted path; the yaml's other keys are the class's own fields. It may live outside this package.
"""

from __future__ import annotations

import importlib
from typing import Protocol, runtime_checkable

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
        method = cls(**config.params)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"method={config.name}: {error}") from error
    if not isinstance(method, Method):
        raise ConfigError(
            f"method.target={config.target} lacks needs, score() or preference(); see tss_lab/methods/base.py"
        )
    return method
