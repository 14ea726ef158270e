"""What a newer version wrote and this one does not know stops nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.builders import ANNE, a_plan, some_rules
from sebastian_adapters.testing.contracts.room_repo import (
    AT_ONCE,
    arrive,
    arrive_all,
    assign_one,
    reserve_one,
    rooms_in,
)
from sebastian_core.domain.chat import Transition
from sebastian_core.domain.errors import UnknownWord
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.in_doubt import Evidence, Outcome, RoomState, settle
from sebastian_core.domain.webhooks import Admission
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.journal import Journal
from tests.integration.cli_world import ADMIN_TOKEN, TOKEN, World, a_world
from tests.integration.postgres import execute, rows

WORDS = {
    "what outlives a call": "outlives_call = 'a smell', settle_at = clock_timestamp()",
    "what a resolve in a call is": "resolved_in_call = 'half', settle_at = clock_timestamp()",
    "a doubt without its facts": "doubt = 'it smells', facts_version = null",
    "needs": "needs = 'division:5'",
    "needs of a known channel": "needs = '31;skill=de'",
    "state": "state = 'parked', agent_id = null, reservation_id = null",
}
ADD_STATES = """
do $$ declare each record; begin
    for each in select conname from pg_constraint
        where conrelid = 'sebastian.chat'::regclass and contype = 'c'
    loop execute format('alter table sebastian.chat drop constraint %I', each.conname); end loop;
    for each in select conname from pg_constraint
        where conrelid = 'sebastian.history'::regclass and contype = 'c'
    loop execute format('alter table sebastian.history drop constraint %I', each.conname); end loop;
