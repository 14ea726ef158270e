"""Reconciling: rooms whose webhook was lost come in, and chats that are over go out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.errors import PlatformUnavailable
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.platform import PlatformRooms, Reading
from sebastian_core.ports.qiscus_client import Pace
from sebastian_core.usecases.reconcile import Reconciled
from tests.unit.core.building import ANNE, BEN, NOW, ROOM, at
from tests.unit.core.staging import FaultyQiscusClient, Stage, Worker, server_error

ANOTHER = RoomId("another")


class NobodyWroteYet(FaultyQiscusClient):
    """Shows rooms that somebody of ours opened, and no customer has written in."""

    async def waiting_rooms(self, pace: Pace) -> Reading[PlatformRooms]:
        reading = await super().waiting_rooms(pace)
        return evolve(reading, seen=tuple(evolve(r, customer_wrote=False) for r in reading.seen))


class TwoRowsUnreadable(FaultyQiscusClient):
    """Lists two rooms more, which nobody can read."""

    async def waiting_rooms(self, pace: Pace) -> Reading[PlatformRooms]:
        return evolve(await super().waiting_rooms(pace), unreadable=2)


class Floor:
    """Anne and Ben are online; one worker reconciles."""

    def __init__(self, **switches: object) -> None:
        self.stage = Stage(**switches)  # type: ignore[arg-type]
        self.stage.agent(ANNE)
        self.stage.agent(BEN)
        self.worker: Worker = self.stage.worker()

    async def reconcile(self, after_seconds: float = 0) -> Reconciled:
        self.stage.clock.advance(after_seconds)
        return await self.worker.reconcile()

    async def given(self) -> None:
        await self.worker.refresh_agents()
        await self.stage.arrive(ROOM)
        await self.stage.dispatch(self.worker)


class TestARoomWhoseWebhookWasLost:
    async def test_is_admitted_with_the_platforms_time(self) -> None:
        floor = Floor()
        floor.stage.message(ROOM)

        found = await floor.reconcile(30)

        chat = await floor.stage.chat(ROOM)
        assert (found.listed, found.admitted) == (1, 1)
        assert (chat.arrived_at, chat.is_ready(at(30))) == (NOW, True)

    async def test_cannot_have_come_before_the_last_listing_that_did_not_show_it(self) -> None:
        floor = Floor(rooms_lag_seconds=4.0)
        floor.stage.message(ROOM)
        await floor.reconcile(1)

        await floor.reconcile(60)

        assert (await floor.stage.chat(ROOM)).arrived_at == at(1)

    async def test_takes_its_place_before_those_who_came_later(self) -> None:
        floor = Floor()
        floor.stage.message(ROOM)
        floor.stage.clock.advance(10)
        await floor.stage.arrive(ANOTHER)
        await floor.reconcile(20)

        line = await floor.stage.room_repo.waiting(10)

        assert [chat.room_id for chat in line] == [ROOM, ANOTHER]

    async def test_rings_when_it_is_admitted(self) -> None:
        floor = Floor()
        floor.stage.message(ROOM)

        await floor.reconcile(30)

        assert await floor.stage.job_queue.wait(0.01)

    async def test_is_counted_but_not_admitted_where_it_is_too_old(self) -> None:
        floor = Floor()
        floor.stage.message(ROOM)
        floor.stage.clock.advance(timedelta(hours=25).total_seconds())

        found = await floor.reconcile()

        assert (found.admitted, found.too_old) == (0, 1)
        assert await floor.stage.find_chat(ROOM) is None

    async def test_is_counted_but_not_admitted_before_the_customer_has_written(self) -> None:
        floor = Floor()
        floor.stage.message(ROOM)
        floor.worker = floor.stage.worker(client=NobodyWroteYet)

        found = await floor.reconcile(30)

        assert (found.listed, found.admitted, found.without_message) == (1, 0, 1)
        assert await floor.stage.find_chat(ROOM) is None

    async def test_is_admitted_beside_rows_that_cannot_be_read_which_are_counted(self) -> None:
        floor = Floor()
        floor.stage.message(ROOM)
        floor.worker = floor.stage.worker(client=TwoRowsUnreadable)

        found = await floor.reconcile(30)

        assert (found.admitted, found.unreadable) == (1, 2)

    async def test_is_left_alone_where_we_know_it_already(self) -> None:
        floor = Floor()
        await floor.stage.arrive(ROOM)

        found = await floor.reconcile(30)

        assert found == Reconciled(listed=1)

    async def test_is_left_alone_where_we_closed_it_just_now(self) -> None:
        floor = Floor(rooms_lag_seconds=4.0)
        await floor.stage.arrive(ROOM)
        floor.stage.clock.advance(30)
        await floor.stage.resolve(ROOM)

        found = await floor.reconcile(1)

        assert (found.listed, found.admitted) == (1, 0)
        assert (await floor.reconcile(30)).listed == 0


class TestAChatWhoseResolveWasLost:
    async def test_is_closed_and_the_next_one_opened_where_the_room_waits_again(self) -> None:
        floor = Floor()
        await floor.given()
        old = await floor.stage.chat(ROOM)
        floor.stage.clock.advance(60)
        floor.stage.end(ROOM)
        floor.stage.message(ROOM)

        found = await floor.reconcile(10)

        chat = await floor.stage.chat(ROOM)
        assert found.settled == 1
        assert (chat.id != old.id, chat.state) == (True, ChatState.WAITING)

    async def test_is_believed_while_the_platform_may_lag(self) -> None:
        floor = Floor(rooms_lag_seconds=4.0)
        await floor.given()

        found = await floor.reconcile(2)

        assert found.settled == 0
        assert (await floor.stage.chat(ROOM)).state is ChatState.ASSIGNED

    async def test_is_closed_where_it_waited_in_our_line(self) -> None:
        floor = Floor()
        await floor.stage.arrive(ROOM)
        floor.stage.clock.advance(30)
        floor.stage.end(ROOM)

        found = await floor.reconcile(30)

        assert found.settled == 1
        assert await floor.stage.find_chat(ROOM) is None

    async def test_is_closed_where_somebody_took_it_out_of_our_line(self) -> None:
        floor = Floor()
        await floor.stage.arrive(ROOM)
        floor.stage.platform.assign_by_hand(ROOM, BEN)

        found = await floor.reconcile(30)

        assert found.settled == 1
        (last, *_) = await floor.stage.journal.history(ROOM)
        assert last.reason == "settled: served elsewhere"


class TestAListing:
    async def test_that_lacks_a_chat_which_came_just_now_proves_nothing(self) -> None:
        floor = Floor(rooms_lag_seconds=4.0)
        await floor.stage.arrive(ROOM)

        found = await floor.reconcile(2)

        assert found == Reconciled()
        assert (await floor.stage.chat(ROOM)).is_ready(at(2))

    async def test_that_fails_changes_nothing(self) -> None:
        floor = Floor()
        floor.stage.message(ROOM)
        floor.stage.faults.before("waiting_rooms", server_error())

        with pytest.raises(PlatformUnavailable):
            await floor.reconcile(30)

        assert await floor.stage.find_chat(ROOM) is None

    async def test_whose_missing_room_cannot_be_read_leaves_that_chat_ready(self) -> None:
        floor = Floor()
        await floor.stage.arrive(ROOM)
        floor.stage.platform.assign_by_hand(ROOM, BEN)
        floor.stage.faults.before("room", server_error())

        await floor.reconcile(30)

        chat = await floor.stage.chat(ROOM)
        assert chat.is_ready(at(30))
        await floor.reconcile(60)
        assert await floor.stage.find_chat(ROOM) is None

    async def test_is_cleaned_of_rooms_that_do_not_wait(self) -> None:
        floor = Floor(unclean_rows=10, unclean_seconds=60.0)
        floor.stage.message(ROOM)
        floor.stage.platform.assign_by_hand(ROOM, BEN)

        assert (await floor.reconcile(30)).listed == 0
