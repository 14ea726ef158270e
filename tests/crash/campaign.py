"""All crash points, many trials at once: they mostly wait for their short durations."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from attrs import define, field, frozen

from sebastian_adapters.postgres.migrate import migrate
from tests.crash.stage import PROCESSES
from tests.crash.stories import STORIES
from tests.crash.trial import Crash, Place, Trial
from tests.servers import embedded_postgres, embedded_valkey, fresh_database, temporary_directory

QUICK = {"fsync": "off", "max_connections": "300"}
"""Processes of ours die here, the database's do not."""

Progress = Callable[[Trial], None]


@frozen(kw_only=True)
class Found:
    """What a campaign came to."""

    steps: dict[str, Sequence[str]]
    """The steps of each story: before and after every one of them a process dies."""
    first: Sequence[Trial]
    second: Sequence[Trial]

    @property
    def unclean(self) -> list[Trial]:
        """The trials in which something went wrong."""
        return [trial for trial in [*self.first, *self.second] if not trial.is_clean]

    @property
    def killed(self) -> int:
        """How many processes were killed at their point."""
        return _killed(self.first, 1)

    def told(self) -> str:
        """The figures, a line each."""
        points = sum(map(len, self.steps.values()))
        rows = [
            f"stories          {len(self.steps)}",
            f"crash points     {points} ({self.killed} reached and killed)",
            f"second crashes   {len(self.second)} ({_killed(self.second, 2)} killed twice)",
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

    async def run(
        self, *, stories: Iterable[str], sample: int | None, seed: int, ends_at: float | None = None
    ) -> Found:
        """All first crashes, then all second ones, or so many of them as the sample says.

        No crash is begun after `ends_at` (on the monotonic clock): those around a commit or a call
        to the platform come first.
        """
        whole = await self._all(Crash(story=story) for story in stories)
        steps = {trial.crash.story: trial.steps for trial in whole}
        points = [
            (not _is_outward(name), Crash(story=story, first=number))
            for story, names in steps.items()
            for number, name in enumerate(names)
        ]
        points.sort(key=lambda point: point[0])
        first = await self._all((crash for _, crash in points), ends_at)
        chosen = [
            Crash(story=trial.crash.story, first=trial.crash.first, second=number)
            for trial in first
            for number in range(len(trial.changes))
        ]
        if sample is not None and sample < len(chosen):
            chosen = random.Random(seed).sample(chosen, sample)
        second = await self._all(chosen, ends_at)
        return Found(steps=steps, first=[*whole, *first], second=second)

    async def _all(self, crashes: Iterable[Crash], ends_at: float | None = None) -> list[Trial]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(crash, ends_at)) for crash in crashes]
        return [trial for task in tasks if (trial := task.result()) is not None]

    async def _one(self, crash: Crash, ends_at: float | None) -> Trial | None:
        place = await self._places.get()
        try:
            if ends_at is not None and time.monotonic() > ends_at:
                return None
            trial = await place.carry_out(crash)
        finally:
            self._places.put_nowait(place)
        self.on_trial(trial)
        return trial


@asynccontextmanager
async def campaign(
    at_once: int, on_trial: Progress = lambda trial: None
) -> AsyncIterator[Campaign]:
    """Servers of its own, and so many places on them."""
    PROCESSES.set_forkserver_preload(["pytest", "tests.crash.campaign"])
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
            redis_url = valkey.database_url(number)
            places.put_nowait(
                Place(database_url=url, redis_url=redis_url, directory=Path(own), threads=threads)
            )
        yield Campaign(places, on_trial)


def all_stories() -> Sequence[str]:
    """Every story by its name."""
    return tuple(STORIES)


def _is_outward(step: str) -> bool:
    return "commit" in step or "platform" in step


def _killed(trials: Sequence[Trial], times: int) -> int:
    return sum(trial.died >= times for trial in trials)
