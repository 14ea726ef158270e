"""One reservation carried to the platform: every end of the call has one consequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from attrs import evolve

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.platform import Channel
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_core.domain.chat import Chat, ChatState, CloseReason, Doubt, Needs
from sebastian_core.domain.errors import Fault, PlatformUnavailable, StoreUnavailable
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.rate_limit import CircuitState, Limits
from sebastian_core.domain.reservation import Reservation, release
from sebastian_core.domain.room import Decided, Decision
from sebastian_core.usecases import assign as module
from sebastian_core.usecases.assign import AssignmentOutcome, AssignmentResult
from tests.unit.core.building import ANNE, BEN, NOW, ROOM, RULES, at
from tests.unit.core.staging import (
    Failure,
    Stage,
    Worker,
    no_connection,
    refusal,
    server_error,
    throttled,
    timeout,
)

T = TypeVar("T")

UNKNOWN_ENDS: list[Callable[[], Failure]] = [
    timeout,
    server_error,
    lambda: PlatformUnavailable(Fault.BROKEN),
    lambda: PlatformUnavailable(Fault.UNREADABLE),
]


class Call:
    """One chat of ROOM, reserved for Anne, before its assignment is carried out."""

    def __init__(self, *, verify: bool = True, room_repo: type[InMemoryRoomRepo] | None = None):
        self.stage = Stage(room_repo=room_repo or InMemoryRoomRepo)
        self.stage.agent(ANNE)
        self.worker: Worker = self.stage.worker(verify=verify)
        self.faults = self.stage.faults

    async def reserved(self) -> Reservation:
        await self.worker.refresh_agents()
        await self.stage.arrive(ROOM)
        reservation = await self.stage.reserve(self.worker)
        self.faults.calls.clear()
        return reservation

    async def carried_out(self, *, reserving_from: float = 0.0) -> AssignmentResult:
        reservation = await self.reserved()
        return await self.worker.assign_chat(reservation, reserving_from)

    async def chat(self) -> Chat:
        return await self.stage.chat(ROOM)

    async def is_online(self) -> bool:
        roster = await self.stage.agent_store.roster()
        assert roster is not None
        return roster.agents[ANNE].online

    async def settle(self, after_seconds: float = 5) -> Chat | None:
        self.stage.clock.advance(after_seconds)
        await self.worker.settle_chat.due()
        return await self.stage.find_chat(ROOM)

    def served_by(self) -> tuple[int, ...]:
        return self.stage.platform.agents_in(ROOM)


class TestAgentsAreReadBeforeTheyAreGivenAChat:
    async def test_an_agent_who_is_online_and_eligible_gets_it(self) -> None:
        call = Call()

        ended = await call.carried_out()

        assert ended.ending is AssignmentOutcome.ASSIGNED
        assert call.faults.calls == ["eligible_agents", "assign"]
        assert call.served_by() == (ANNE,)
        assert (await call.chat()).state is ChatState.ASSIGNED

    async def test_an_agent_who_left_does_not_and_is_marked_so(self) -> None:
        call = Call()
        await call.worker.refresh_agents()
        reservation = await call.reserved()
        call.stage.clock.advance(1)
        call.stage.platform.set_online(ANNE, online=False)

        ended = await call.worker.assign_chat(reservation, 0.0)

        assert (ended.ending, ended.is_back_in_line) == (AssignmentOutcome.RELEASED, True)
        assert call.faults.calls == ["eligible_agents"]
        assert not await call.is_online()

    async def test_a_chat_whose_agent_left_keeps_its_place_without_a_refusal(self) -> None:
        call = Call()
        reservation = await call.reserved()
        call.stage.clock.advance(1)
        call.stage.platform.set_online(ANNE, online=False)

        await call.worker.assign_chat(reservation, 0.0)

        chat = await call.chat()
        assert (chat.arrived_at, chat.refusals, chat.is_ready(at(1))) == (NOW, 0, True)

    async def test_an_agent_who_is_not_eligible_for_the_room_is_passed_over(self) -> None:
        call = Call()
        call.stage.agent(BEN, channel=Channel(id=1))
        reservation = await call.reserved()
        call.stage.platform.delete_agent(ANNE)

        ended = await call.worker.assign_chat(reservation, 0.0)

        chat = await call.chat()
        assert (ended.ending, ended.is_back_in_line) == (AssignmentOutcome.PASSED_OVER, True)
        assert chat.needs == Needs(chat.needs.channel_id, frozenset())
        assert (chat.refusals, chat.excluded_until) == (0, at(30))

    async def test_nobody_is_read_where_that_is_switched_off(self) -> None:
        call = Call(verify=False)

        ended = await call.carried_out()

        assert ended.ending is AssignmentOutcome.ASSIGNED
        assert call.faults.calls == ["assign"]


class TestAReadingThatFails:
    """Nothing was sent yet: the chat goes back, and only a bad room is put off."""

    async def test_releases_where_the_account_is_down(self) -> None:
        call = Call()
        call.faults.always = {"eligible_agents": server_error, "account": server_error}

        ended = await call.carried_out()

        assert ended.ending is AssignmentOutcome.RELEASED
        assert call.worker.breaker.standing is CircuitState.OPEN
        assert (await call.chat()).refusals == 0

    async def test_counts_a_refusal_where_only_this_room_fails(self) -> None:
        call = Call()
        call.faults.always = {"eligible_agents": server_error}

        ended = await call.carried_out()

        chat = await call.chat()
        assert (ended.ending, ended.is_back_in_line) == (AssignmentOutcome.REFUSED, False)
        assert (chat.refusals, chat.ready_at) == (1, at(2))
        assert call.worker.breaker.standing is CircuitState.CLOSED

    async def test_looks_at_the_room_where_the_reading_was_refused(self) -> None:
        call = Call()
        call.faults.before("eligible_agents", refusal(404))

        ended = await call.carried_out()

        assert ended.ending is AssignmentOutcome.REFUSED
        assert call.faults.calls == ["eligible_agents", "room"]

    @pytest.mark.parametrize("failure", [no_connection, throttled])
    async def test_releases_without_asking_about_the_account_where_nothing_was_sent(
        self, failure: Callable[[], Failure]
    ) -> None:
        call = Call()
        call.faults.before("eligible_agents", failure())

        ended = await call.carried_out()

        assert ended.ending is AssignmentOutcome.RELEASED
        assert call.faults.calls == ["eligible_agents"]
        assert not call.worker.breaker.may_call()


class TestTimeForTheCall:
    async def test_a_reservation_that_is_too_old_is_released_unsent(self) -> None:
        call = Call()
        reservation = await call.reserved()
        call.stage.clock.advance(4.1)

        ended = await call.worker.assign_chat(reservation, 0.0)

        assert (ended.ending, call.faults.calls) == (AssignmentOutcome.RELEASED, [])
        assert (await call.chat()).is_ready(at(5))

    async def test_a_reservation_that_is_just_young_enough_is_carried_out(self) -> None:
        call = Call()
        reservation = await call.reserved()
        call.stage.clock.advance(4.0)

        assert (
            await call.worker.assign_chat(reservation, 0.0)
        ).ending is AssignmentOutcome.ASSIGNED

    async def test_a_slow_reading_leaves_no_time_to_assign(self) -> None:
        call = Call()
        call.faults.after("eligible_agents", lambda: call.stage.clock.advance(4.1))

        ended = await call.carried_out()

        assert ended.ending is AssignmentOutcome.REFUSED
        assert call.faults.calls == ["eligible_agents"]

    async def test_a_slow_first_try_leaves_no_time_for_a_second(self) -> None:
        call = Call()

        def hang() -> None:
            call.stage.clock.advance(4.1)
            raise timeout()

        call.faults.after("assign", hang)

        ended = await call.carried_out()

        assert ended.ending is AssignmentOutcome.DOUBTED
        assert call.faults.calls.count("assign") == 1

    async def test_is_counted_from_before_the_reservation_was_asked_for(self) -> None:
        call = Call()
        call.stage.clock.advance(4.1)

        ended = await call.carried_out(reserving_from=0.0)

        assert ended.ending is AssignmentOutcome.RELEASED


class TestA2xx:
    async def test_that_names_another_agent_is_settled(self) -> None:
        call = Call()
        call.worker.client.names = BEN

        ended = await call.carried_out()

        chat = await call.chat()
        assert ended.ending is AssignmentOutcome.DOUBTED
        assert (chat.state, chat.doubt) == (ChatState.RESERVED, Doubt.OTHER_AGENT)

    async def test_that_comes_after_the_reservation_was_released_is_evidence(self) -> None:
        call = Call()
        reservation = await call.reserved()

        def forget() -> None:
            call.stage.clock.advance(10)

        call.faults.after("assign", forget)
        await call.stage.room_repo.decide(
            ROOM, lambda room, now: release(reservation, "elsewhere", RULES, room, now)
        )

        ended = await call.worker.assign_chat(reservation, 0.0)

        assert ended.ending is AssignmentOutcome.LOST
        assert (await call.chat()).doubt is Doubt.LATE_SUCCESS
        call.stage.clock.advance(5)
        assert await call.stage.room_repo.take_rechecks(10) == [ANNE]

    async def test_that_comes_after_the_resolve_keeps_the_slot_until_the_room_is_read(self) -> None:
        call = Call()
        reservation = await call.reserved()
        ends = call.stage.end(ROOM)
        await call.stage.resolve_chat(ends)
        call.stage.switch(assign_resolved_room=200)

        ended = await call.worker.assign_chat(reservation, 0.0)

        assert ended.ending is AssignmentOutcome.LOST
        held = await call.stage.chat(ROOM)
        assert (held.state, held.agent_id) == (ChatState.RESERVED, ANNE)
        assert held.doubt is Doubt.RESOLVED_UNSURE


class TestACallThatSurelyWasNotApplied:
    @pytest.mark.parametrize(
        ("failure", "standing"),
        [(no_connection, CircuitState.OPEN), (throttled, CircuitState.CLOSED)],
    )
    async def test_gives_the_chat_back_at_once_with_its_place(
        self, failure: Callable[[], Failure], standing: CircuitState
    ) -> None:
        call = Call()
        call.faults.before("assign", failure())

        ended = await call.carried_out()

        chat = await call.chat()
        assert ended.ending is AssignmentOutcome.RELEASED
        assert (chat.refusals, chat.is_ready(NOW), chat.arrived_at) == (0, True, NOW)
        assert call.worker.breaker.standing is standing
        assert not call.worker.breaker.may_call()

    async def test_is_not_tried_again(self) -> None:
        call = Call()
        call.faults.before("assign", no_connection())

        await call.carried_out()

        assert call.faults.calls.count("assign") == 1


@pytest.mark.parametrize("failure", UNKNOWN_ENDS)
class TestACallOfUnknownEnd:
    async def test_is_tried_once_more_and_a_2xx_confirms(
        self, failure: Callable[[], Failure]
    ) -> None:
        call = Call()
        call.faults.after("assign", failure())

        ended = await call.carried_out()

        assert ended.ending is AssignmentOutcome.ASSIGNED
        assert call.faults.calls == ["eligible_agents", "assign", "assign"]

    async def test_keeps_its_slot_where_the_second_try_is_refused(
        self, failure: Callable[[], Failure]
    ) -> None:
        call = Call()
        call.stage.switch(same_agent_twice=400)
        call.faults.after("assign", failure())

        ended = await call.carried_out()

        chat = await call.chat()
        assert ended.ending is AssignmentOutcome.DOUBTED
        assert (chat.state, chat.doubt, chat.refusals) == (
            ChatState.RESERVED,
            Doubt.UNKNOWN_ANSWER,
            0,
        )

    async def test_is_found_served_by_our_agent_and_confirmed(
        self, failure: Callable[[], Failure]
    ) -> None:
        call = Call()
        call.stage.switch(same_agent_twice=400)
        call.faults.after("assign", failure())
        await call.carried_out()

        chat = await call.settle()

        assert chat is not None
        assert (chat.state, chat.agent_id) == (ChatState.ASSIGNED, ANNE)

    async def test_is_found_not_applied_and_counts_as_a_refusal(
        self, failure: Callable[[], Failure]
    ) -> None:
        call = Call()
        call.faults.before("assign", failure(), failure())
        await call.carried_out()

        chat = await call.settle()

        assert chat is not None
        assert (chat.state, chat.refusals, chat.refused_by) == (ChatState.WAITING, 1, ANNE)

    async def test_counts_no_refusal_where_the_account_was_down(
        self, failure: Callable[[], Failure]
    ) -> None:
        call = Call()
        call.faults.before("assign", failure(), failure())
        call.faults.before("account", server_error())
        ended = await call.carried_out()
        assert (ended.ending, (await call.chat()).doubt) == (
            AssignmentOutcome.DOUBTED,
            Doubt.OUTAGE,
        )
        call.stage.clock.advance(1)
        await call.worker.breaker.probe_if_due()

        chat = await call.settle()

        assert chat is not None
        assert (chat.state, chat.refusals) == (ChatState.WAITING, 0)

    async def test_may_not_be_settled_before_the_platform_must_have_caught_up(
        self, failure: Callable[[], Failure]
    ) -> None:
        call = Call()
        call.faults.before("assign", failure(), failure())
        await call.carried_out()

        chat = await call.settle(after_seconds=4.9)

        assert chat is not None
        assert chat.state is ChatState.RESERVED


class TestARefusal:
    async def test_of_a_room_that_waits_puts_the_chat_off(self) -> None:
        call = Call()
        call.faults.before("assign", refusal())

        ended = await call.carried_out()

        chat = await call.chat()
        assert (ended.ending, ended.is_back_in_line) == (AssignmentOutcome.REFUSED, False)
        assert (chat.refusals, chat.refused_by, chat.ready_at) == (1, ANNE, at(2))

    async def test_is_followed_by_one_look_at_the_room_and_none_at_the_account(self) -> None:
        call = Call()
        call.faults.before("assign", refusal())

        await call.carried_out()

        assert call.faults.calls == ["eligible_agents", "assign", "room"]

    async def test_of_a_room_that_is_resolved_ends_the_chat_once_that_is_sure(self) -> None:
        call = Call()
        reservation = await call.reserved()
        call.stage.end(ROOM)

        ended = await call.worker.assign_chat(reservation, 0.0)

        chat = await call.chat()
        assert ended.ending is AssignmentOutcome.DOUBTED
        assert (chat.state, chat.doubt) == (ChatState.WAITING, Doubt.REFUSED_NOT_WAITING)
        assert await call.settle() is None
        (last, *_) = await call.stage.journal.history(ROOM)
        assert last.after is ChatState.CLOSED

    async def test_of_a_room_that_a_person_took_ends_the_chat_as_served_elsewhere(self) -> None:
        call = Call()
        call.stage.agent(BEN)
        reservation = await call.reserved()
        call.stage.platform.assign_by_hand(ROOM, BEN)

        ended = await call.worker.assign_chat(reservation, 0.0)

        assert ended.ending is AssignmentOutcome.DOUBTED
        assert call.served_by() == (BEN,)
        assert await call.settle() is None
        (last, *_) = await call.stage.journal.history(ROOM)
        assert last.reason == f"settled: {CloseReason.SERVED_ELSEWHERE}"

    async def test_of_a_room_that_the_platform_forgot_ends_the_chat_as_gone(self) -> None:
        call = Call()
        reservation = await call.reserved()
        call.stage.platform._rooms._rooms.clear()

        await call.worker.assign_chat(reservation, 0.0)

        assert await call.settle() is None
        (last, *_) = await call.stage.journal.history(ROOM)
        assert last.reason == f"settled: {CloseReason.GONE}"

    async def test_of_a_room_that_cannot_be_read_puts_the_chat_off(self) -> None:
        call = Call()
        call.faults.before("assign", refusal())
        call.faults.before("room", server_error())

        assert (await call.carried_out()).ending is AssignmentOutcome.REFUSED

    async def test_of_a_room_that_cannot_be_read_in_an_outage_counts_nothing(self) -> None:
        call = Call()
        call.faults.before("assign", refusal())
        call.faults.always = {"room": server_error, "account": server_error}

        ended = await call.carried_out()

        assert (ended.ending, (await call.chat()).refusals) == (AssignmentOutcome.RELEASED, 0)

    @pytest.mark.parametrize("status", [401, 403])
    async def test_of_our_credentials_closes_the_gate_and_counts_nothing(self, status: int) -> None:
        call = Call()
        call.faults.before("assign", refusal(status))
        call.faults.before("account", refusal(status))

        ended = await call.carried_out()

        assert (ended.ending, (await call.chat()).refusals) == (AssignmentOutcome.RELEASED, 0)
        assert call.worker.breaker.standing is CircuitState.CREDENTIALS_REFUSED

    @pytest.mark.parametrize("status", [401, 403])
    async def test_that_only_concerns_this_room_does_not_close_the_gate(self, status: int) -> None:
        call = Call()
        call.faults.before("assign", refusal(status))

        ended = await call.carried_out()

        assert (ended.ending, (await call.chat()).refusals) == (AssignmentOutcome.REFUSED, 1)
        assert call.worker.breaker.may_call()


class FlakyRoomRepo(InMemoryRoomRepo):
    """A room repo that is away for the next few decisions, each of which costs time."""

    away = 0
    seconds_lost = 0.0

    async def decide(
        self, room_id: RoomId, decision: Decision[T], *, alters_line: bool = False
    ) -> Decided[T]:
        """Decide, unless away."""
        if self.away:
            self.away -= 1
            assert isinstance(self._record.clock, InMemoryClock)
            self._record.clock.advance(self.seconds_lost)
            raise StoreUnavailable("PostgreSQL", "it is away")
        return await super().decide(room_id, decision, alters_line=alters_line)


class TestADatabaseThatIsAwayAfterTheCall:
    @pytest.fixture(autouse=True)
    def _no_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "WRITE_PAUSE_SECONDS", 0.0)

    async def test_is_told_the_end_when_it_is_back(self) -> None:
        call = Call(room_repo=FlakyRoomRepo)
        reservation = await call.reserved()
        assert isinstance(call.stage.room_repo, FlakyRoomRepo)
        call.stage.room_repo.away = 5

        ended = await call.worker.assign_chat(reservation, 0.0)

        assert ended.ending is AssignmentOutcome.ASSIGNED
        assert (await call.chat()).state is ChatState.ASSIGNED

    async def test_leaves_the_reservation_to_be_settled_where_it_is_away_too_long(self) -> None:
        call = Call(room_repo=FlakyRoomRepo)
        reservation = await call.reserved()
        assert isinstance(call.stage.room_repo, FlakyRoomRepo)
        call.stage.room_repo.away, call.stage.room_repo.seconds_lost = 4, 3.0

        ended = await call.worker.assign_chat(reservation, 0.0)

        assert ended.ending is AssignmentOutcome.LOST
        chat = await call.settle()
        assert chat is not None
        assert (chat.state, chat.agent_id) == (ChatState.ASSIGNED, ANNE)


async def test_the_permit_of_a_second_call_is_paid_for() -> None:
    call = Call()
    call.worker = call.stage.worker(limits=Limits(rate=1.0, burst=4))
    reservation = await call.reserved()
    before = call.worker.breaker.permits._calls.tokens
    call.faults.after("assign", timeout())

    await call.worker.assign_chat(reservation, 0.0)

    assert call.worker.breaker.permits._calls.tokens == before - 1


async def test_a_paused_agent_keeps_the_chat_that_is_on_its_way() -> None:
    call = Call()
    reservation = await call.reserved()
    await call.stage.agent_settings.set_agent(
        ANNE, lambda setting: evolve(setting, paused=True), actor="admin"
    )

    ended = await call.worker.assign_chat(reservation, 0.0)

    assert ended.ending is AssignmentOutcome.ASSIGNED
