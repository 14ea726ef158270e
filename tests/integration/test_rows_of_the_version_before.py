"""A process of the version before beside ours, on one database: it writes doubts and no facts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import Any

import pytest

from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.builders import some_rules
from sebastian_adapters.testing.contracts.room_repo import arrive, chat_of, end, reserve_one
from sebastian_core.domain.chat import ChatState, Doubt, OutlivesCall, ResolvedInCall
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.in_doubt import Evidence, Outcome, RoomState, settle
from tests.before import PREFIX, NotThere, load
from tests.integration.postgres import execute, rows

RULES = some_rules()
ROOM = RoomId("room-1")


class Before:
    """A process of the version before, on the same database."""

    def __init__(self, repo: Any) -> None:
        self.repo = repo
        self.arrivals = _before("arrivals")
        self.reservation, self.settling = _before("reservation"), _before("settling")
        self.chat, self.rules = _before("chat"), _before("rules").Rules()

    async def decide(self, decision: Any, *asked: Any, alters_line: bool = False) -> Any:
        return await self.repo.decide(ROOM, partial(decision, *asked), alters_line=alters_line)

    async def arrive(self) -> Any:
        arrival = self.arrivals.Arrival(room_id=ROOM)
        return await self.decide(self.arrivals.admit, arrival, self.rules)

    async def resolve(self) -> Any:
        resolution = self.arrivals.Resolution(room_id=ROOM)
        return await self.decide(self.arrivals.resolve, resolution, self.rules)

    async def held(self) -> Any:
        return self.reservation.Reservation.of((await self.repo.rooms([ROOM]))[ROOM].chat)


@pytest.fixture
async def before(url: str) -> AsyncIterator[Before]:
    try:
        load()
    except NotThere as error:
        pytest.skip(str(error))
    pools = import_module(f"{PREFIX}sebastian_adapters.postgres.pools")
    repos = import_module(f"{PREFIX}sebastian_adapters.postgres.room_repo")
    pool = pools.worker_pool(url)
    await pool.open()
    try:
        yield Before(repos.PostgresRoomRepo(pool))
    finally:
        await pool.close()


def _before(name: str) -> Any:
    return import_module(f"{PREFIX}sebastian_core.domain.{name}")


async def read(
    repo: PostgresRoomRepo, state: RoomState, seconds: float
) -> tuple[Outcome, timedelta | None]:
    """Settle the chat by a reading that began so long after its last change."""
    chat = await chat_of(repo)
    shown = Evidence(state=state, began_at=chat.changed_at + timedelta(seconds=seconds))
    decision = partial(settle, chat.id, chat.version, shown, RULES)
    decided = await repo.decide(ROOM, decision, alters_line=True)
    looked_at = [each.chat.settle_at for each in decided.changes if each.silent]
    later = [each - chat.changed_at for each in looked_at if each is not None]
    return decided.answer, later[0] if later else None


async def test_a_reading_of_its_chat_counts_when_it_would_count_for_any_doubt(
    repo: PostgresRoomRepo, before: Before
) -> None:
    await arrive(repo)
    await end(repo)
    await before.arrive()

    doubted = await chat_of(repo)
    early = await read(repo, RoomState.WAITING, 8.99)
    in_time = await read(repo, RoomState.WAITING, 9)

    assert (doubted.doubt, doubted.conclusive_from) == (Doubt.LATE_REPEAT, None)
    assert early == (Outcome.TOO_EARLY, timedelta(seconds=9))
    assert in_time == (Outcome.READY, None)


async def test_facts_of_ours_are_not_believed_once_it_has_changed_the_chat(
    repo: PostgresRoomRepo, before: Before
) -> None:
    await arrive(repo)
    await reserve_one(repo)
    ours = await chat_of(repo)
    doubt = before.chat.Doubt.UNKNOWN_ANSWER
    attempt = before.reservation.doubt_attempt
    await before.decide(attempt, await before.held(), doubt, before.rules)

    theirs = await chat_of(repo)

    assert ours.conclusive_from == ours.changed_at + RULES.call_shows
    assert (theirs.conclusive_from, theirs.counts_as_refusal) == (None, True)
    assert (await read(repo, RoomState.WAITING, 9))[0] is Outcome.REFUSED


async def test_what_its_words_mean_is_read_as_facts(repo: PostgresRoomRepo, before: Before) -> None:
    await arrive(repo)
    await reserve_one(repo)
    await before.resolve()
    pending = await chat_of(repo)
    confirm = before.reservation.confirm
    await before.decide(confirm, await before.held(), before.rules)
    unsure = await chat_of(repo)

    assert pending.resolved_in_call is ResolvedInCall.PENDING
    assert unsure.resolved_in_call is ResolvedInCall.UNSURE


async def test_a_late_success_that_it_wrote_outlives_the_call_of_ours(
    repo: PostgresRoomRepo, before: Before
) -> None:
    await arrive(repo)
    await reserve_one(repo)
    late = await before.held()
    await before.decide(before.reservation.release, late, "", before.rules, alters_line=True)
    await reserve_one(repo)
    await before.decide(before.reservation.confirm, late, before.rules)

    chat = await chat_of(repo)

    assert (chat.state, chat.outlives_call) == (ChatState.RESERVED, OutlivesCall.SUCCESS)


async def test_what_only_moves_the_next_look_leaves_facts_as_they_are(
    repo: PostgresRoomRepo, before: Before, url: str
) -> None:
    await arrive(repo)
    await reserve_one(repo)
    execute(url, "update sebastian.chat set settle_at = clock_timestamp()")
    ours = await chat_of(repo)
    await before.decide(before.settling.postpone, ours.id, ours.version, before.rules)

    theirs = await chat_of(repo)

    assert theirs.settle_at != ours.settle_at
    assert theirs.conclusive_from == ours.conclusive_from


async def test_it_settles_what_ours_wrote(repo: PostgresRoomRepo, before: Before, url: str) -> None:
    await arrive(repo)
    await end(repo)
    await arrive(repo)
    ours = await chat_of(repo)
    reading = before.settling.Evidence(
        state=before.settling.RoomState.WAITING, began_at=ours.changed_at + RULES.settle
    )
    decided = await before.decide(
        before.settling.settle, ours.id, ours.version, reading, before.rules
    )

    assert ours.doubt == Doubt.LATE_REPEAT
    assert decided.answer == "ready"
    assert (await chat_of(repo)).doubt is None
    assert rows(url, "select version - facts_version from sebastian.chat where state = 'waiting'")
