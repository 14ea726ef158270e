"""One trial: a story, perhaps a crash, a recovery, perhaps a crash in it, and the verdict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL

import redis
from attrs import define, evolve, frozen

from sebastian_adapters.memory.platform import Switches
from sebastian_apps.fake_qiscus import FakeConfig, FakeQiscus, serve
from sebastian_core.domain.rules import Rules
from tests.crash.office import Standing, brief_rules
from tests.crash.remains import Keeper, fingerprint
from tests.crash.stage import Actor, Died, NotGiven, Stage
from tests.crash.steps import Step
from tests.crash.stories import STORIES
from tests.oracle import Capacities, Judging, Promise, Record, Verdict, judge
from tests.oracle.reading import read_connection
from tests.simulation.mutants import Mutant

AGENTS = 2
CAPACITY = 1
SETTLE, CALL, RESERVATION = (timedelta(seconds=each) for each in (0.3, 0.7, 1.1))
"""The durations at pace 1; at pace 2 all take twice as long."""
ROUND_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 0.6
QUIET_SECONDS = 15.0


@frozen(kw_only=True)
class Crash:
    """Where a story is cut off: at one of its steps, and at one of its recovery's."""

    story: str
    first: str | None = None
    second: str | None = None

    @property
    def times(self) -> int:
        """How many processes are to be killed."""
        return (self.first is not None) + (self.second is not None)

    @property
    def without_last(self) -> Crash:
        """The same, but nobody dies at its last step."""
        return evolve(self, second=None) if self.second else evolve(self, first=None)

    def __str__(self) -> str:
        return ", then ".join(each for each in (self.story, self.first, self.second) if each)


