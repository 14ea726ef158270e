"""Makes a failing scenario small: fewer faults, customers and spells, as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define

from tests.simulation.plan import Scenario
from tests.simulation.run import Run, run

RUNS_AT_MOST = 250
Drop = Callable[[Scenario, Sequence[int]], Scenario]


@define
class Shrinking:
    """The smallest failing scenario found so far, and how many runs are left to find a smaller."""

    best: Run
    left: int = RUNS_AT_MOST

    def smaller(self) -> Run:
        """Leave out halves, quarters and single ones of everything until nothing more can go."""
        size = _size(self.best.scenario)
        while self.left > 0:
            for numbers, drop in _DIMENSIONS:
                self._reduce(numbers, drop)
            if _size(self.best.scenario) == size:
                break
            size = _size(self.best.scenario)
        return self.best

    def _reduce(self, numbers: Callable[[Scenario], list[int]], drop: Drop) -> None:
        chunk = max(1, len(numbers(self.best.scenario)) // 2)
        while chunk:
            present = numbers(self.best.scenario)
            for start in range(0, len(present), chunk):
                self._try(drop(self.best.scenario, present[start : start + chunk]))
            chunk //= 2

    def _try(self, scenario: Scenario) -> None:
        if self.left <= 0 or _size(scenario) == _size(self.best.scenario):
            return
        self.left -= 1
        attempt = run(scenario, beside=self.best.beside)
        if not attempt.is_clean:
            self.best = attempt


def shrink(failing: Run, runs_at_most: int = RUNS_AT_MOST) -> Run:
    """The shortest failing run that so many attempts find."""
    return Shrinking(failing, runs_at_most).smaller()


def _size(scenario: Scenario) -> tuple[int, int, int]:
    return len(scenario.faults), len(scenario.customers), len(scenario.spells)


_DIMENSIONS: tuple[tuple[Callable[[Scenario], list[int]], Drop], ...] = (
    (
        lambda scenario: [each.number for each in scenario.customers],
        lambda scenario, numbers: scenario.without(customers=numbers),
    ),
    (
        lambda scenario: [each.number for each in scenario.faults],
        lambda scenario, numbers: scenario.without(faults=numbers),
    ),
    (
        lambda scenario: [each.number for each in scenario.spells],
        lambda scenario, numbers: scenario.without(spells=numbers),
    ),
)


def replay_command(scenario: Scenario) -> str:
    """The command that runs exactly this scenario again."""
    kept = {
        "--only-faults": [each.number for each in scenario.faults],
        "--only-customers": [each.number for each in scenario.customers],
        "--only-spells": [each.number for each in scenario.spells],
    }
    told = [f"{name}={','.join(map(str, numbers))}" for name, numbers in kept.items()]
    return " ".join(["python -m tests.simulation --replay", str(scenario.seed), *told])
