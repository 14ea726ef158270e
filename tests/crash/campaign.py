"""All crash points, many trials at once: they mostly wait for their short durations."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import Protocol

from attrs import define, field

from sebastian_adapters.postgres.migrate import migrate
from tests.crash.found import Found
from tests.crash.ledger import Ledger
from tests.crash.remains import Keeper
from tests.crash.second import Kind, kinds, one_of_each
from tests.crash.stage import PROCESSES
from tests.crash.steps import Step
from tests.crash.stories import STORIES
from tests.crash.trial import Crash, Place, Trial
from tests.servers import embedded_postgres, embedded_valkey, fresh_database, temporary_directory
from tests.simulation.mutants import Mutant

QUICK = {"fsync": "off", "max_connections": "300"}
"""Processes of ours die here, the database's do not."""

PACES = (1.0, 2.0, 4.0, 8.0)
"""A trial is played again, slower, where the machine was too slow for it."""


class Watcher(Protocol):
    """Whoever wants to know how far it is."""

    def begins(self, what: str, total: int, known: int) -> None:
        """So many trials of one sort follow, beside those that are known already."""

    def tried(self, trial: Trial, *, again: int) -> None:
        """One of them is over; so many were played again, slower, by now."""


class Nobody(Watcher):
    """Wants to know nothing."""

    def begins(self, what: str, total: int, known: int) -> None:
        """Nothing."""

    def tried(self, trial: Trial, *, again: int) -> None:
        """Nothing."""


@define(kw_only=True)
class Campaign:
    """Runs trials on a number of places."""

    _places: asyncio.Queue[Place]
    ledger: Ledger = field(factory=Ledger)
    watcher: Watcher = field(factory=Nobody)
    is_thorough: bool = True
    """Whether it makes sure which steps there are, and that one that was not reached is none."""
    _again: int = field(default=0, init=False)

    async def run(
        self,
        *,
        stories: Iterable[str],
        sample: int | None = None,
        seed: int = 1,
        every: bool = False,
        ends_at: float | None = None,
        at_least: int = 0,
    ) -> Found:
        """All first crashes, then one second crash of each kind, or so many as the sample says.

        With `every`, also those second crashes that are of one kind. No crash is begun after
        `ends_at` (on the monotonic clock), but for so many first ones: those around a commit or a
        call to the platform.
        """
        whole = await self._all("stories", [Crash(story=story) for story in stories])
        steps = {trial.crash.story: trial.steps for trial in whole}
        points = _points(steps)
        first = await self._all("first crashes", points, ends_at, at_least)
        found = kinds(first)
        one = one_of_each(found, self.ledger.__contains__)
        chosen = [crash for same in found.values() for crash in same] if every else one
        if sample is not None and sample < len(chosen):
            chosen = random.Random(seed).sample(chosen, sample)
        second = await self._all("second crashes", chosen, ends_at)
        wanted = len(points) + (sum(map(len, found.values())) if every else len(one))
        vanished = await self._vanished([*first, *second])
        return Found(
            steps=steps,
            first=[*whole, *(trial for trial in first if trial.crash not in vanished)],
            second=[trial for trial in second if trial.crash not in vanished],
            vanished=len(vanished),
            possible=_by_story(crash for same in found.values() for crash in same),
            distinct=_by_story(one),
            as_expected=_count_as_expected(found, second),
            left=wanted - len(first) - len(second),
            again=self._again,
        )

    async def carry_out(self, crash: Crash) -> Trial:
        """One crash, as soon as there is a place for it."""
        async with self._place() as place:
            return await self._reached(place, crash)

    async def _all(
        self,
        what: str,
        crashes: Sequence[Crash],
        ends_at: float | None = None,
        at_least: int = 0,
    ) -> list[Trial]:
        known = sum(crash in self.ledger for crash in crashes)
        self.watcher.begins(what, len(crashes), known)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._one(crash, None if number < at_least else ends_at))
                for number, crash in enumerate(crashes)
            ]
        return [trial for task in tasks if (trial := task.result()) is not None]

    async def _one(self, crash: Crash, ends_at: float | None) -> Trial | None:
        if (known := self.ledger.known(crash)) is not None:
            return known
        async with self._place() as place:
            if ends_at is not None and time.monotonic() > ends_at:
                return None
            trial = await self._reached(place, crash)
        self.ledger.note(trial)
        self.watcher.tried(trial, again=self._again)
        return trial

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Place]:
        place = await self._places.get()
        try:
            yield place
        finally:
            self._places.put_nowait(place)

    async def _agreed(self, place: Place, crash: Crash) -> Trial:
        """The first that takes the same steps as one before: others were hurried."""
        seen: list[Sequence[str]] = []
        for pace in (PACES[0], *PACES):
            trial = await place.carry_out(crash, pace)
            names = [step.name for step in trial.steps]
            if names in seen and not trial.was_hurried:
                break
            seen.append(names)
        return trial

    async def _vanished(self, trials: Iterable[Trial]) -> set[Crash]:
        """The crashes at steps that were not reached and do not come again.

        A machine that was too slow at that moment took another way: it timed out, or asked twice.
        """
        missed = [each.crash for each in trials if self.is_thorough and not each.is_reached]
        async with asyncio.TaskGroup() as group:
            tasks = {crash: group.create_task(self._comes_again(crash)) for crash in missed}
        return {crash for crash, task in tasks.items() if not task.result()}

    async def _comes_again(self, crash: Crash) -> bool:
        trial = await self.carry_out(crash.without_last)
        taken = trial.steps if crash.second is None else trial.recovery
        return any(step.name == (crash.second or crash.first) for step in taken)

    async def _reached(self, place: Place, crash: Crash) -> Trial:
        """Carried out at the first pace that the machine keeps; a whole story, as it goes twice."""
        if crash.first is None and self.is_thorough:
            return await self._agreed(place, crash)
        first, *slower = PACES
        trial = await place.carry_out(crash, first)
        for pace in slower:
            if not trial.was_hurried:
                break
            self._again += 1
            trial = await place.carry_out(crash, pace)
        return trial


