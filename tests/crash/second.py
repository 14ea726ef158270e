"""The second crashes that there are to try, and which of them are one and the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from tests.crash.trial import Crash, Trial


@frozen
class Kind:
    """What makes one second crash the same as another.

    `left` is the fingerprint of all that lasts when the first process was dead: rows, Redis, what
    happened at the platform and what is to happen, what was acknowledged. `changes` is what the
    second process has changed since, and `step` the step at which it dies. Whoever recovers from
    the one finds nothing that tells it from the other.
    """

    left: str
    changes: tuple[str, ...]
    step: str


def kinds(first: Iterable[Trial]) -> dict[Kind, list[Crash]]:
    """Every step of every recovery, by kind."""
    found: dict[Kind, list[Crash]] = {}
    for trial in first:
        for kind in _kinds_after(trial):
            crash = Crash(story=trial.crash.story, first=trial.crash.first, second=kind.step)
            found.setdefault(kind, []).append(crash)
    return found


def one_of_each(
    found: Mapping[Kind, Sequence[Crash]], is_known: Callable[[Crash], bool]
) -> list[Crash]:
    """One crash for each kind; where one was tried, that one."""
    return [next(filter(is_known, same), same[0]) for same in found.values()]


def _kinds_after(trial: Trial) -> Iterator[Kind]:
    changes: tuple[str, ...] = ()
    for step in trial.recovery:
        yield Kind(trial.remains[0], changes, step.name)
        if step.changes:
            changes = (*changes, step.name)
