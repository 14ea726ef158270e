"""What is wrong with a configuration, and where."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from sebastian_core.domain.errors import SebastianError


@frozen
class Place:
    """Where a value stands: a file with line and column (both from 1), or a variable."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        numbers = [str(number) for number in (self.line, self.column) if number is not None]
        return ":".join([self.source, *numbers])


UNSET = Place("environment")
"""Where a key belongs that is set nowhere while no file was read."""


@frozen
class Problem:
    """One thing that must be put right: where, which key, what was expected and what was found.

    `key` is the dotted path (`presence.interval`), empty where no key is meant. `nearest` is the
    key or variable that exists and was probably meant. A message never holds a secret.
    """

    place: Place
    key: str
    message: str
    nearest: str | None = None

    @property
    def source(self) -> str:
        """The file as it was named, or the environment variable."""
        return self.place.source

    @property
    def line(self) -> int | None:
        """The line in the file, from 1."""
        return self.place.line

    @property
    def column(self) -> int | None:
        """The column in the line, from 1."""
        return self.place.column

    def __str__(self) -> str:
        where = f"{self.place} {self.key}" if self.key else str(self.place)
        return f"{where}: {self.message}"


class SettingsError(SebastianError):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    slug = "settings-invalid"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=_reading_order))
        super().__init__(self._summary())

    def _summary(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        return f"{len(self.problems)} problems in the configuration:\n{lines}"


def _reading_order(problem: Problem) -> tuple[bool, str, int, int]:
    return (
        problem.line is None,
        "" if problem.line or not problem.source.startswith("QT_") else problem.source,
        problem.line or 0,
        problem.column or 0,
    )
