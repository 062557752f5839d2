"""A seam: the members of a package, one file each, of which settings choose one by name.

    METHODS = Members[Method](__name__, key="method", default="sft")       # in the package's __init__
    train: Annotated[TrainSettings, METHODS]                               # read as the chosen member's own settings

A member is a file of the package that ends in `MEMBER = ...`, an object with `settings`: its own class of settings.
Files whose names begin with `_` are helpers of members. It is imported only once it is chosen, by its name. So no list
imports all members, and a step's cache key, which follows imports, covers the member that is used (`Settings.members`)
and none beside it: a new one computes nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BeforeValidator, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticKnownError, core_schema

from tasks.core.settings import Settings

Member = TypeVar("Member")


class Members(Generic[Member]):
    """The members of `package`. key: of their settings, and says which one is meant; without it the default is."""

    def __init__(self, package: str, key: str, default: str) -> None:
        self.package, self.key, self.default = package, key, default

    def names(self) -> list[str]:
        """The members there are, in order of their names."""
        (folder,) = import_module(self.package).__path__
        stems = (file.stem for file in Path(folder).glob("*.py"))
        return sorted(stem for stem in stems if stem != "base" and not stem.startswith("_"))

    def get(self, name: str) -> Member:
        """The member of this name. Raises KeyError."""
        if name not in self.names():
            raise KeyError(name)
        member: Member = import_module(f"{self.package}.{name}").MEMBER
        return member

    def settings(self, given: Any = None) -> type[Settings]:
        """The class of settings that reads `given`, a mapping or nothing. Raises KeyError for a name of no member."""
        name = given.get(self.key, self.default) if isinstance(given, Mapping) else self.default
        chosen: Any = self.get(name if isinstance(name, str) else "")
        settings: type[Settings] = chosen.settings
        return settings

    def chosen(self) -> Settings:
        """The default member's settings, all as they stand there."""
        return self.settings()()

    def __get_pydantic_core_schema__(self, source: Any, _handler: Any) -> CoreSchema:
        def read(given: Any, info: ValidationInfo) -> Any:
            return given if isinstance(given, source) else self._read(given, info)

        written = core_schema.simple_ser_schema("any")  # by its own fields, more than the field's class knows of
        return core_schema.with_info_plain_validator_function(read, serialization=written)

    def _read(self, given: Any, info: ValidationInfo) -> Settings:
        """Errors keep their place and kind, since pydantic takes those of a model that is read inside another."""
        try:
            model = self.settings(given)
        except KeyError:
            *others, last = map(repr, self.names())
            expected = f"{', '.join(others)} or {last}" if others else last
            wrong: InitErrorDetails = {
                "type": "literal_error",
                "loc": (self.key,),
                "input": given[self.key],
                "ctx": {"expected": expected},
            }
            raise ValidationError.from_exception_data(self.key, [wrong]) from None
        if info.mode == "json":  # where alone a strict model takes a list for a tuple
            return model.model_validate_json(json.dumps(given), strict=True)
        return model.model_validate(given)


def one_of(names: Callable[[], Sequence[str]]) -> BeforeValidator:
    """A check that a value is one of `names`, refused as a Literal of them would be; asked anew for each value.

    For names that a list of members decides (filters, formats), so that they stand nowhere else.
    """

    def check(value: Any) -> Any:
        allowed = names()
        if value not in allowed:
            *others, last = map(repr, allowed)
            raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
        return value

    return BeforeValidator(check)
