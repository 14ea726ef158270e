"""How a setting is declared in the model, and what everybody else knows of it: a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import attrs
from attrs import frozen

from sebastian_apps.settings.problems import UNSET
from sebastian_apps.settings.values import Parser, Raw

T = TypeVar("T")

_KEY = "key"


@frozen(eq=False)
class Key:
    """A setting as people address it: `presence.interval`, `QT_PRESENCE_INTERVAL`.

    `default` and `example` are as they would be written, None where there is none; `default` may
    also say in words what holds when nothing is given. `need` names what makes the key required:
    see `ROLES` for who needs what. `variables` are those that set it, the documented one first.
    """

    parser: Parser[Any]
    default: str | None
    example: str | None
    need: str | None = None
    variables: tuple[str, ...] = ()
    section: str = ""
    name: str = ""

    @property
    def path(self) -> str:
        """Section and name with a dot."""
        return f"{self.section}.{self.name}"

    @property
    def file_variables(self) -> tuple[str, ...]:
        """The variables that name a file which holds the value: only for secrets."""
        return tuple(f"{name}_FILE" for name in self.variables) if self.parser.secret else ()


def setting(
    parser: Parser[T],
    default: str | T,
    *,
    example: str | None = None,
    otherwise: str | None = None,
    variables: tuple[str, ...] = (),
) -> T:
    """Declare a setting: what it takes, and its default. The text below says what it is for.

    The default is a text as it would be written in the file, or else a value that holds nothing,
    which `otherwise` tells. `variables` are its names in the environment where they are not
    `QT_<SECTION>_<NAME>`. A value that is set from code is checked for its range (ValueError).
    """
    value: object = default
    if isinstance(default, str):
        value, otherwise = parser.read(Raw(default, UNSET), ""), default
    return _field(Key(parser, otherwise, example, variables=variables), value)  # type: ignore[no-any-return]


def optional(
    parser: Parser[T],
    *,
    example: str,
    need: str | None = None,
    otherwise: str | None = None,
) -> T | None:
    """Declare a setting that is None until somebody sets it; `otherwise` tells what holds then.

    `need` makes it required of every process that has this need.
    """
    return _field(Key(parser, otherwise, example, need), None)  # type: ignore[no-any-return]


def sections_of(settings: type) -> Iterator[tuple[str, type]]:
    """The sections of a settings class, by name, in the order of their declaration."""
    for declared in attrs.fields(settings):
        type_ = getattr(declared.default, "factory", dict)
        if attrs.has(type_):
            yield declared.name, type_


def keys_of(settings: type) -> Iterator[Key]:
    """Every key of a settings class, in the order of its declaration."""
    for section, type_ in sections_of(settings):
        for declared in attrs.fields(type_):
            key, name = declared.metadata[_KEY], declared.name
            variables = key.variables or (f"QT_{section}_{name}".upper(),)
            yield attrs.evolve(key, section=section, name=name, variables=variables)


def _field(key: Key, default: object) -> Any:
    def check(_owner: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None and not key.parser.holds(value):
            expected = key.parser.expected
            raise ValueError(f"{attribute.name}: expected {expected}, found {value}")

    return attrs.field(default=default, validator=check, metadata={_KEY: key})
