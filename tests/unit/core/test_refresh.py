"""Refreshing: the roster stays fresh, and counts raise suspicion that listings settle."""

from __future__ import annotations

import pytest
from attrs import evolve

from sebastian_core.domain.chat import ChatState, CloseReason, Doubt
from sebastian_core.domain.errors import PlatformUnavailable
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.platform import Presences, Reading
from sebastian_core.domain.room import AgentRecheck, Change, Decided, Room
from sebastian_core.ports.qiscus_client import Pace
from sebastian_core.usecases.refresh import UNCOUNTED_AT_ONCE
from tests.unit.core.building import ANNE, BEN, CLEO, ROOM, at
from tests.unit.core.staging import FaultyQiscusClient, Stage, refusal, server_error

ROOMS = [RoomId(f"room-{number}") for number in range(1, 9)]


class OneAgentUnreadable(FaultyQiscusClient):
    """Lists an agent more, whom nobody can read."""

    async def agents(self, pace: Pace) -> Reading[Presences]:
        return evolve(await super().agents(pace), unreadable=1)


class Floor:
    """Anne and Ben are online; one worker refreshes."""

    def __init__(self, **switches: object) -> None:
        self.stage = Stage(**switches)  # type: ignore[arg-type]
        self.stage.agent(ANNE)
        self.stage.agent(BEN)
        self.worker = self.stage.worker()
        self.faults = self.stage.faults

    async def refresh(self, after_seconds: float = 0) -> dict[str, int]:
        self.stage.clock.advance(after_seconds)
        return dict((await self.worker.refresh_agents()).findings)

    async def given(self, room_id: RoomId = ROOM) -> None:
        await self.worker.refresh_agents()
        await self.stage.arrive(room_id)
        await self.stage.dispatch(self.worker)

    def listings(self) -> int:
        return self.faults.calls.count("rooms_of")

    async def is_held_by(self, room_id: RoomId = ROOM) -> AgentId | None:
        chat = await self.stage.find_chat(room_id)
        return chat.agent_id if chat else None


class TestTheRoster:
    async def test_counts_agents_who_cannot_be_read_beside_those_who_can(self) -> None:
        floor = Floor()
        floor.worker = floor.stage.worker(client=OneAgentUnreadable)

        refreshed = await floor.worker.refresh_agents()

        assert (refreshed.agents, refreshed.findings) == (2, {"unreadable": 1})

    async def test_is_read_whole_with_agents_only(self) -> None:
        floor = Floor()
        floor.stage.platform.add_agent(type_=1)
        floor.stage.platform.set_online(BEN, online=False)

        refreshed = await floor.worker.refresh_agents()

        roster = await floor.stage.agent_store.roster()
        assert roster is not None
        assert set(roster.agents) == {ANNE, BEN}
        assert (refreshed.agents, refreshed.online, refreshed.taken_in) == (2, 1, True)

    async def test_is_not_touched_by_a_listing_that_broke_off(self) -> None:
        floor = Floor()
        await floor.refresh()
        floor.stage.platform.set_online(ANNE, online=False)
        floor.faults.before("agents", server_error())
        floor.stage.clock.advance(10)

        with pytest.raises(PlatformUnavailable):
            await floor.worker.refresh_agents()

        roster = await floor.stage.agent_store.roster()
        assert roster is not None
        assert roster.agents[ANNE].online

    async def test_rings_when_somebody_came_online(self) -> None:
        floor = Floor()
        floor.stage.platform.set_online(BEN, online=False)
        await floor.refresh()
        await floor.stage.job_queue.wait(0.01)
        await floor.refresh(10)
        assert not await floor.stage.job_queue.wait(0)

        floor.stage.platform.set_online(BEN, online=True)
        await floor.refresh(10)

        assert await floor.stage.job_queue.wait(0.01)


