"""What a campaign came to, in figures and as a table by story."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from attrs import frozen

from tests.crash.steps import Step
from tests.crash.trial import Trial

COLUMNS = ("points", "killed", "recovery steps", "distinct", "tried", "killed", "violations")
HEAD = "story"


@frozen(kw_only=True)
class Found:
    """What a campaign came to."""

    steps: dict[str, Sequence[Step]]
    """The steps of each story: at every one of them a process dies."""
    first: Sequence[Trial]
    """The stories without a crash, and the first crashes."""
    second: Sequence[Trial]
    possible: dict[str, int]
    """How many second crashes there are: every step of every recovery, by story."""
    distinct: dict[str, int]
    """How many of them differ from each other."""
    as_expected: int
    """In how many trials with two crashes the first left the same as when it was the only one."""
    left: int
    """How many trials there was no time for."""
    vanished: int
    """Crashes at steps that only came once, where the machine was too slow."""
    again: int
    """How often a trial was played again, slower."""

    @property
    def unclean(self) -> list[Trial]:
        """The trials in which something went wrong."""
        return [trial for trial in self._all if not trial.is_clean]

    @property
    def missed(self) -> list[Trial]:
        """The trials in which a process did not come to the step at which it was to die."""
        return [trial for trial in self._all if not trial.is_reached]

    @property
    def killed(self) -> int:
        """How many first crashes were reached."""
        return sum(trial.is_reached for trial in self.first if trial.crash.first)

    def told(self) -> str:
        """The figures, a line each."""
        points = sum(map(len, self.steps.values()))
        possible, distinct = sum(self.possible.values()), sum(self.distinct.values())
        twice = sum(trial.is_reached for trial in self.second)
        rows = [
            f"stories          {len(self.steps)}",
            f"crash points     {points} ({self.killed} reached and killed)",
            f"recoveries       {possible} steps, {distinct} of them distinct",
            f"second crashes   {len(self.second)} tried ({twice} reached and killed)",
            f"left the same    {self.as_expected} (after the first crash, as without the second)",
            f"not tried        {self.left} (no time, or not in the sample)",
            f"seen once        {self.vanished} (steps that the machine took when it was too slow)",
            f"played again     {self.again} (slower, as the machine was)",
            f"violations       {sum(len(each.verdict.violations) for each in self._all)}",
            f"not at rest      {sum(bool(each.unrest) for each in self._all)}",
        ]
        return "\n".join(rows)

    def table(self) -> str:
        """A line for each story, and the sums."""
        rows = {story: self._row(story) for story in self.steps}
        rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
        width = max(map(len, [HEAD, *rows]))
        lines = [f"{HEAD:<{width}}" + "".join(f"  {each}" for each in COLUMNS)]
        for story, cells in rows.items():
            shown = zip(cells, COLUMNS, strict=True)
            lines.append(f"{story:<{width}}" + "".join(f"  {n:>{len(c)}}" for n, c in shown))
        return "\n".join(lines)

    def _row(self, story: str) -> list[int]:
        first = [trial for trial in self.first if trial.crash.story == story]
        second = [trial for trial in self.second if trial.crash.story == story]
        return [
            len(self.steps[story]),
            _count(first, lambda trial: trial.is_reached and trial.crash.first is not None),
            self.possible.get(story, 0),
            self.distinct.get(story, 0),
            len(second),
            _count(second, lambda trial: trial.is_reached),
            sum(len(trial.verdict.violations) + bool(trial.unrest) for trial in [*first, *second]),
        ]

    @property
    def _all(self) -> list[Trial]:
        return [*self.first, *self.second]


def _count(trials: Iterable[Trial], holds: Callable[[Trial], bool]) -> int:
    return sum(map(holds, trials))