end $$
"""


@pytest.fixture
def url(url: str) -> str:
    """A database where a newer version has allowed more states."""
    execute(url, ADD_STATES)
    return url


@pytest.fixture(params=WORDS)
def word(request: pytest.FixtureRequest) -> str:
    """What a newer version wrote into the record of a chat."""
    return WORDS[request.param]


def write(url: str, word: str, room_id: str = "room-1") -> None:
    """Let a newer version have written this."""
    execute(url, f"update sebastian.chat set {word} where room_id = '{room_id}'")


async def test_others_are_listed_and_it_is_counted(
    repo: PostgresRoomRepo, url: str, word: str, journal: Journal
) -> None:
    await arrive_all(repo, "room-1", "room-2")
    write(url, word)

    assert [chat.room_id for chat in await repo.waiting(1)] == ["room-2"]
    assert list(await repo.rooms([RoomId("room-1"), RoomId("room-2")])) == ["room-2"]
    assert (await journal.summary(5)).left_aside == 1


async def test_others_are_given(repo: PostgresRoomRepo, url: str, word: str) -> None:
    await arrive_all(repo, "room-1", "room-2", "room-3")
    write(url, word)

    assert rooms_in(await repo.reserve(a_plan(), limit=1)) == ["room-2"]
    assert rooms_in(await repo.reserve(a_plan(), limit=5)) == ["room-3"]


async def test_a_crowd_of_them_at_the_head_hides_nobody(
    repo: PostgresRoomRepo, url: str, word: str
) -> None:
    await arrive_all(repo, *(f"room-{number}" for number in range(20)))
    for number in range(19):
        write(url, word, f"room-{number}")

    assert rooms_in(await repo.reserve(a_plan(), limit=2)) == ["room-19"]


async def test_what_is_due_behind_them_is_settled(
    repo: PostgresRoomRepo, url: str, word: str
) -> None:
    await arrive_all(repo, "room-1", "room-2")
    for _ in range(2):
        await reserve_one(repo, rules=AT_ONCE)
    write(url, word)

    assert [chat.room_id for chat in await repo.due(1)] == ["room-2"]


async def test_a_doubt_of_a_newer_version_is_a_text_and_settled_like_any_other(
    repo: PostgresRoomRepo, url: str
) -> None:
    await arrive(repo, "room-1")
    write(url, "doubt = 'it smells', settle_at = clock_timestamp()")

    (chat,) = await repo.due(1)
    shown = Evidence(state=RoomState.WAITING, began_at=chat.changed_at + some_rules().settle)
    decision = partial(settle, chat.id, chat.version, shown, some_rules())
    decided = await repo.decide(chat.room_id, decision)

    assert (chat.doubt, decided.answer) == ("it smells", Outcome.READY)


async def test_a_slot_that_it_fills_stays_filled(
    repo: PostgresRoomRepo, url: str, agent_settings: AgentSettings, journal: Journal
) -> None:
    await arrive_all(repo, "room-1", "room-2")
    for _ in range(2):
        await assign_one(repo)
    write(url, "outlives_call = 'a smell', settle_at = clock_timestamp()")

    assert (await agent_settings.agent_loads()).loads == {ANNE: 2}
    assert [chat.room_id for chat in await repo.held_by(ANNE)] == ["room-2"]
    assert [chat.room_id for chat in await journal.held(9)] == ["room-2"]


async def test_its_room_s_webhooks_fail_alone(repo: PostgresRoomRepo, url: str, word: str) -> None:
    await arrive(repo, "room-1")
    write(url, word)

    ends = await asyncio.gather(
        *(arrive(repo, f"room-{number}") for number in range(1, 4)), return_exceptions=True
    )

    assert isinstance(ends[0], UnknownWord)
    assert [end.answer for end in ends[1:] if not isinstance(end, BaseException)] == [
        Admission.ADMITTED,
        Admission.ADMITTED,
    ]


async def test_a_move_that_is_not_known_is_told_by_its_word(
    repo: PostgresRoomRepo, url: str, journal: Journal
) -> None:
    await arrive(repo)
    execute(url, "update sebastian.history set move = 'merge'")

    (row,) = await journal.history(RoomId("room-1"))

    assert (row.move, row.details["move"]) == (Transition.UNKNOWN, "merge")
    assert await journal.decisions(5) == [row]


async def test_a_history_row_of_an_unknown_state_is_left_out(
    repo: PostgresRoomRepo, url: str, journal: Journal
) -> None:
    await arrive_all(repo, "room-1", "room-2")
    execute(url, "update sebastian.history set after = 'parked' where room_id = 'room-1'")

    assert [row.room_id for row in await journal.decisions(5)] == ["room-2"]


async def test_a_close_reason_that_is_not_known_hurts_nobody(
    repo: PostgresRoomRepo, url: str, journal: Journal
) -> None:
    await arrive(repo)
    execute(
        url,
        "update sebastian.chat set state = 'closed', closed_at = clock_timestamp(),"
        " close_reason = 'merged'",
    )

    assert (await arrive(repo)).answer is Admission.ADMITTED
    assert (await journal.summary(5)).left_aside == 0


class TestADeployment:
    @pytest.fixture
    async def world(
        self, tmp_path: Path, postgres_url: str, redis_url: str
    ) -> AsyncIterator[World]:
        """One whose room-1 waits and bears a word of a newer version; room-2 waits too."""
        async with a_world(tmp_path, postgres_url, redis_url, serves=True) as world:
            for room_id in ("room-1", "room-2"):
                world.fake.platform.customer_message(room_id)
            async with world.worker() as allocator:
                await allocator.leadership.hold_duty("somebody", timedelta(seconds=6))
                for room_id in ("room-1", "room-2"):
                    await arrive(allocator.room_repo, room_id)
            write(postgres_url, WORDS["what outlives a call"])
            yield world

    async def test_the_duties_go_on(self, world: World, postgres_url: str) -> None:
        execute(
            postgres_url, "update sebastian.chat set changed_at = changed_at - '1 min'::interval"
        )
        world.fake.platform.customer_message("room-3")
        async with world.worker() as allocator:
            settled = await allocator.settle.due()
            reconciled = await allocator.reconcile()
            await allocator.refresh()

        assert settled == 0
        assert reconciled.admitted == 1
        assert rows(
            postgres_url, "select outlives_call from sebastian.chat where room_id = 'room-1'"
        ) == [("a smell",)]

    async def test_a_webhook_of_its_room_is_told_to_come_again(self, world: World) -> None:
        url = f"{world.settings.webhook.base_url}/webhook-incoming-message/{TOKEN}"
        async with httpx.AsyncClient() as http:
            answers = [
                (await http.post(url, json={"room_id": room_id})).status_code
                for room_id in ("room-1", "room-2")
            ]

        assert answers == [503, 200]

    async def test_the_queue_says_so(self, world: World) -> None:
        shown = await world.run("queue")

        assert shown.exit_code == 0
        assert "room-2" in shown.output
        assert "1 live chat holds a word" in shown.output
        assert (await world.json("queue"))["left_aside"] == 1

    async def test_why_says_so(self, world: World) -> None:
        told = await world.run("why", "room-1")

        assert told.exit_code == 1
        assert "a newer version wrote it" in told.output

    async def test_the_doctor_says_so(self, world: World) -> None:
        found = {each["name"]: each for each in (await world.json("doctor"))["findings"]}

        assert found["chats-left-aside"]["verdict"] == "warning"

    async def test_the_floor_and_the_metrics_say_so(self, world: World) -> None:
        token = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        async with httpx.AsyncClient(
            base_url=str(world.settings.webhook.base_url), headers=token
        ) as http:
            metrics = (await http.get("/metrics")).text

        assert "sebastian_chats_left_aside 1.0" in metrics
        assert "sebastian_database_up 1.0" in metrics
