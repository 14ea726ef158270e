"""How a key is declared: what the loader, the reference and the schema need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

import attrs
from attrs import frozen

from sebastian_apps.settings.kinds import Kind

T = TypeVar("T")
D = TypeVar("D")

_OPTION = "option"
_SECTION = "section"


@frozen(eq=False)
class Option:
    """What a key takes and means.

    `env` are its variables' names where they are not `QT_<SECTION>_<KEY>`; `need` is the need that
    makes it required; `effective_default` says in words what holds when nothing is given.
    """

    kind: Kind[Any]
    doc: str
    example: str | None
    env: tuple[str, ...]
    need: str | None
    effective_default: str | None


@frozen(eq=False)
class Key:
    """A key as it is addressed: `presence.interval`, `QT_PRESENCE_INTERVAL`."""

    section: str
    name: str
    option: Option
    default: object

    @property
    def path(self) -> str:
        """Section and name with a dot."""
        return f"{self.section}.{self.name}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, the documented one first."""
        return self.option.env or (f"QT_{self.section}_{self.name}".upper(),)

    @property
    def file_variables(self) -> tuple[str, ...]:
        """The variables that name a file which holds the value: only for secrets."""
        return tuple(f"{name}_FILE" for name in self.variables) if self.secret else ()

    @property
    def secret(self) -> bool:
        """Whether its value must never be shown."""
        return self.option.kind.secret


@overload
def option(
    kind: Kind[T],
    doc: str,
    *,
    default: T,
    example: str | None = ...,
    env: tuple[str, ...] = ...,
    need: str | None = ...,
    effective_default: str | None = ...,
) -> T: ...
@overload
def option(
    kind: Kind[T],
    doc: str,
    *,
    example: str | None = ...,
    env: tuple[str, ...] = ...,
    need: str | None = ...,
    effective_default: str | None = ...,
) -> T | None: ...
def option(
    kind: Kind[T],
    doc: str,
    *,
    default: T | None = None,
    example: str | None = None,
    env: tuple[str, ...] = (),
    need: str | None = None,
    effective_default: str | None = None,
) -> Any:
    """Declare a key of a section. Without a default it is None until somebody sets it.

    A value that is set from code is checked for its range too (ValueError).
    """
    declared = Option(kind, doc, example, env, need, effective_default)
    return attrs.field(default=default, validator=_in_range(kind), metadata={_OPTION: declared})


def section(type_: Callable[[], T]) -> T:
    """Declare a section of the settings; it is there, with its defaults, when nobody names it."""
    declared: Any = attrs.field(factory=type_, metadata={_SECTION: type_})
    return declared  # type: ignore[no-any-return]


def sections_of(settings: type) -> Iterator[tuple[str, type]]:
    """The sections of a settings class, by name, in the order of their declaration."""
    for declared in attrs.fields(settings):
        if _SECTION in declared.metadata:
            yield declared.name, declared.metadata[_SECTION]


def keys_of(settings: type) -> Iterator[Key]:
    """Every key of a settings class, in the order of its declaration."""
    for name, type_ in sections_of(settings):
        for declared in attrs.fields(type_):
            yield Key(name, declared.name, declared.metadata[_OPTION], declared.default)


def _in_range(kind: Kind[T]) -> Callable[[object, attrs.Attribute[T | None], T | None], None]:
    def check(_owner: object, attribute: attrs.Attribute[T | None], value: T | None) -> None:
        if value is not None and not kind.holds(value):
            raise ValueError(f"{attribute.name}: expected {kind.expected}, found {value}")

    return check
