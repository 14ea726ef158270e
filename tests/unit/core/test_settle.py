"""Settling: chats that we are unsure of are read, a few at a time, and none holds up another."""

from __future__ import annotations

import pytest

from sebastian_core.domain.chat import Chat, ChatState, Doubt
from sebastian_core.domain.errors import PlatformRefused
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.in_doubt import Outcome
from sebastian_core.domain.rate_limit import CircuitState
from sebastian_core.usecases.settle import BATCH
from tests.unit.core.building import ANNE, BEN, ROOM, at
from tests.unit.core.staging import Stage, Worker, refusal, server_error, throttled, timeout


class Floor:
    """Anne and Ben are there; a worker that can reserve, assign and settle."""

    def __init__(self, **switches: object) -> None:
        self.stage = Stage(**switches)  # type: ignore[arg-type]
        self.stage.agent(ANNE)
        self.stage.agent(BEN)
        self.worker: Worker = self.stage.worker()
        self.faults = self.stage.faults

    async def given(self, room_id: RoomId = ROOM) -> Chat:
        """A chat that Anne (or whoever is next) was assigned."""
        await self.worker.refresh_agents()
        await self.stage.arrive(room_id)
        await self.stage.dispatch(self.worker)
        return await self.stage.chat(room_id)

    async def reserved(self, room_id: RoomId = ROOM) -> Chat:
        """A chat whose worker died before it sent anything."""
        await self.worker.refresh_agents()
        await self.stage.arrive(room_id)
        return (await self.stage.reserve(self.worker)).chat

    async def settle(self, after_seconds: float) -> Chat | None:
        self.stage.clock.advance(after_seconds)
        await self.worker.settle_chat.due()
        return await self.stage.find_chat(ROOM)

    async def last_reason(self) -> str:
        (last, *_) = await self.stage.journal.history(ROOM)
        return last.reason


class TestAReservationWhoseWorkerDied:
    async def test_is_not_touched_before_its_deadline(self) -> None:
        floor = Floor()
        await floor.reserved()

        chat = await floor.settle(9.9)

        assert chat is not None
        assert chat.state is ChatState.RESERVED
        assert "room" not in floor.faults.calls

    async def test_is_released_from_its_deadline_on_where_nothing_was_sent(self) -> None:
        floor = Floor()
        await floor.reserved()

        chat = await floor.settle(10)

        assert chat is not None
        assert chat.is_ready(at(10))

    async def test_is_confirmed_where_the_call_was_applied(self) -> None:
        floor = Floor()
        chat = await floor.reserved()
        floor.stage.platform.assign(ROOM, chat.agent_id or 0, max_agent=1)

        settled = await floor.settle(10)

        assert settled is not None
        assert (settled.state, settled.agent_id) == (ChatState.ASSIGNED, chat.agent_id)

    async def test_is_closed_where_somebody_else_serves_the_room(self) -> None:
        floor = Floor()
        await floor.reserved()
        floor.stage.platform.assign_by_hand(ROOM, BEN)

        assert await floor.settle(10) is None
        assert await floor.last_reason() == "settled: served elsewhere"


class TestACustomerWhoReturns:
    async def test_is_found_waiting_and_keeps_the_place_where_the_resolve_was_lost(self) -> None:
        floor = Floor()
        old = await floor.given()
        floor.stage.clock.advance(60)
        floor.stage.end(ROOM)
        await floor.stage.arrive(ROOM)

        chat = await floor.settle(0.5)

        assert chat is not None
        assert chat.id != old.id
        assert (chat.arrived_at, chat.is_ready(at(61))) == (at(60), True)

    async def test_who_only_wrote_a_late_message_changes_nothing(self) -> None:
        floor = Floor()
        await floor.given()
        floor.stage.clock.advance(60)
        arrival = floor.stage.message(RoomId("another"))
        assert arrival is not None
        await floor.stage.admit_chat(type(arrival)(room_id=ROOM))

        await floor.settle(0)
        chat = await floor.settle(5)

        assert chat is not None
        assert (chat.state, chat.doubt, chat.asked_again_at) == (ChatState.ASSIGNED, None, None)


