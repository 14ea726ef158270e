"""The kinds of value that are written as one text: words, numbers, durations, secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from attrs import frozen

from sebastian_apps.settings.durations import format_duration, parse_duration
from sebastian_apps.settings.given import Given
from sebastian_apps.settings.kinds import Kind, ScalarKind, Schema
from sebastian_apps.settings.secret import Secret


@frozen(eq=False, repr=False)
class Text(ScalarKind[str]):
    """A text that matches a pattern as a whole."""

    expected: str
    pattern: str

    def parse(self, text: str) -> str:
        """The text, if it matches."""
        if not re.fullmatch(self.pattern, text):
            raise ValueError("does not match")
        return text

    def schema(self) -> Schema:
        """A string with a pattern."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@frozen(eq=False, repr=False)
class SecretText(ScalarKind[Secret]):
    """A text that must not be seen."""

    secret: ClassVar[bool] = True

    expected: str
    pattern: str = r"[!-~]+"

    def parse(self, text: str) -> Secret:
        """The text as a secret, if it matches."""
        if not re.fullmatch(self.pattern, text):
            raise ValueError("does not match")
        return Secret(text)

    def trim(self, text: str) -> str:
        """The text without line ends; spaces may belong to it."""
        return text.strip("\r\n")

    def schema(self) -> Schema:
        """A string that editors need not show; numbers are taken as they are written."""
        return {"type": ["string", "number"], "writeOnly": True}


@frozen(eq=False, repr=False)
class Whole(ScalarKind[int]):
    """A whole number in a range."""

    least: int
    most: int

    @property
    def expected(self) -> str:
        """The range, in words."""
        return f"a whole number from {self.least} to {self.most}"

    def parse(self, text: str) -> int:
        """The number, in plain decimal digits."""
        if not re.fullmatch(r"-?(?:0|[1-9][0-9]{0,17})", text):
            raise ValueError("not a whole number")
        return int(text)

    def holds(self, value: int) -> bool:
        """Whether the number is in the range."""
        return self.least <= value <= self.most

    def schema(self) -> Schema:
        """An integer with bounds."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@frozen(eq=False, repr=False)
class Rate(ScalarKind[float]):
    """How many times a second, in a range: `20`, `0.5`, `20/s`."""

    least: float
    most: float

    @property
    def expected(self) -> str:
        """The range, in words."""
        return f"a number per second from {self.least:g} to {self.most:g}"

    def parse(self, text: str) -> float:
        """The number, with or without `/s`."""
        number = text.removesuffix("/s")
        if not re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", number):
            raise ValueError("not a rate")
        return float(number)

    def holds(self, value: float) -> bool:
        """Whether the rate is in the range."""
        return self.least <= value <= self.most

    def show(self, value: float) -> str:
        """The number, without needless digits."""
        return f"{value:g}"

    def schema(self) -> Schema:
        """A number with bounds, or text with its unit."""
        number = {"type": "number", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [number, {"type": "string", "pattern": r"^\d+(\.\d+)?(/s)?$"}]}


class Flag(ScalarKind[bool]):
    """Yes or no."""

    words: ClassVar[Mapping[str, bool]] = {
        **dict.fromkeys(("true", "yes", "on", "1"), True),
        **dict.fromkeys(("false", "no", "off", "0"), False),
    }

    @property
    def expected(self) -> str:
        """The two words."""
        return "true or false"

    def parse(self, text: str) -> bool:
        """The truth of a word, in any case of letters."""
        try:
            return self.words[text.lower()]
        except KeyError:
            raise ValueError("neither true nor false") from None

    def show(self, value: bool) -> str:
        """As YAML writes it."""
        return "true" if value else "false"

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


@frozen(eq=False, repr=False)
class Duration(ScalarKind[timedelta]):
    """A span of time in a range."""

    least: timedelta
    most: timedelta

    @property
    def expected(self) -> str:
        """The range, with an example of how to write it."""
        least, most = format_duration(self.least), format_duration(self.most)
        return f"a duration from {least} to {most}, like 500ms, 10s, 5m, 24h or 90d"

    def parse(self, text: str) -> timedelta:
        """The duration; a bare number counts seconds."""
        return parse_duration(text)

    def holds(self, value: timedelta) -> bool:
        """Whether the duration is in the range."""
        return self.least <= value <= self.most

    def show(self, value: timedelta) -> str:
        """With units."""
        return format_duration(value)

    def schema(self) -> Schema:
        """A number of seconds, or text with units."""
        pattern = r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$|^\d+(\.\d+)?$"
        return {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": pattern}]}


@frozen(eq=False, repr=False)
class OneOf(ScalarKind[str]):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The words."""
        return f"{', '.join(self.words[:-1])} or {self.words[-1]}"

    def parse(self, text: str) -> str:
        """The word, in any case of letters."""
        if text.lower() not in self.words:
            raise ValueError("not one of the words")
        return text.lower()

    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": list(self.words)}


class Ignored(Kind[None]):
    """Anything at all, without effect."""

    @property
    def expected(self) -> str:
        """There is nothing to expect."""
        return "anything (it has no effect)"

    def read(self, given: Given) -> None:
        """Nothing, whatever was written."""

    def schema(self) -> Schema:
        """Anything."""
        return {}