class TestARoomThatSomebodyElseGave:
    async def test_is_adopted_and_counts_as_load(self) -> None:
        floor = Floor()
        await floor.refresh()
        floor.stage.message(ROOM)
        floor.stage.platform.assign_by_hand(ROOM, ANNE)

        found = await floor.refresh(10)

        chat = await floor.stage.chat(ROOM)
        assert found == {"adopted": 1}
        assert (chat.state, chat.agent_id, chat.adopted) == (ChatState.ASSIGNED, ANNE, True)
        assert (await floor.stage.agent_settings.agent_loads()).loads == {ANNE: 1}

    async def test_is_converted_where_it_waits_in_our_line(self) -> None:
        floor = Floor()
        await floor.stage.arrive(ROOM)
        floor.stage.platform.assign_by_hand(ROOM, ANNE)

        found = await floor.refresh(10)

        assert found == {"converted": 1}
        assert await floor.is_held_by() == ANNE

    async def test_moves_with_it_where_somebody_handed_it_over(self) -> None:
        floor = Floor()
        await floor.given()
        floor.stage.clock.advance(10)
        floor.stage.platform.move(ROOM, ANNE, BEN)

        await floor.refresh()
        await floor.refresh(10)

        assert await floor.is_held_by() == BEN

    async def test_stays_with_the_first_of_two_agents_in_it(self) -> None:
        floor = Floor()
        await floor.given()
        floor.stage.clock.advance(10)
        floor.stage.platform.assign_by_hand(ROOM, BEN)

        found = await floor.refresh(10)

        assert found == {}
        assert await floor.is_held_by() == ANNE

    async def test_is_not_adopted_right_after_we_closed_it(self) -> None:
        floor = Floor(rooms_lag_seconds=4.0)
        await floor.given()
        floor.stage.clock.advance(60)
        await floor.stage.resolve(ROOM)

        found = await floor.refresh(1)

        assert "adopted" not in found
        assert await floor.stage.find_chat(ROOM) is None


class TestAChatThatTheListingLacks:
    async def test_is_suspected_and_closed_once_it_is_settled(self) -> None:
        floor = Floor()
        await floor.given()
        floor.stage.clock.advance(60)
        floor.stage.end(ROOM)

        found = await floor.refresh(10)

        assert found == {"suspect": 1}
        assert (await floor.stage.chat(ROOM)).doubt is Doubt.NOT_LISTED
        await floor.worker.settle_chat.due()
        assert await floor.stage.find_chat(ROOM) is None
        (last, *_) = await floor.stage.journal.history(ROOM)
        assert last.reason == f"settled: {CloseReason.RESOLVED}"

    async def test_is_believed_while_the_platform_may_lag(self) -> None:
        floor = Floor(rooms_lag_seconds=4.0)
        await floor.given()

        found = await floor.refresh(2)

        assert found == {}
        assert (await floor.stage.chat(ROOM)).doubt is None

    async def test_is_found_although_a_room_given_by_hand_hides_it_from_the_count(self) -> None:
        floor = Floor()
        await floor.given()
        floor.stage.clock.advance(60)
        floor.stage.end(ROOM)
        floor.stage.message(ROOMS[0])
        floor.stage.platform.assign_by_hand(ROOMS[0], ANNE)

        found = [await floor.refresh(10) for _ in range(2)]

        assert {"adopted": 1, "suspect": 1} in found


class TestADifferenceThatAListingExplained:
    async def test_is_looked_at_ever_less_often(self) -> None:
        floor = Floor()
        await floor.given()
        floor.stage.clock.advance(60)
        floor.stage.platform.assign_by_hand(ROOM, BEN)
        listings = []

        for _ in range(16):
            floor.faults.calls.clear()
            await floor.refresh(10)
            listings.append(floor.listings())

        assert sum(listings[8:]) < sum(listings[:8])

    async def test_is_looked_at_at_once_when_the_count_changes(self) -> None:
        floor = Floor()
        await floor.refresh()
        for room_id in ROOMS[:2]:
            floor.stage.message(room_id)
            floor.stage.platform.assign_by_hand(room_id, ANNE)
            await floor.refresh(10)

        assert (await floor.stage.agent_settings.agent_loads()).loads == {ANNE: 2}


