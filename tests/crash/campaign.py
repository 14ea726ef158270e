"""All crash points, many trials at once: they mostly wait for their short durations."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager

from attrs import define, field, frozen

from sebastian_adapters.postgres.migrate import migrate
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

Progress = Callable[[Trial], None]
IsEnough = Callable[[int], bool]
"""Told how many crashes were reached so far."""


@frozen(kw_only=True)
class Found:
    """What a campaign came to."""

    steps: dict[str, Sequence[Step]]
    """The steps of each story: at every one of them a process dies."""
    first: Sequence[Trial]
    second: Sequence[Trial]
    recovery_steps: int
    """How many steps all recoveries took, each counted once for each state of things."""
    possible: int
    """How many second crashes there are to try."""
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
        return _reached(self.first) - len(self.steps)

    def told(self) -> str:
        """The figures, a line each."""
        points, twice = sum(map(len, self.steps.values())), _reached(self.second)
        rows = [
            f"stories          {len(self.steps)}",
            f"crash points     {points} ({self.killed} reached and killed)",
            f"recoveries       {self.recovery_steps} steps",
            f"second crashes   {len(self.second)} of {self.possible} tried ({twice} reached)",
            f"played again     {self.again} (slower, as the machine was)",
            f"violations       {sum(len(each.verdict.violations) for each in self._all)}",
            f"not at rest      {sum(bool(each.unrest) for each in self._all)}",
        ]
        return "\n".join(rows)

    @property
    def _all(self) -> list[Trial]:
        return [*self.first, *self.second]


@define
class Campaign:
    """Runs trials on a number of places."""

    _places: asyncio.Queue[Place]
    on_trial: Progress = field(default=lambda trial: None)
    _again: int = field(default=0, init=False)
    _killed: int = field(default=0, init=False)

    async def run(
        self,
        *,
        stories: Iterable[str],
        sample: int | None,
        seed: int,
        is_enough: IsEnough = lambda killed: False,
    ) -> Found:
        """All first crashes, then all second ones, or so many of them as the sample says.

        No crash is begun once so many processes killed are enough: those around a commit or a call
        to the platform come first.
        """
        whole = await self._all(Crash(story=story) for story in stories)
        steps = {trial.crash.story: trial.steps for trial in whole}
        points = [
            (not _is_outward(step.name), Crash(story=story, first=step.name))
            for story, taken in steps.items()
            for step in taken
        ]
        points.sort(key=lambda point: point[0])
        first = await self._all((crash for _, crash in points), is_enough)
        possible = second_crashes(steps, first)
        chosen = possible
        if sample is not None and sample < len(chosen):
            chosen = random.Random(seed).sample(chosen, sample)
        second = await self._all(chosen, is_enough)
        return Found(
            steps=steps,
            first=[*whole, *first],
            second=second,
            recovery_steps=sum(len(trial.recovery) for trial in first),
            possible=len(possible),
            again=self._again,
        )

    async def carry_out(self, crash: Crash) -> Trial:
        """One crash, as soon as there is a place for it."""
        async with self._place() as place:
            return await self._reached(place, crash)

    async def _all(
        self, crashes: Iterable[Crash], is_enough: IsEnough = lambda killed: False
    ) -> list[Trial]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(crash, is_enough)) for crash in crashes]
        return [trial for task in tasks if (trial := task.result()) is not None]

    async def _one(self, crash: Crash, is_enough: IsEnough) -> Trial | None:
        async with self._place() as place:
            if is_enough(self._killed):
                return None
            trial = await self._reached(place, crash)
        self._killed += bool(crash.times) and trial.is_reached
        self.on_trial(trial)
        return trial

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Place]:
        place = await self._places.get()
        try:
            yield place
        finally:
            self._places.put_nowait(place)

    async def _reached(self, place: Place, crash: Crash) -> Trial:
        """Carried out at the first pace that the machine keeps."""
        first, *slower = PACES
        trial = await place.carry_out(crash, first)
        for pace in slower:
            if not trial.was_hurried:
                break
            self._again += 1
            trial = await place.carry_out(crash, pace)
        return trial


def second_crashes(steps: Mapping[str, Sequence[Step]], first: Iterable[Trial]) -> list[Crash]:
    """The second crashes that there are to try, after these first ones.

    First crashes in one state of a story leave the same behind, and so does each crash within one
    state of a recovery. From one first crash for each state a process dies at every step of the
    recovery; from the others at those steps at which something changes.
    """
    states = {
        (story, step.name): (story, step.state) for story, taken in steps.items() for step in taken
    }
    told, found = set(), []
    for trial in first:
        crash = trial.crash
        state = states[crash.story, crash.first or ""]
        is_told = state in told
        told.add(state)
        found += [
            Crash(story=crash.story, first=crash.first, second=step.name)
            for step in trial.recovery
            if step.changes or not is_told
        ]
    return found


@asynccontextmanager
async def campaign(
    at_once: int, on_trial: Progress = lambda trial: None, *, mutant: Mutant | None = None
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
            own = directory / str(number)
            own.mkdir()
            places.put_nowait(
                Place(
                    database_url=url,
                    redis_url=valkey.database_url(number),
                    directory=own,
                    threads=threads,
                    mutant=mutant,
                )
            )
        yield Campaign(places, on_trial)


def all_stories() -> Sequence[str]:
    """Every story by its name."""
    return tuple(STORIES)


def _is_outward(step: str) -> bool:
    return "commit" in step or "platform" in step


def _reached(trials: Sequence[Trial]) -> int:
    return sum(trial.is_reached for trial in trials)
