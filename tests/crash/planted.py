"""Bugs that only the real stack can have, planted in it: the oracle sees what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import Barrier, BrokenBarrierError
from typing import cast

from attrs import evolve

from sebastian_adapters.postgres import queries
from sebastian_adapters.testing.builders import ANNE, WHATSAPP, WIDGET, a_plan, an_agent
from sebastian_adapters.testing.contracts.room_repo import arrive
from sebastian_core.domain.ids import ChannelId
from sebastian_core.domain.policy import Candidate, LeastLoaded, Placement, Policy, ReadyChat
from tests.crash.campaign import campaign
from tests.crash.trial import Crash, Trial
from tests.integration.postgres import migrated_database, room_repo
from tests.oracle import Capacities, Judging, Promise, Record, Verdict, judge
from tests.oracle.reading import read_postgres
from tests.servers import PostgresServer, embedded_postgres
from tests.simulation.mutants import Edit, Mutant

STORY = "a customer arrives"
MEETING_SECONDS = 1.0

ACKNOWLEDGED_TOO_EARLY = Mutant(
    "acknowledged before the commit",
    (
        Edit(
            "sebastian_adapters.postgres.deciding:Groups._decide",
            "ids = await writing.write(transaction, now)",
            "import asyncio\n"
            "for call, outcome in zip(calls, outcomes, strict=True):\n"
            "    call.settle(outcome)\n"
            "await asyncio.sleep(0.1)\n"
            "ids = await writing.write(transaction, now)",
        ),
    ),
)


def hunt() -> Iterator[tuple[str, str | None]]:
    """Each planted bug by name, with the first sentence that tells of it."""
    yield ACKNOWLEDGED_TOO_EARLY.name, dies_after_its_answer()
    with embedded_postgres() as server:
        yield "the lock is tried, not waited for", race(server, lock_is_tried)


def dies_after_its_answer() -> str | None:
    """A webhook is answered, and its process dies before the commit."""
    broken = asyncio.run(_killed_before_its_commit()).verdict.of(Promise.P1)
    return broken[0].sentence if broken else None


async def _killed_before_its_commit() -> Trial:
    async with campaign(1, is_thorough=False, mutant=ACKNOWLEDGED_TOO_EARLY) as trials:
        whole = await trials.carry_out(Crash(story=STORY))
        commit = next(step.name for step in whole.steps if _is_before_commit(step.name))
        return await trials.carry_out(Crash(story=STORY, first=commit))


def _is_before_commit(step: str) -> bool:
    return step.startswith("before postgres") and step.endswith("commit")


@contextmanager
def lock_is_tried() -> Iterator[None]:
    """Whoever finds the line locked goes on without the lock."""
    statements = cast("dict[str, queries.Query]", queries._queries())
    before = statements["lock_line"]
    tried = before.text.replace(b"pg_advisory", b"pg_try_advisory")
    statements["lock_line"] = evolve(before, text=tried)
    try:
        yield
    finally:
        statements["lock_line"] = before


class Meeting(Policy):
    """The shipped policy, once another worker has come as far as this one."""

    def __init__(self, meeting: Barrier) -> None:
        self._meeting = meeting

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        """The meeting is given up where the other waits for the lock."""
        with suppress(BrokenBarrierError):
            self._meeting.wait(MEETING_SECONDS)
        return LeastLoaded().place(chats, candidates)


def race(
    server: PostgresServer, plant: Callable[[], AbstractContextManager[None]] = nullcontext
) -> str | None:
    """Two workers give the one slot of one agent at once, whose channel they read at two times."""
    meeting = Barrier(2)
    with migrated_database(server) as url, plant(), ThreadPoolExecutor(2) as threads:
        asyncio.run(_arrive(url))
        takers = [threads.submit(_take, url, meeting, each) for each in (WHATSAPP, WIDGET)]
        for taker in takers:
            taker.result()
        violations = _judged(url).violations
    return violations[0].sentence if violations else None


async def _arrive(url: str) -> None:
    async with room_repo(url) as repo:
        await arrive(repo, "room-1", channel_id=WHATSAPP)
        await arrive(repo, "room-2", channel_id=WIDGET)


def _take(url: str, meeting: Barrier, channel: ChannelId) -> None:
    plan = a_plan(an_agent(ANNE, channels=(channel,)), capacity=1, policy=Meeting(meeting))

    async def take() -> None:
        async with room_repo(url) as repo:
            await repo.reserve(plan, limit=1)

    asyncio.run(take())


def _judged(url: str) -> Verdict:
    history, chats, passes = read_postgres(url)
    record = Record(events=(), history=history, chats=chats, passes=passes, ended_at=history[-1].at)
    judging = Judging(capacities=Capacities(default=1), is_over=False, idle_seconds=None)
    return judge(record, judging)