@asynccontextmanager
async def campaign(
    at_once: int,
    *,
    ledger: Ledger | None = None,
    watcher: Watcher | None = None,
    is_thorough: bool = True,
    mutant: Mutant | None = None,
) -> AsyncIterator[Campaign]:
    """Servers of its own, and so many places on them."""
    PROCESSES.set_forkserver_preload(["tests.crash.nursery"])
    places: asyncio.Queue[Place] = asyncio.Queue()
    with ExitStack() as stack:
        postgres = stack.enter_context(embedded_postgres(QUICK))
        valkey = stack.enter_context(embedded_valkey())
        directory = stack.enter_context(temporary_directory())
        threads = stack.enter_context(ThreadPoolExecutor(at_once * 2))
        for number in range(at_once):
            url = stack.enter_context(fresh_database(postgres))
            await migrate(url)
            keeper = Keeper.of(url)
            stack.callback(keeper.close)
            own = directory / str(number)
            own.mkdir()
            places.put_nowait(
                Place(
                    database_url=url,
                    redis_url=valkey.database_url(number),
                    directory=own,
                    threads=threads,
                    keeper=keeper,
                    mutant=mutant,
                )
            )
        yield Campaign(
            places=places,
            ledger=ledger or Ledger(),
            watcher=watcher or Nobody(),
            is_thorough=is_thorough,
        )


def all_stories() -> Sequence[str]:
    """Every story by its name."""
    return tuple(STORIES)


def _points(steps: Mapping[str, Sequence[Step]]) -> list[Crash]:
    """All first crashes; those around a commit or a call to the platform come first."""
    found = [
        (not _is_outward(step.name), Crash(story=story, first=step.name))
        for story, taken in steps.items()
        for step in taken
    ]
    return [crash for _, crash in sorted(found, key=lambda point: point[0])]


def _count_as_expected(found: Mapping[Kind, Sequence[Crash]], second: Iterable[Trial]) -> int:
    left = {crash: kind.left for kind, same in found.items() for crash in same}
    return sum(left[trial.crash] == trial.remains[0] for trial in second)


def _is_outward(step: str) -> bool:
    return "commit" in step or "platform" in step


def _by_story(crashes: Iterable[Crash]) -> dict[str, int]:
    return dict(Counter(crash.story for crash in crashes))
