"""What a process remembers of its last pass makes the next one quicker, never wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial

import psycopg
import pytest
from attrs import define, evolve

from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.builders import ANNE, BEN, CLEO, WHATSAPP, WIDGET, a_plan, an_agent
from sebastian_adapters.testing.contracts.room_repo import RULES, arrive, arrive_all, chat_of, end
from sebastian_core.domain.agent_loads import AgentSetting
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.policy import Candidate, LeastLoaded, Placement, ReadyChat
from sebastian_core.domain.reservation import Reservation, confirm
from sebastian_core.ports.agent_settings import AgentSettings
from tests.integration.postgres import room_repo, rows


@pytest.fixture
async def other(url: str) -> AsyncIterator[PostgresRoomRepo]:
    """Another process."""
    async with room_repo(url) as repo:
        yield repo


async def given(repo: PostgresRoomRepo, plan: Matcher, limit: int = 1) -> list[tuple[str, AgentId]]:
    """Who got which room in one pass, in its order."""
    return _told(await repo.reserve(plan, limit=limit))


def _told(reservations: Sequence[Reservation]) -> list[tuple[str, AgentId]]:
    return [(each.chat.room_id, each.agent_id) for each in reservations]


class TestTheNextPassKnows:
    """One plan for both passes: the roster did not change in between."""

    plan = a_plan(an_agent(ANNE), an_agent(BEN), capacity=9)

    async def test_that_an_agent_was_paused(
        self, repo: PostgresRoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, "a", "b", "c")
        await given(repo, self.plan)

        await agent_settings.set_agent(BEN, lambda now: evolve(now, paused=True), actor="a person")

        assert await given(repo, self.plan, limit=2) == [("b", ANNE), ("c", ANNE)]

    async def test_that_an_agent_was_paused_and_resumed(
        self, repo: PostgresRoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, "a", "b")
        await agent_settings.set_agent(BEN, lambda now: evolve(now, paused=True), actor="a person")
        await given(repo, self.plan)

        await agent_settings.set_agent(BEN, lambda now: evolve(now, paused=False), actor="a person")

        assert await given(repo, self.plan) == [("b", BEN)]

    async def test_that_an_agent_has_the_usual_capacity_again(
        self, repo: PostgresRoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, "a", "b")
        await agent_settings.set_agent(BEN, lambda now: evolve(now, capacity=0), actor="a person")
        await given(repo, self.plan)

        await agent_settings.set_agent(BEN, lambda now: AgentSetting(), actor="a person")

        assert await given(repo, self.plan) == [("b", BEN)]

    async def test_that_the_capacity_of_all_was_changed(
        self, repo: PostgresRoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, "a", "b", "c")
        await given(repo, self.plan)

        await agent_settings.set_default_capacity(1, actor="a person")

        assert await given(repo, self.plan, limit=2) == [("b", BEN)]

    async def test_that_a_slot_came_free(self, repo: PostgresRoomRepo) -> None:
        plan = a_plan(an_agent(ANNE), capacity=1)
        await arrive_all(repo, "a", "b")
        (reservation,) = await repo.reserve(plan, limit=1)
        await repo.decide(RoomId("a"), partial(confirm, reservation, RULES))
        assert await given(repo, plan) == []

        await end(repo, "a")

        assert await given(repo, plan) == [("b", ANNE)]

    async def test_whom_another_process_gave_chats(
        self, repo: PostgresRoomRepo, other: PostgresRoomRepo
    ) -> None:
        plan = a_plan(an_agent(ANNE), an_agent(BEN), an_agent(CLEO), capacity=9)
        await arrive_all(repo, "a", "b", "c")
        assert await given(repo, plan) == [("a", ANNE)]
        assert await given(other, plan) == [("b", BEN)]
        for room_id in ("a", "b"):
            await end(repo, room_id)

        assert await given(repo, plan) == [("c", CLEO)]

    async def test_who_was_given_a_chat_longest_ago(
        self, repo: PostgresRoomRepo, other: PostgresRoomRepo
    ) -> None:
        await arrive_all(repo, "a", "b", "c")
        await given(repo, self.plan)
        await given(other, self.plan)
        for room_id in ("a", "b"):
            await end(repo, room_id)

        assert await given(repo, self.plan) == [("c", ANNE)]


class TestTheHeadsAreGuessed:
    """By what the last pass could give: where that was wrong they are read once more."""

    async def test_and_read_again_where_more_can_be_given(self, repo: PostgresRoomRepo) -> None:
        await arrive_all(repo, *[f"room-{number:02}" for number in range(20)])
        await given(repo, a_plan(an_agent(ANNE), capacity=1), limit=20)

        roomy = await given(repo, a_plan(an_agent(ANNE), capacity=15), limit=20)

        assert [room_id for room_id, _ in roomy] == [f"room-{number:02}" for number in range(1, 15)]

    async def test_and_read_again_where_a_line_was_closed_that_is_open_now(
        self, repo: PostgresRoomRepo
    ) -> None:
        widget = an_agent(ANNE, channels=(WIDGET,))
        await arrive(repo, "whatsapp", channel_id=WHATSAPP)
        await arrive_all(repo, "widget-1", "widget-2", channel_id=WIDGET)
        assert await given(repo, a_plan(widget)) == [("widget-1", ANNE)]

        both = a_plan(widget, an_agent(BEN, channels=(WHATSAPP,)))

        assert await given(repo, both) == [("whatsapp", BEN)]

    async def test_and_read_again_where_a_line_was_open_that_is_closed_now(
        self, repo: PostgresRoomRepo
    ) -> None:
        whatsapp = an_agent(BEN, channels=(WHATSAPP,))
        await arrive_all(repo, *"abcd", channel_id=WHATSAPP)
        await arrive_all(repo, "widget-1", "widget-2", channel_id=WIDGET)
        assert await given(repo, a_plan(whatsapp)) == [("a", BEN)]

        widget = a_plan(an_agent(ANNE, channels=(WIDGET,)))

        assert await given(repo, widget, limit=2) == [("widget-1", ANNE), ("widget-2", ANNE)]

    async def test_and_an_unplaceable_crowd_hides_nobody(self, repo: PostgresRoomRepo) -> None:
        await arrive_all(repo, *[f"whatsapp-{number}" for number in range(30)], channel_id=WHATSAPP)
        await arrive_all(repo, "widget", channel_id=WIDGET)
        plan = a_plan(
            an_agent(ANNE, channels=(WIDGET,)),
            an_agent(BEN, channels=(WHATSAPP,)),
            capacity=1,
        )

        placed = await given(repo, plan, limit=10)

        assert placed == [("whatsapp-0", BEN), ("widget", ANNE)]


@define
class Meddling(LeastLoaded):
    """Resolves a chat, in a transaction of its own, while the pass decides."""

    url: str
    room_id: str

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "update sebastian.chat set state = 'closed', version = version + 1,"
                " closed_at = now(), close_reason = 'resolved' where room_id = %s",
                [self.room_id],
            )
        return super().place(chats, candidates)


class TestAChatThatEndsWhileItIsGiven:
    async def test_gets_no_slot_and_the_others_do(self, repo: PostgresRoomRepo, url: str) -> None:
        await arrive_all(repo, "a", "b", "c")

        placed = await given(repo, a_plan(policy=Meddling(url, "b")), limit=3)

        assert [room_id for room_id, _ in placed] == ["a", "c"]
        told = "select room_id from sebastian.history where move = 'reserve' order by id"
        assert rows(url, told) == [("a",), ("c",)]
        assert rows(url, "select given from sebastian.pass") == [(2,)]

    async def test_leaves_no_trace_of_a_pass_that_gave_nothing(
        self, repo: PostgresRoomRepo, url: str
    ) -> None:
        await arrive(repo, "a")

        assert await given(repo, a_plan(policy=Meddling(url, "a"))) == []

        assert rows(url, "select count(*) from sebastian.pass") == [(0,)]
        assert rows(url, "select count(*) from sebastian.agent") == [(0,)]


async def test_what_a_reservation_says_of_its_chat_is_what_was_written(
    repo: PostgresRoomRepo,
) -> None:
    await arrive(repo, "a", channel_id=WIDGET)

    (reservation,) = await repo.reserve(a_plan(), limit=1)

    assert await chat_of(repo, "a") == reservation.chat
    assert reservation.deadline_at - reservation.chat.changed_at == timedelta(seconds=10)
