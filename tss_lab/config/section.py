"""What every config group is, and the kinds of value that settings share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Section(BaseModel):
    """A config group: unknown keys are refused, values can't change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    not_identity: ClassVar[frozenset[str]] = frozenset()
    """Settings of memory, speed and place: they move numbers by rounding at most."""

    def identity(self) -> dict[str, Any]:
        """What determines the results, as plain values; two runs that differ in it are two runs."""
        plain = self.model_dump(mode="json")
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Section):
                plain[name] = value.identity()
        return {name: value for name, value in plain.items() if name not in self.not_identity}
