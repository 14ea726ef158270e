"""The kinds of value that a key can take: how each is read, checked, shown and described.

A kind reads the same from a file and from a variable, where everything is text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Generic, TypeVar

from attrs import frozen

from sebastian_apps.settings.durations import format_duration, parse_duration
from sebastian_apps.settings.given import Entries, Given, Items, Scalar, shape_of
from sebastian_apps.settings.problems import Place
from sebastian_apps.settings.secret import Secret
from sebastian_core.domain.ids import AgentId

T = TypeVar("T")
Schema = dict[str, object]

_SHOWN_TEXT_LIMIT = 40


@frozen(eq=False)
class Flaw:
    """One thing in a value that does not fit; `within` is the name of the part, if it has parts."""

    place: Place
    message: str
    within: str = ""


class Mismatch(Exception):
    """What was written is not what the key takes; `flaws` says everything that does not fit."""

    def __init__(self, *flaws: Flaw) -> None:
        super().__init__("; ".join(flaw.message for flaw in flaws))
        self.flaws = flaws


class Kind(ABC, Generic[T]):
    """What a key takes.

    `expected` completes "expected …". A `secret` kind never repeats what was written.
    """

    secret: ClassVar[bool] = False

    @property
    @abstractmethod
    def expected(self) -> str:
        """What is right, as a phrase: "a whole number from 1 to 65535"."""

    @abstractmethod
    def read(self, given: Given) -> T:
        """The value that was written; raises Mismatch."""

    @abstractmethod
    def schema(self) -> Schema:
        """The JSON Schema of what may be written in a file."""

    def holds(self, value: T) -> bool:
        """Whether a value is in range; its type is right already."""
        return True

    def show(self, value: T) -> str:
        """The value as it would be written in a file."""
        return str(value)


class ScalarKind(Kind[T]):
    """What is written as one text."""

    def read(self, given: Given) -> T:
        """The value of the text; raises Mismatch where there is something else."""
        if not isinstance(given, Scalar):
            raise Mismatch(Flaw(given.place, f"expected {self.expected}, found {shape_of(given)}"))
        try:
            value = self.parse(self.trim(given.text))
        except ValueError:
            raise self._mismatch(given) from None
        if not self.holds(value):
            raise self._mismatch(given)
        return value

    @abstractmethod
    def parse(self, text: str) -> T:
        """The value of a text; raises ValueError."""

    def trim(self, text: str) -> str:
        """The text without what an editor or a shell leaves around it."""
        return text.strip()

    def found(self, text: str) -> str:
        """What was written, as far as it may be repeated."""
        if self.secret:
            return "something else (not shown: it is a secret)"
        return quoted(text)

    def _mismatch(self, given: Scalar) -> Mismatch:
        message = f"expected {self.expected}, found {self.found(given.text)}"
        return Mismatch(Flaw(given.place, message))


def quoted(text: str) -> str:
    """A text for a message: numbers as they are, the rest in quotes, printable and short."""
    if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", text):
        return text
    shown = text if len(text) <= _SHOWN_TEXT_LIMIT else text[: _SHOWN_TEXT_LIMIT - 1] + "…"
    return repr(shown)


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


class Tokens(Kind[tuple[Secret, ...]]):
    """One token or several, each fit to stand in a URL's path; a comma or a space parts them."""

    secret: ClassVar[bool] = True
    _token: ClassVar[str] = r"[A-Za-z0-9._~-]*[A-Za-z0-9][A-Za-z0-9._~-]*"

    @property
    def expected(self) -> str:
        """The characters that need no escape in a path."""
        return "a token of letters, digits, '-', '_', '.' and '~', or a list of them"

    def read(self, given: Given) -> tuple[Secret, ...]:
        """The tokens, each once, in the order given."""
        if isinstance(given, Scalar):
            words = [Scalar(word, given.place) for word in re.split(r"[,\s]+", given.text) if word]
            return self._tokens(words or [given])
        if isinstance(given, Items):
            return self._tokens(given.values)
        raise Mismatch(Flaw(given.place, f"expected {self.expected}, found {shape_of(given)}"))

    def _tokens(self, words: list[Scalar] | tuple[Given, ...]) -> tuple[Secret, ...]:
        message = f"expected {self.expected}, found something else (not shown: it is a secret)"
        wrong = [word.place for word in words if not self._is_token(word)]
        if wrong:
            raise Mismatch(*(Flaw(place, message) for place in wrong))
        return tuple(dict.fromkeys(Secret(w.text) for w in words if isinstance(w, Scalar)))

    def _is_token(self, word: Given) -> bool:
        return isinstance(word, Scalar) and re.fullmatch(self._token, word.text) is not None

    def show(self, value: tuple[Secret, ...]) -> str:
        """As many stars as tokens."""
        return f"[{', '.join(str(token) for token in value)}]"

    def schema(self) -> Schema:
        """A string or a list of strings."""
        token = {"type": ["string", "number"], "writeOnly": True}
        return {"anyOf": [token, {"type": "array", "items": token}], "writeOnly": True}