@frozen(kw_only=True)
class Trial:
    """What came of it. `steps` are those of the story, `recovery` those of the last recovery."""

    crash: Crash
    died: int
    """How often a process was killed by its step."""
    steps: Sequence[Step]
    recovery: Sequence[Step]
    verdict: Verdict
    unrest: str = ""
    """Why the floor did not come to rest; empty if it did."""
    remains: Sequence[str] = ()
    """What each process that ended left behind, as a fingerprint."""

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept and all came to rest."""
        return self.verdict.is_clean and not self.unrest

    @property
    def is_reached(self) -> bool:
        """Whether each process died where it was to die."""
        return self.died == self.crash.times and bool(self.steps or self.died)

    @property
    def was_hurried(self) -> bool:
        """Whether the machine may have been too slow: not reached or not at rest, no more."""
        broken = {each.promise for each in self.verdict.violations}
        return bool(self.unrest or not self.is_reached) and broken <= {Promise.P2}

    def told(self) -> str:
        """What went wrong."""
        return f"{self.crash}: {self.unrest}\n{self.verdict.told(5)}"


@define(kw_only=True)
class Place:
    """A database, a numbered Redis database and a directory: for one trial after the other."""

    database_url: str
    redis_url: str
    directory: Path
    threads: ThreadPoolExecutor
    keeper: Keeper
    mutant: Mutant | None = None
    """A bug that is planted in every process."""

    async def carry_out(self, crash: Crash, pace: float = 1.0) -> Trial:
        """Run one trial from an empty database to the verdict."""
        await asyncio.to_thread(self._sweep)
        async with serve(FakeConfig(agents=AGENTS, switches=Switches.untidy())) as fake:
            config = self._configure(fake, pace)
            actor = await Actor.start(config, self.threads, self.mutant)
            agents = fake.platform.agent_ids()
            stage = Stage(fake, config, self.threads, actor, pace, crash.first, agents)
            try:
                return await self._play(crash, stage)
            finally:
                await stage.actor.kill()

    async def _play(self, crash: Crash, stage: Stage) -> Trial:
        steps, recovery, died = await _told(stage, crash), [], 0
        unrest, remains = "no process recovered", []
        for kill_at in (crash.second, None):
            died += await self._ended(stage)
            remains.append(await asyncio.to_thread(self._fingerprint, stage))
            stage.actor = await Actor.start(stage.config, self.threads, self.mutant)
            try:
                await stage.act("arm", kill_at, True)
                unrest = await _recover(stage)
                recovery = list(await stage.act("steps"))
                break
            except Died:
                continue
        verdict = judge(await asyncio.to_thread(self._record, stage), _judging(stage.pace))
        return Trial(
            crash=crash,
            died=died,
            steps=steps,
            recovery=recovery,
            verdict=verdict,
            unrest=unrest,
            remains=remains,
        )

    async def _ended(self, stage: Stage) -> bool:
        """The process of the moment has ended; whether it was killed."""
        return await stage.actor.end() == -SIGKILL

    def _fingerprint(self, stage: Stage) -> str:
        self.keeper.wait_until_alone()
        return fingerprint(self.keeper.rows(), self.redis_url, stage)

    def _sweep(self) -> None:
        self.keeper.wait_until_alone()
        self.keeper.empty()
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushdb()

    def _configure(self, fake: FakeQiscus, pace: float) -> Path:
        account = fake.platform.account
        settings = {
            "db": {"connection_string": self.database_url},
            "redis": {"url": self.redis_url},
            "webhook": {"base_url": "http://127.0.0.1:1", "max_current_customer": CAPACITY},
            "assign": {"timeout": _ms(CALL * pace), "reservation": _ms(RESERVATION * pace)},
            "qiscus": {
                "base_url": fake.url,
                "app_id": account.app_code,
                "secret_key": account.secret_key,
                "settle": _ms(SETTLE * pace),
                "rate_limit": 1000,
                "burst": 100,
            },
        }
        path = self.directory / "config.yml"
        path.write_text(json.dumps(settings))
        return path

    def _record(self, stage: Stage) -> Record:
        history, chats, passes = read_connection(self.keeper.connection)
        platform = stage.fake.platform
        return Record(
            events=[event for _, event in platform.log.since(0, 1_000_000)],
            history=history,
            chats=chats,
            deliveries=stage.deliveries,
            passes=passes,
            ended_at=platform.clock(),
        )


async def _told(stage: Stage, crash: Crash) -> list[Step]:
    """Play the story until it ends or its process does; the steps that it took."""
    try:
        await STORIES[crash.story](stage)
        return list(await stage.act("steps"))
    except (Died, NotGiven):
        return []


async def _recover(stage: Stage) -> str:
    """Do what a worker does until our record and the platform agree; then all services end.

    The recovery, and the counting of its steps, is over when they agree.
    """
    await stage.act("duty")
    unrest = await _come_to_rest(stage)
    await stage.act("disarm")
    if not unrest:
        await _end_all(stage)
        unrest = await _come_to_rest(stage)
    return unrest


async def _come_to_rest(stage: Stage) -> str:
    """Round by round, when something is due; what is still wrong when the time is over."""
    deadline = asyncio.get_running_loop().time() + QUIET_SECONDS * stage.pace
    while True:
        await stage.works()
        standing = await stage.act("standing")
        unrest = _unrest(stage, standing)
        if not unrest or asyncio.get_running_loop().time() > deadline:
            return unrest
        await asyncio.sleep(_pause_seconds(standing))


def _pause_seconds(standing: Standing) -> float:
    """Until something is due: a round before that repeats the steps of the last one."""
    return min(standing.due_seconds or ROUND_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)


async def _end_all(stage: Stage) -> None:
    """Every agent finishes: the slots come free."""
    for room in stage.fake.platform.unresolved_rooms():
        await stage.resolves(stage.is_resolved(room))


def _unrest(stage: Stage, standing: Standing) -> str:
    platform = stage.fake.platform
    served = {
        (room, agent) for room in platform.unresolved_rooms() for agent in platform.agents_in(room)
    }
    if platform.waiting_rooms() or standing.waiting or standing.in_doubt:
        return f"still waiting: {platform.waiting_rooms()} at the platform; here {standing}"
    if standing.held != served:
        return f"served are {served}, held are {standing.held}"
    return ""


def _judging(pace: float) -> Judging:
    rules = Rules(settle=SETTLE * pace, call=CALL * pace, reservation=RESERVATION * pace)
    return Judging(
        capacities=Capacities(default=CAPACITY),
        rules=brief_rules(rules),
        presence_interval_seconds=2.0,
        idle_seconds=None,
    )


def _ms(duration: timedelta) -> str:
    return f"{round(duration.total_seconds() * 1000)}ms"