class TestARoomThatCannotBeRead:
    async def test_is_put_off_while_the_account_is_well(self) -> None:
        floor = Floor()
        await floor.reserved()
        floor.faults.before("room", server_error())

        chat = await floor.settle(10)

        assert chat is not None
        assert (chat.state, chat.settle_at) == (ChatState.RESERVED, at(15))

    async def test_is_put_off_where_the_platform_refuses_to_show_it(self) -> None:
        floor = Floor()
        chat = await floor.reserved()
        floor.stage.clock.advance(10)
        floor.faults.before("room", refusal())

        assert await floor.worker.settle_chat(chat) is None
        assert (await floor.stage.chat(ROOM)).settle_at == at(15)

    async def test_stays_due_in_an_outage(self) -> None:
        floor = Floor()
        await floor.reserved()
        floor.faults.always = {"room": timeout, "account": timeout}

        chat = await floor.settle(10)

        assert chat is not None
        assert chat.settle_at == at(10)
        assert floor.worker.breaker.standing is CircuitState.OPEN

    async def test_stays_due_while_we_are_throttled(self) -> None:
        floor = Floor()
        await floor.reserved()
        floor.faults.before("room", throttled(3))
        await floor.settle(10)
        floor.faults.calls.clear()

        await floor.settle(2)
        assert floor.faults.calls == []
        chat = await floor.settle(1)

        assert chat is not None
        assert chat.state is ChatState.WAITING

    async def test_holds_up_nobody(self) -> None:
        floor = Floor()
        await floor.reserved()
        await floor.reserved(RoomId("another"))

        def only_first() -> None:
            raise PlatformRefused(400)

        floor.faults.before("room", only_first)
        await floor.settle(10)

        states = [(await floor.stage.chat(room_id)).state for room_id in (ROOM, RoomId("another"))]
        assert sorted(states) == [ChatState.RESERVED, ChatState.WAITING]

    async def test_does_not_make_a_ready_chat_doubtful(self) -> None:
        floor = Floor()
        await floor.stage.arrive(ROOM)
        chat = await floor.stage.chat(ROOM)
        floor.faults.before("room", server_error())

        await floor.worker.settle_chat(chat)

        assert (await floor.stage.chat(ROOM)).is_ready(at(0))


class TestWhatIsDue:
    async def test_is_not_read_while_the_gate_is_closed(self) -> None:
        floor = Floor()
        await floor.reserved()
        floor.worker.breaker.permits.open(CircuitState.OPEN, floor.stage.clock.monotonic())

        await floor.settle(10)

        assert "room" not in floor.faults.calls

    async def test_is_settled_in_batches(self) -> None:
        floor = Floor()
        for number in range(BATCH + 1):
            room_id = RoomId(f"room-{number}")
            await floor.stage.arrive(room_id)
            await floor.stage.resolve(room_id)
            arrival = floor.stage.message(room_id)
            assert arrival is not None
            await floor.stage.admit_chat(type(arrival)(room_id=room_id))
        floor.stage.clock.advance(5)

        looked_at = [await floor.worker.settle_chat.due() for _ in range(3)]

        assert looked_at == [BATCH, 1, 0]

    async def test_rings_where_something_changed(self) -> None:
        floor = Floor()
        await floor.reserved()
        await floor.stage.job_queue.wait(0)

        await floor.settle(10)

        assert await floor.stage.job_queue.wait(0.01)

    async def test_does_not_ring_where_it_was_too_early(self) -> None:
        floor = Floor()
        chat = await floor.reserved()
        await floor.stage.job_queue.wait(0.01)
        floor.stage.clock.advance(2)

        assert await floor.worker.settle_chat(chat) is Outcome.TOO_EARLY
        assert not await floor.stage.job_queue.wait(0)


@pytest.mark.parametrize("lag", [0.0, 4.9])
async def test_an_applied_call_is_never_given_back_however_late_the_platform_shows_it(
    lag: float,
) -> None:
    floor = Floor(rooms_lag_seconds=lag, same_agent_twice=400)
    await floor.worker.refresh_agents()
    await floor.stage.arrive(ROOM)
    floor.faults.after("assign", timeout())
    await floor.stage.dispatch(floor.worker)
    assert (await floor.stage.chat(ROOM)).doubt is Doubt.UNKNOWN_ANSWER

    for _ in range(20):
        await floor.settle(0.5)

    chat = await floor.stage.chat(ROOM)
    assert (chat.state, (chat.agent_id,)) == (
        ChatState.ASSIGNED,
        floor.stage.platform.agents_in(ROOM),
    )
