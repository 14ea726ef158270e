"""What every journal promises."""

from __future__ import annotations

from datetime import timedelta

from sebastian_adapters.testing.builders import ANNE, BEN, resolved
from sebastian_adapters.testing.contracts.room_repo import (
    AT_ONCE,
    FAR_AHEAD,
    LONG_AGO,
    NO_TIME,
    arrive,
    arrive_all,
    assign_one,
    chat_of,
    end,
    found,
    give_back,
    reserve_one,
    room_of,
    skip,
    told,
    turn_down,
    unknown,
)
from sebastian_core.domain.chat import ChatState, Transition
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.ports.journal import Journal
from sebastian_core.ports.room_repo import RoomRepo


class JournalContract:
    """Inherit it and provide the fixtures `journal` and the `repo` that it tells of."""

    async def test_every_move_writes_one_history_row(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive(repo)
        await give_back(repo, await reserve_one(repo))
        await turn_down(repo, await reserve_one(repo), AT_ONCE)
        await skip(repo, await reserve_one(repo), ANNE)
        await unknown(repo, await reserve_one(repo))
        await found(repo, await chat_of(repo), RoomState.WAITING)
        await repo.hasten(LONG_AGO)
        await assign_one(repo)
        await arrive(repo)
        await end(repo, service_id=9)

        rows = await journal.history(RoomId("room-1"))
        waiting, reserved, assigned = ChatState.WAITING, ChatState.RESERVED, ChatState.ASSIGNED
        assert told(rows) == [
            (Transition.ADMIT, None, waiting),
            (Transition.RESERVE, waiting, reserved),
            (Transition.RELEASE, reserved, waiting),
            (Transition.RESERVE, waiting, reserved),
            (Transition.REFUSE, reserved, waiting),
            (Transition.RESERVE, waiting, reserved),
            (Transition.PASS_OVER, reserved, waiting),
            (Transition.RESERVE, waiting, reserved),
            (Transition.DOUBT, reserved, reserved),
            (Transition.REFUSE, reserved, waiting),
            (Transition.EXPEDITED, waiting, waiting),
            (Transition.RESERVE, waiting, reserved),
            (Transition.CONFIRM, reserved, assigned),
            (Transition.ASK_AGAIN, assigned, assigned),
            (Transition.CLOSE, assigned, ChatState.CLOSED),
            (Transition.ADMIT, None, waiting),
        ]

    async def test_history_names_agent_reservation_reason_and_actor(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive(repo)
        reservation = await reserve_one(repo)
        await give_back(repo, reservation)

        released, reserved, admitted = await journal.history(RoomId("room-1"))

        assert (reserved.agent_id, reserved.reservation_id) == (ANNE, reservation.id)
        assert (released.agent_id, released.reason) == (None, "not sent")
        assert released.details == {"agent": ANNE, "reservation": reservation.id}
        assert {row.actor for row in (released, reserved, admitted)} == {"sebastian"}
        assert {row.chat_id for row in (released, reserved, admitted)} == {reservation.chat.id}
        assert released.at >= reserved.at >= admitted.at

    async def test_history_is_newest_first_and_no_longer_than_asked(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive_all(repo, "a", "b")
        await end(repo, "a")

        assert [row.move for row in await journal.history(RoomId("a"), limit=1)] == [
            Transition.CLOSE
        ]
        newest = [(row.room_id, row.move) for row in await journal.decisions(2)]
        assert newest == [("a", Transition.CLOSE), ("b", Transition.ADMIT)]

    async def test_the_summary_counts_each_kind(self, repo: RoomRepo, journal: Journal) -> None:
        await arrive_all(repo, "assigned", "reserved", "refused")
        await assign_one(repo)
        await reserve_one(repo)
        await turn_down(repo, await reserve_one(repo))
        await arrive(repo, "ready")
        await end(repo, "doubtful")
        await arrive(repo, "doubtful")

        summary = await journal.summary(1)

        assert (summary.waiting, summary.ready, summary.doubtful, summary.stuck) == (3, 1, 1, 1)
        assert (summary.reserved, summary.assigned) == (1, 1)
        assert summary.oldest_arrived_at == (await chat_of(repo, "refused")).arrived_at

    async def test_an_empty_store_sums_up_to_nothing(self, journal: Journal) -> None:
        summary = await journal.summary(5)

        assert (summary.waiting, summary.assigned, summary.oldest_arrived_at) == (0, 0, None)
        assert summary.at.utcoffset() == NO_TIME

    async def test_old_closed_chats_are_forgotten_with_their_history(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive_all(repo, "closed", "live")
        await assign_one(repo)
        await end(repo, "closed", service_id=1)

        kept = await journal.prune(timedelta(hours=1))
        forgotten = await journal.prune(NO_TIME)

        assert (kept, forgotten) == (0, 2)
        assert await journal.history(RoomId("closed")) == []
        assert await repo.rooms([RoomId("closed")]) == {}
        assert len(await journal.history(RoomId("live"))) == 1

    async def test_at_most_one_batch_is_forgotten_at_a_time(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive_all(repo, "a", "b", "c")
        for number, room_id in enumerate("abc"):
            await end(repo, room_id, service_id=number + 1)

        assert [await journal.prune(NO_TIME, batch=2) for _ in range(3)] == [4, 2, 0]

    async def test_a_room_with_a_live_chat_keeps_its_memory(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive(repo)
        await end(repo, service_id=5)
        await arrive(repo, base=resolved(5))

        await journal.prune(NO_TIME)

        room = await room_of(repo)
        assert room.chat is not None
        assert room.closed_service_id == 5

    async def test_the_chats_that_hold_slots_come_agent_by_agent(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive_all(repo, "first", "second", "third", "waits")
        await assign_one(repo, BEN)
        await reserve_one(repo, ANNE)
        await assign_one(repo, BEN)

        held = await journal.held(10)

        shown = [(chat.agent_id, chat.room_id, chat.state) for chat in held]
        assert shown == [
            (ANNE, "second", ChatState.RESERVED),
            (BEN, "first", ChatState.ASSIGNED),
            (BEN, "third", ChatState.ASSIGNED),
        ]
        assert len(await journal.held(2)) == 2

    async def test_arrivals_and_assignments_are_counted_by_minute_with_their_waits(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive_all(repo, "given", "waits")
        reservation = await assign_one(repo)

        minutes = await journal.flow(LONG_AGO)

        assert sum(minute.arrived for minute in minutes) == 2
        assert sum(minute.assigned for minute in minutes) == 1
        row = (await journal.history(RoomId("given")))[0]
        (given,) = [minute for minute in minutes if minute.assigned]
        waited = row.at - reservation.chat.arrived_at
        assert given.mean_wait == given.longest_wait == waited
        assert given.began_at == row.at.replace(second=0, microsecond=0)

    async def test_the_minutes_before_are_not_counted(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive(repo)

        assert await journal.flow(FAR_AHEAD) == []

    async def test_a_place_in_the_line_is_counted_from_its_head(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive_all(repo, "a", "b", "c", "d")
        await assign_one(repo)

        assert await journal.ahead_of(await chat_of(repo, "b")) == 0
        assert await journal.ahead_of(await chat_of(repo, "d")) == 2