class TestWithoutCounts:
    async def test_agents_are_listed_in_turn(self) -> None:
        floor = Floor(counts_absent=True)
        agents = [ANNE, BEN, *(AgentId(number) for number in range(100, 110))]
        for agent_id in agents[2:]:
            floor.stage.agent(agent_id)
        for agent_id, room_id in zip(agents, map(RoomId, map(str, range(12))), strict=True):
            floor.stage.message(room_id)
            floor.stage.platform.assign_by_hand(room_id, agent_id)

        adopted = [(await floor.refresh(10)).get("adopted", 0) for _ in range(3)]

        assert adopted == [UNCOUNTED_AT_ONCE, UNCOUNTED_AT_ONCE, 2]

    async def test_an_agent_who_is_watched_is_listed_when_it_is_time(self) -> None:
        floor = Floor()
        await floor.refresh()
        await _watch(floor.stage, BEN, seconds=5)
        floor.faults.calls.clear()

        await floor.refresh(4.9)
        assert floor.listings() == 0
        await floor.refresh(0.1)
        assert floor.listings() == 1


async def _watch(stage: Stage, agent_id: AgentId, seconds: float) -> None:
    watch = AgentRecheck(agent_id=agent_id, list_at=at(seconds))
    await stage.room_repo.decide(ROOM, lambda room, now: Decided(None, watches=(watch,)))


class TestAPlatformThatIgnoresWhomWeAskFor:
    async def test_is_noticed_and_nothing_is_adopted_from_it(self) -> None:
        floor = Floor(user_ids_honoured=False)
        floor.stage.message(ROOM)
        floor.stage.platform.assign_by_hand(ROOM, ANNE)

        found = await floor.refresh(10)

        assert found == {}
        assert floor.worker.refresh_agents.honours_user_ids is False
        assert await floor.stage.find_chat(ROOM) is None

    async def test_is_not_suspected_where_it_listens(self) -> None:
        floor = Floor()
        floor.stage.message(ROOM)
        floor.stage.platform.assign_by_hand(ROOM, ANNE)

        await floor.refresh(10)

        assert floor.worker.refresh_agents.honours_user_ids is True


class TestAListingThatFails:
    async def adopting_two(self) -> Floor:
        floor = Floor()
        await floor.refresh()
        for agent_id, room_id in ((ANNE, ROOMS[0]), (BEN, ROOMS[1])):
            floor.stage.message(room_id)
            floor.stage.platform.assign_by_hand(room_id, agent_id)
        floor.stage.clock.advance(10)
        return floor

    @pytest.mark.parametrize("failure", [refusal, server_error])
    async def test_for_one_agent_holds_up_nobody(self, failure: type[Exception]) -> None:
        floor = await self.adopting_two()
        floor.faults.before("rooms_of", failure())  # type: ignore[arg-type]

        found = await floor.refresh()

        assert found == {"not listed": 1, "adopted": 1}

    async def test_in_an_outage_is_made_up_for_at_the_next_refresh(self) -> None:
        floor = await self.adopting_two()
        floor.faults.before("rooms_of", server_error())
        floor.faults.before("account", server_error())
        with pytest.raises(PlatformUnavailable):
            await floor.refresh()
        floor.stage.clock.advance(1)
        await floor.worker.breaker.probe_if_due()

        found = await floor.refresh(10)

        assert found == {"adopted": 2}

    async def test_cannot_lose_the_wish_to_list_an_agent(self) -> None:
        floor = Floor()
        await floor.refresh()
        await _watch(floor.stage, BEN, seconds=5)
        floor.stage.clock.advance(5)
        floor.faults.before("rooms_of", server_error())
        floor.faults.before("account", server_error())
        with pytest.raises(PlatformUnavailable):
            await floor.refresh()
        floor.stage.clock.advance(1)
        await floor.worker.breaker.probe_if_due()
        floor.faults.calls.clear()

        await floor.refresh(1)

        assert floor.listings() == 1


async def test_an_agent_whose_login_is_gone_does_not_keep_chats_for_ever() -> None:
    floor = Floor()
    await floor.given()
    floor.stage.agent(CLEO)
    floor.stage.clock.advance(60)
    floor.stage.platform.delete_agent(ANNE)

    await floor.refresh(10)
    await floor.worker.settle_chat.due()

    chat = await floor.stage.chat(ROOM)
    assert chat.state is ChatState.WAITING


def test_a_decision_that_only_watches_changes_no_chat() -> None:
    decided: Decided[None] = Decided(None, watches=(AgentRecheck(agent_id=ANNE, list_at=at(0)),))

    changes: tuple[Change, ...] = decided.changes
    room: Room | None = decided.room
    assert (changes, room) == ((), None)
