"""What every kind of value has in common: how it is read, checked, shown and described.

A kind reads the same from a file and from a variable, where everything is text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from attrs import frozen

from sebastian_apps.settings.given import Given, Scalar, shape_of
from sebastian_apps.settings.problems import Place

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


class Unfit(ValueError):
    """A text that does not fit. What was found is told in these words, which show nothing of it."""


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
        except Unfit as unfit:
            raise self._mismatch(given, str(unfit)) from None
        except ValueError:
            raise self._mismatch(given, self.found(given.text)) from None
        if not self.holds(value):
            raise self._mismatch(given, self.found(given.text))
        return value

    @abstractmethod
    def parse(self, text: str) -> T:
        """The value of a text; raises ValueError, or Unfit to say itself what was found."""

    def trim(self, text: str) -> str:
        """The text without what an editor or a shell leaves around it."""
        return text.strip()

    def found(self, text: str) -> str:
        """What was written, as far as it may be repeated."""
        if self.secret:
            return "something else (not shown: it is a secret)"
        return quoted(text)

    def _mismatch(self, given: Scalar, found: str) -> Mismatch:
        return Mismatch(Flaw(given.place, f"expected {self.expected}, found {found}"))


def quoted(text: str) -> str:
    """A text for a message: numbers as they are, the rest in quotes, printable and short."""
    if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", text):
        return text
    shown = text if len(text) <= _SHOWN_TEXT_LIMIT else text[: _SHOWN_TEXT_LIMIT - 1] + "…"
    return repr(shown)
