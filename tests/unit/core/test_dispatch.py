"""A dispatch gives what can be given: permits first, oldest first, and nobody beyond capacity."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from attrs import evolve

from sebastian_adapters.memory.platform import Channel
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.chat import ChatState, Transition
from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.policy import Candidate, Placement, Policy, ReadyChat
from sebastian_core.domain.rate_limit import Limits
from sebastian_core.domain.reservation import Reservation
from sebastian_core.usecases.assign import AssignmentOutcome
from tests.unit.core.building import ANNE, BEN, ROOM, a_presence, at
from tests.unit.core.staging import Stage, Worker, no_connection, refusal, throttled, timeout

ROOMS = [RoomId(f"room-{number}") for number in range(1, 10)]


async def a_stage(*rooms: RoomId, agents: Sequence[int] = (ANNE,)) -> Stage:
    """Agents who are online, and rooms that wait, a second apart."""
    stage = Stage()
    for agent_id in agents:
        stage.agent(type(ANNE)(agent_id))
    for room_id in rooms:
        await stage.arrive(room_id)
        stage.clock.advance(1)
    return stage


async def a_worker(stage: Stage, **parts: object) -> Worker:
    worker = stage.worker(**parts)  # type: ignore[arg-type]
    await worker.refresh_agents()
    return worker


class TestADispatch:
    async def test_gives_the_oldest_chats_up_to_the_capacity(self) -> None:
        stage = await a_stage(*ROOMS[:5])
        worker = await a_worker(stage)

        ended = await stage.dispatch(worker)

        assert [each.reservation.chat.room_id for each in ended] == ROOMS[:3]
        assert {each.ending for each in ended} == {AssignmentOutcome.ASSIGNED}
        assert stage.platform.waiting_rooms() == ROOMS[3:5]

    async def test_spreads_chats_over_the_agents(self) -> None:
        stage = await a_stage(*ROOMS[:4], agents=(ANNE, BEN))
        worker = await a_worker(stage)

        await stage.dispatch(worker)

        assert stage.platform.loads() == {ANNE: 2, BEN: 2}

    async def test_cannot_give_anything_before_agents_were_read(self) -> None:
        stage = await a_stage(ROOM)
        worker = stage.worker()

        assert await stage.dispatch(worker) == []
        assert stage.faults.calls == []

    async def test_cannot_give_to_somebody_offline_full_or_paused(self) -> None:
        stage = await a_stage(ROOM, agents=(ANNE, BEN))
        stage.platform.set_online(BEN, online=False)
        worker = await a_worker(stage)
        await stage.agent_settings.set_agent(
            ANNE, lambda setting: evolve(setting, paused=True), actor="a person"
        )

        assert await stage.dispatch(worker) == []

    async def test_counts_a_lowered_capacity_from_the_next_pass_on(self) -> None:
        stage = await a_stage(*ROOMS[:2])
        worker = await a_worker(stage)
        await stage.dispatch(worker)
        await stage.agent_settings.set_agent(
            ANNE, lambda setting: evolve(setting, capacity=1), actor="a person"
        )
        await stage.arrive(ROOMS[2])
        await stage.resolve(ROOMS[0])

        assert await stage.dispatch(worker) == []

    async def test_gives_the_slot_of_a_resolved_chat_to_the_next_in_line(self) -> None:
        stage = await a_stage(*ROOMS[:4])
        worker = await a_worker(stage)
        await stage.dispatch(worker)

        await stage.resolve(ROOMS[1])
        (ended,) = await stage.dispatch(worker)

        assert ended.reservation.chat.room_id == ROOMS[3]

    async def test_an_unplaceable_chat_hides_nobody(self) -> None:
        stage = await a_stage(agents=())
        stage.agent(ANNE, channel=Channel(id=1))
        stage.platform.customer_message(ROOMS[0], channel=Channel(id=2))
        worker = await a_worker(stage)
        await worker.reconcile()
        stage.platform.customer_message(ROOMS[1], channel=Channel(id=1))
        await worker.reconcile()

        (ended,) = await stage.dispatch(worker)

        assert ended.reservation.chat.room_id == ROOMS[1]

    async def test_a_room_that_is_always_refused_holds_up_nobody(self) -> None:
        stage = await a_stage(*ROOMS[:2])
        worker = await a_worker(stage, capacities=CapacityRules(default=1))
        worker.client.poisoned[ROOMS[0]] = refusal

        endings = [each.ending for each in await stage.dispatch(worker)]
        endings += [each.ending for each in await stage.dispatch(worker)]

        assert endings == [AssignmentOutcome.REFUSED, AssignmentOutcome.ASSIGNED]

    async def test_prefers_another_agent_for_a_chat_that_was_refused(self) -> None:
        stage = await a_stage(ROOM, agents=(ANNE, BEN))
        worker = await a_worker(stage)
        stage.faults.before("assign", refusal())
        (first,) = await stage.dispatch(worker)
        stage.clock.advance(2)

        (second,) = await stage.dispatch(worker)

        assert (first.reservation.agent_id, second.reservation.agent_id) == (ANNE, BEN)

    async def test_tells_the_history_how_the_agent_stood(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage)

        await stage.dispatch(worker)

        rows = await stage.journal.history(ROOM)
        (reserved,) = [row for row in rows if row.move is Transition.RESERVE]
        assert (reserved.details["load"], reserved.details["capacity"]) == (0, 3)


class TestPresenceWithoutAReadingPerCall:
    async def test_counts_for_half_a_minute(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage, verify=False)
        stage.clock.advance(30)

        assert len(await stage.dispatch(worker)) == 1

    async def test_does_not_count_any_longer(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage, verify=False)
        stage.clock.advance(30.1)

        assert await stage.dispatch(worker) == []

    async def test_counts_at_any_age_where_every_call_makes_its_own(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage)
        stage.clock.advance(3600)

        assert len(await stage.dispatch(worker)) == 1


class TestPermits:
    async def test_are_taken_before_chats_are_reserved(self) -> None:
        stage = await a_stage(*ROOMS[:3])
        worker = await a_worker(stage, limits=Limits(in_flight=2))

        reserved = await worker.dispatch()

        assert reserved == 2
        summary = await stage.journal.summary(5)
        assert (summary.reserved, summary.waiting) == (2, 1)
        assert await worker.dispatch.finish(10) == 0

    async def test_come_back_as_assignments_end(self) -> None:
        stage = await a_stage(*ROOMS[:3])
        worker = await a_worker(stage, limits=Limits(in_flight=1))

        given = [len(await stage.dispatch(worker)) for _ in range(4)]

        assert given == [1, 1, 1, 0]
        assert worker.breaker.permits.in_flight == 0

    async def test_that_were_not_needed_are_given_back(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage, limits=Limits(rate=1.0, burst=20))

        await stage.dispatch(worker)

        assert worker.breaker.permits._calls.tokens == pytest.approx(17)

    async def test_that_were_left_over_spare_another_pass(self) -> None:
        passes = []

        class CountingRoomRepo(InMemoryRoomRepo):
            async def reserve(self, plan: Matcher, *, limit: int) -> tuple[Reservation, ...]:
                passes.append(limit)
                return await super().reserve(plan, limit=limit)

        stage = Stage(room_repo=CountingRoomRepo)
        stage.agent(ANNE)
        for room_id in ROOMS[:3]:
            await stage.arrive(room_id)
        worker = await a_worker(stage)

        assert await worker.dispatch() == 3
        assert len(passes) == 1
        assert await worker.dispatch.finish(10) == 0

    async def test_are_given_back_where_the_database_is_away(self) -> None:
        class AwayRoomRepo(InMemoryRoomRepo):
            async def reserve(self, plan: Matcher, *, limit: int) -> tuple[Reservation, ...]:
                raise StoreUnavailable("PostgreSQL", "it is away")

        stage = Stage(room_repo=AwayRoomRepo)
        worker = await a_worker(stage)

        with pytest.raises(StoreUnavailable):
            await worker.dispatch()

        assert worker.breaker.permits.in_flight == 0

    async def test_are_not_given_while_the_platform_throttles_us(self) -> None:
        stage = await a_stage(*ROOMS[:2])
        worker = await a_worker(stage)
        stage.faults.before("assign", throttled(7))
        await stage.dispatch(worker)
        calls = len(stage.faults.calls)
        stage.clock.advance(6.9)

        assert await stage.dispatch(worker) == []
        assert len(stage.faults.calls) == calls
        stage.clock.advance(0.1)
        assert await stage.dispatch(worker) != []

    async def test_tell_when_another_look_makes_sense(self) -> None:
        stage = await a_stage(*ROOMS[:3])
        worker = await a_worker(stage, limits=Limits(rate=1.0, burst=5))
        assert worker.dispatch.seconds_until_permit() is None

        await stage.dispatch(worker)

        assert worker.dispatch.seconds_until_permit() == pytest.approx(2.0)

    async def test_leave_the_duties_their_share_while_chats_are_given(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage)

        await stage.dispatch(worker)
        busy = worker.breaker.permits.busy
        await stage.dispatch(worker)

        assert (busy, worker.breaker.permits.busy) == (True, False)


class TestAnOutage:
    async def test_costs_a_chat_neither_its_place_nor_a_refusal(self) -> None:
        stage = await a_stage(*ROOMS[:2])
        worker = await a_worker(stage)
        stage.faults.always = {"eligible_agents": no_connection, "account": no_connection}
        await stage.dispatch(worker)
        stage.faults.always = {}
        stage.clock.advance(5)
        assert await worker.breaker.probe_if_due() is not None

        ended = await stage.dispatch(worker)

        assert [each.reservation.chat.room_id for each in ended] == ROOMS[:2]
        assert {each.reservation.chat.refusals for each in ended} == {0}

    async def test_sends_nothing_while_it_lasts(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage)
        stage.faults.before("eligible_agents", no_connection())
        await stage.dispatch(worker)
        stage.faults.calls.clear()

        for _ in range(5):
            await stage.dispatch(worker)
            stage.clock.advance(1)

        assert stage.faults.calls == []


class TestSeveralDispatches:
    async def test_never_book_an_agent_twice(self) -> None:
        stage = await a_stage(*ROOMS, agents=(ANNE, BEN))
        workers = [await a_worker(stage) for _ in range(5)]

        await asyncio.gather(*(stage.dispatch(worker) for worker in workers))

        assert stage.platform.loads() == {ANNE: 3, BEN: 3}
        assert len(stage.platform.waiting_rooms()) == 3

    async def test_never_give_a_chat_twice(self) -> None:
        stage = await a_stage(*ROOMS, agents=(ANNE, BEN))
        workers = [await a_worker(stage) for _ in range(5)]

        await asyncio.gather(*(stage.dispatch(worker) for worker in workers for _ in range(3)))

        given = Counter(each.reservation.chat.id for worker in workers for each in worker.ended)
        assert set(given.values()) == {1}

    async def test_of_one_process_do_not_overlap(self) -> None:
        stage = await a_stage(*ROOMS)
        worker = await a_worker(stage)

        reserved = await asyncio.gather(*(worker.dispatch() for _ in range(4)))
        await worker.dispatch.finish(10)

        assert sorted(reserved) == [0, 0, 0, 3]


class TestFinishing:
    async def test_waits_for_the_calls_under_way(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage)
        await worker.dispatch()
        assert worker.dispatch.under_way == 1

        assert await worker.dispatch.finish(10) == 0
        assert (await stage.chat(ROOM)).state is ChatState.ASSIGNED

    async def test_tells_how_many_did_not_end_in_time(self) -> None:
        stage = await a_stage(ROOM)
        worker = await a_worker(stage)
        released = asyncio.Event()

        async def hang(_: str) -> None:
            await released.wait()

        worker.client.before = hang
        await worker.dispatch()

        assert await worker.dispatch.finish(0.01) == 1
        released.set()
        assert await worker.dispatch.finish(10) == 0


async def test_a_policy_of_ones_own_is_asked_and_its_failure_is_told() -> None:
    class Broken(Policy):
        def place(
            self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
        ) -> Sequence[Placement]:
            raise LookupError("region")

    stage = await a_stage(ROOM)
    worker = await a_worker(stage, policy=Broken())
    told: list[Exception] = []
    worker.dispatch._on_plan_refused = told.append

    ended = await stage.dispatch(worker)

    assert len(ended) == 1
    assert [type(error) for error in told] == [LookupError]


async def test_a_chat_of_unknown_end_keeps_its_slot_from_everybody() -> None:
    stage = await a_stage(*ROOMS[:2])
    worker = await a_worker(stage, capacities=CapacityRules(default=1))
    stage.faults.before("assign", timeout(), timeout())
    await stage.dispatch(worker)

    assert await stage.dispatch(worker) == []
    assert (await stage.chat(ROOMS[0])).agent_id == ANNE


async def test_an_agent_seen_offline_by_one_process_is_passed_by_all() -> None:
    stage = await a_stage(ROOM, agents=(ANNE, BEN))
    first, second = await a_worker(stage), await a_worker(stage)
    stage.clock.advance(1)
    stage.platform.set_online(ANNE, online=False)
    await stage.dispatch(first)

    roster = await second.roster.roster()

    assert roster is not None
    assert roster.agents[ANNE] == a_presence(
        ANNE,
        online=False,
        read_at=stage.clock.now(),
        channels=roster.agents[ANNE].channels,
        count=0,
        name=roster.agents[ANNE].name,
    )


async def test_a_chat_that_was_put_off_is_given_when_its_time_has_come() -> None:
    stage = await a_stage(ROOM)
    worker = await a_worker(stage)
    stage.faults.before("assign", refusal())
    await stage.dispatch(worker)
    put_off = await stage.chat(ROOM)
    stage.clock.advance(1.9)
    assert await stage.dispatch(worker) == []

    stage.clock.advance(0.1)

    assert put_off.ready_at == at(3)
    assert len(await stage.dispatch(worker)) == 1


@pytest.mark.parametrize("seconds", [0, 1, 3])
async def test_a_dead_workers_reservation_is_given_anew_after_its_deadline(seconds: int) -> None:
    stage = await a_stage(ROOM)
    dead, alive = await a_worker(stage), await a_worker(stage)
    reservation = await stage.reserve(dead)
    stage.clock.advance(timedelta(seconds=10).total_seconds() + seconds)
    await alive.settle_chat.due()

    (ended,) = await stage.dispatch(alive)

    assert ended.ending is AssignmentOutcome.ASSIGNED
    assert ended.reservation.id != reservation.id
    assert ended.reservation.chat.arrived_at == reservation.chat.arrived_at