@frozen(eq=False, repr=False)
class Capacities(Kind[Mapping[AgentId, int]]):
    """How many customers at once, by agent id; in a variable `12=3,15=5`."""

    capacity: Whole

    @property
    def expected(self) -> str:
        """The shape and the range."""
        return f"agent ids with a capacity each ({self.capacity.expected})"

    def read(self, given: Given) -> Mapping[AgentId, int]:
        """The capacities; raises Mismatch with every entry that does not fit."""
        if isinstance(given, Scalar):
            return self._from_text(given)
        if isinstance(given, Entries):
            return self._from_pairs(given.pairs)
        raise Mismatch(Flaw(given.place, f"expected {self.expected}, found {shape_of(given)}"))

    def _from_text(self, given: Scalar) -> Mapping[AgentId, int]:
        words = [word.strip() for word in given.text.split(",") if word.strip()]
        pairs = [re.split(r"\s*[=:]\s*", word, maxsplit=1) for word in words]
        if not all(len(pair) == 2 for pair in pairs):
            message = f"expected {self.expected} like 12=3,15=5, found {quoted(given.text)}"
            raise Mismatch(Flaw(given.place, message))
        return self._from_pairs(
            [(Scalar(a, given.place), Scalar(b, given.place)) for a, b in pairs]
        )

    def _from_pairs(
        self, pairs: list[tuple[Scalar, Scalar]] | tuple[tuple[Scalar, Given], ...]
    ) -> Mapping[AgentId, int]:
        capacities: dict[AgentId, int] = {}
        flaws: list[Flaw] = []
        for name, given in pairs:
            try:
                agent = self._agent(name)
                capacities[agent] = self._capacity(name, given)
            except Mismatch as mismatch:
                flaws.extend(mismatch.flaws)
        if flaws:
            raise Mismatch(*flaws)
        return capacities

    def _agent(self, name: Scalar) -> AgentId:
        if not re.fullmatch(r"[1-9][0-9]{0,17}", name.text):
            message = f"expected an agent's id (a whole number), found {quoted(name.text)}"
            raise Mismatch(Flaw(name.place, message))
        return AgentId(int(name.text))

    def _capacity(self, name: Scalar, given: Given) -> int:
        try:
            return self.capacity.read(given)
        except Mismatch as mismatch:
            flaws = (Flaw(flaw.place, flaw.message, name.text) for flaw in mismatch.flaws)
            raise Mismatch(*flaws) from None

    def show(self, value: Mapping[AgentId, int]) -> str:
        """As YAML writes it on one line."""
        return "{" + ", ".join(f"{agent}: {capacity}" for agent, capacity in value.items()) + "}"

    def holds(self, value: Mapping[AgentId, int]) -> bool:
        """Whether every capacity is in range."""
        return all(self.capacity.holds(capacity) for capacity in value.values())

    def schema(self) -> Schema:
        """An object from ids to integers."""
        numbers: Schema = {"^[1-9][0-9]*$": self.capacity.schema()}
        return {"type": "object", "patternProperties": numbers, "additionalProperties": False}
