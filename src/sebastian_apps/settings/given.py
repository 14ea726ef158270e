"""What somebody wrote, before it means anything: the same shapes for files and variables."""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen

from sebastian_apps.settings.problems import Place


@frozen(eq=False)
class Nothing:
    """A key without a value: as if the key were not there."""

    place: Place


@frozen(eq=False)
class Scalar:
    """A single value, as the text that was written."""

    text: str = field(repr=False)
    place: Place


@frozen(eq=False)
class Items:
    """A list."""

    values: tuple[Given, ...] = field(repr=False)
    place: Place


@frozen(eq=False)
class Entries:
    """Keys with values, in the order in which they were written; no key comes twice."""

    pairs: tuple[tuple[Scalar, Given], ...] = field(repr=False)
    place: Place


Given: TypeAlias = Nothing | Scalar | Items | Entries


def shape_of(given: Given) -> str:
    """What kind of thing was written, in words that show nothing of it."""
    words = {Nothing: "nothing", Scalar: "text", Items: "a list", Entries: "keys and values"}
    return words[type(given)]
