"""What is wrong with a configuration, and where."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from sebastian_core.domain.errors import SebastianError


@frozen
class ConfigPlace:
    """Where a value stands: a file with line and column (both from 1), or a variable."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        numbers = [str(number) for number in (self.line, self.column) if number is not None]
        return ":".join([self.source, *numbers])


#: Where a key belongs that is set nowhere while no file was read.
UNSET = ConfigPlace("environment")


@frozen
class ConfigProblem:
    """One thing that must be put right: where, which key, what was expected and what was found.

    `key` is the dotted path (`presence.interval`), empty where no key is meant. `nearest` is the
    key or variable that exists and was probably meant. A message never holds a secret.
    """

    place: ConfigPlace
    key: str
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        where = f"{self.place} {self.key}" if self.key else str(self.place)
        return f"{where}: {self.message}"


class SettingsError(SebastianError):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    slug = "settings-invalid"

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=_reading_order))
        lines = [str(problem) for problem in self.problems]
        if len(lines) > 1:
            lines = [
                f"{len(lines)} problems in the configuration:",
                *(f"  {each}" for each in lines),
            ]
        super().__init__("\n".join(lines))


class Unfit(ValueError):
    """A text that does not fit. What was found is told in these words, which show nothing of it."""


def _reading_order(problem: ConfigProblem) -> tuple[bool, str, int, int]:
    """The file from top to bottom, what is missing in it, then the variables by their names."""
    place = problem.place
    variable = place.source if place.line is None and place.source.startswith("QT_") else ""
    return (place.line is None, variable, place.line or 0, place.column or 0)
