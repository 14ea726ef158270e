"""What people may do by hand, and what they may not."""

from __future__ import annotations

import pytest

from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting, CapacityRules
from sebastian_core.domain.chat import Chat, CloseReason, Doubt, Needs, Transition
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import AgentId, ReservationId
from sebastian_core.domain.manual import (
    AssignRequest,
    ManualAssignment,
    ManualOutcome,
    drop,
    hand_over,
    make_ready,
)
from sebastian_core.domain.room import Decided, Room
from sebastian_core.domain.webhooks import Admission, admit, admit_found, resolve
from tests.unit.core.building import (
    ANNE,
    BEN,
    NOW,
    RULES,
    WHATSAPP,
    a_presence,
    a_reserved_chat,
    a_resolution,
    a_room,
    a_roster,
    a_waiting_chat,
    an_arrival,
    an_assigned_chat,
    at,
)
from tests.unit.core.building import agent_loads as a_staffing
from tests.unit.core.explaining_floor import ANNE as FLOOR_ANNE
from tests.unit.core.explaining_floor import ROOM as FLOOR_ROOM
from tests.unit.core.explaining_floor import Floor

EVE = "cli:eve"
HELD = [a_reserved_chat(), an_assigned_chat()]
TOKEN = ReservationId(99)


class TestDropping:
    def test_a_waiting_chat_is_closed_as_dropped_by_the_person(self) -> None:
        decided = drop(EVE, a_room(a_waiting_chat()), at(5))

        (change,) = decided.changes
        assert decided.answer.is_done
        assert change.chat.close_reason is CloseReason.DROPPED
        assert (change.move, change.actor) == (Transition.CLOSE, EVE)

    @pytest.mark.parametrize("chat", HELD)
    def test_a_chat_that_an_agent_holds_cannot_be_dropped(self, chat: Chat) -> None:
        decided = drop(EVE, a_room(chat), at(5))

        assert not decided.answer.is_done
        assert decided.changes == ()

    def test_a_room_without_a_chat_has_nothing_to_drop(self) -> None:
        assert drop(EVE, a_room(), NOW).answer.outcome is ManualOutcome.NO_CHAT

    def test_a_dropped_room_stays_out_though_the_platform_shows_it_waiting(self) -> None:
        room = _dropped()

        found = admit_found(an_arrival(), at(120), RULES, room, at(121))

        assert found.answer is Admission.REPEATED

    def test_a_dropped_room_comes_back_when_its_customer_asks_again(self) -> None:
        asked = admit(an_arrival(), RULES, _dropped(), at(120))

        assert asked.answer is Admission.ADMITTED
        assert asked.room is not None
        assert asked.room.chat is not None

    def test_a_resolve_ends_what_was_dropped(self) -> None:
        room = resolve(a_resolution(12), RULES, _dropped(), at(60)).room

        assert room is not None
        found = admit_found(an_arrival(), at(120), RULES, room, at(121))
        assert found.answer is Admission.ADMITTED


class TestMakingReady:
    def test_a_refused_chat_is_ready_at_once_at_its_place(self) -> None:
        refused = a_waiting_chat(ready_at=at(300), refusals=4, refused_by=ANNE)

        decided = make_ready(EVE, RULES, a_room(refused), at(10))

        (change,) = decided.changes
        assert change.move is Transition.EXPEDITED
        assert change.chat.is_ready(at(10))
        assert change.chat.arrived_at == refused.arrived_at
        assert (change.chat.refusals, change.actor) == (4, EVE)

    def test_a_doubtful_chat_is_ready_by_a_person_s_word(self) -> None:
        doubtful = a_waiting_chat(doubt=Doubt.LATE_REPEAT, settle_at=at(5))

        (change,) = make_ready(EVE, RULES, a_room(doubtful), at(1)).changes

        assert change.move is Transition.CLEAR
        assert change.chat.is_ready(at(1))
        assert change.chat.doubt is None

    def test_an_exclusion_is_lifted(self) -> None:
        kept = a_waiting_chat(needs=Needs(WHATSAPP, frozenset({BEN})), excluded_until=at(30))

        (change,) = make_ready(EVE, RULES, a_room(kept), at(1)).changes

        assert change.chat.needs == Needs(WHATSAPP)
        assert change.chat.excluded_until is None

    def test_a_ready_chat_stays_as_it_is(self) -> None:
        decided = make_ready(EVE, RULES, a_room(a_waiting_chat()), at(1))

        assert decided.answer.outcome is ManualOutcome.READY_ALREADY
        assert decided.answer.is_done
        assert decided.changes == ()

    @pytest.mark.parametrize("chat", [None, *HELD])
    def test_a_chat_that_does_not_wait_cannot_be_made_ready(self, chat: Chat | None) -> None:
        decided = make_ready(EVE, RULES, a_room(chat), at(1))

        assert not decided.answer.is_done
        assert decided.changes == ()


class TestHandingOver:
    def test_the_slot_is_reserved_in_the_person_s_name(self) -> None:
        decided = _hand_over(a_waiting_chat())

        (change,) = decided.changes
        reservation = decided.answer.reservation
        assert reservation is not None
        assert (reservation.id, reservation.agent_id) == (TOKEN, ANNE)
        assert (change.actor, change.reason) == (EVE, "assigned by hand")
        assert change.details == {"load": 0, "capacity": 3}

    @pytest.mark.parametrize(
        "chat",
        [
            a_waiting_chat(ready_at=at(300)),
            a_waiting_chat(doubt=Doubt.NEXT_UNPROVEN, settle_at=at(5)),
        ],
    )
    def test_a_chat_that_is_not_ready_can_be_given_by_hand(self, chat: Chat) -> None:
        assert _hand_over(chat).answer.outcome is ManualOutcome.DONE

    @pytest.mark.parametrize("chat", [None, *HELD])
    def test_a_chat_that_does_not_wait_cannot_be_given(self, chat: Chat | None) -> None:
        decided = _hand_over(chat)

        assert decided.answer.reservation is None
        assert decided.changes == ()

    def test_a_full_agent_is_refused_with_load_and_capacity(self) -> None:
        answer = _hand_over(a_waiting_chat(), a_staffing(loads={ANNE: 3})).answer

        assert answer.outcome is ManualOutcome.FULL
        assert (answer.load, answer.capacity) == (3, 3)

    def test_a_full_agent_gets_it_over_the_capacity_where_the_person_says_so(self) -> None:
        answer = _hand_over(a_waiting_chat(), a_staffing(loads={ANNE: 3}), over=True).answer

        assert answer.outcome is ManualOutcome.DONE

    def test_an_agent_who_is_offline_is_refused_unless_the_person_says_so(self) -> None:
        assert _hand_over(a_waiting_chat(), online=False).answer.outcome is ManualOutcome.OFFLINE
        assert (
            _hand_over(a_waiting_chat(), online=False, offline=True).answer.outcome
            is ManualOutcome.DONE
        )

    def test_an_unknown_agent_is_refused(self) -> None:
        decided = _hand_over(a_waiting_chat(), agent_id=BEN)

        assert decided.answer.outcome is ManualOutcome.UNKNOWN_AGENT

    def test_nothing_is_given_before_the_agents_were_read(self) -> None:
        wish = AssignRequest(agent_id=ANNE, actor=EVE)

        decided = hand_over(
            wish, None, CapacityRules(), RULES, a_room(a_waiting_chat()), a_staffing(), TOKEN
        )

        assert decided.answer.outcome is ManualOutcome.NOT_READ

    def test_a_paused_agent_can_be_given_a_chat_by_hand(self) -> None:
        paused = a_staffing(settings={ANNE: AgentSetting(paused=True)})

        assert _hand_over(a_waiting_chat(), paused).answer.outcome is ManualOutcome.DONE


class TestSteering:
    async def test_pausing_keeps_the_capacity_and_both_are_told(self) -> None:
        floor = Floor()

        await floor.capacity.of_agent(FLOOR_ANNE, 5, actor=EVE)
        setting = await floor.pause(FLOOR_ANNE, paused=True, actor="page")

        assert setting == AgentSetting(paused=True, capacity=5)
        newest, oldest = await floor.agent_settings.setting_changes(10)
        assert (newest.actor, newest.change) == ("page", {"paused": True})
        assert (oldest.actor, oldest.change) == (EVE, {"capacity": 5})

    async def test_what_changes_nothing_is_not_told(self) -> None:
        floor = Floor()

        await floor.pause(FLOOR_ANNE, paused=False, actor=EVE)

        assert await floor.agent_settings.setting_changes(10) == []

    async def test_the_default_capacity_is_set_and_taken_back(self) -> None:
        floor = Floor()

        await floor.capacity.of_all_others(7, actor=EVE)
        agent_loads = await floor.agent_settings.agent_loads()
        await floor.capacity.of_all_others(None, actor=EVE)

        assert agent_loads.default_capacity == 7
        assert (await floor.agent_settings.agent_loads()).default_capacity is None

    @pytest.mark.parametrize("capacity", [-1, 1001])
    async def test_a_capacity_out_of_range_is_refused(self, capacity: int) -> None:
        with pytest.raises(InvalidInput, match="0 to 1000"):
            await Floor().capacity.of_all_others(capacity, actor=EVE)

    async def test_a_dropped_and_a_released_room_tell_who_did_it(self) -> None:
        floor = Floor()
        await floor.asks()

        await floor.drop(FLOOR_ROOM, actor=EVE)

        newest, *_ = await floor.journal.history(FLOOR_ROOM)
        assert (newest.move, newest.actor) == (Transition.CLOSE, EVE)


def _dropped() -> Room:
    room = drop(EVE, a_room(a_waiting_chat()), at(5)).room
    assert room is not None
    return room


def _hand_over(
    chat: Chat | None,
    agent_loads: AgentLoads | None = None,
    *,
    agent_id: AgentId = ANNE,
    online: bool = True,
    over: bool = False,
    offline: bool = False,
) -> Decided[ManualAssignment]:
    wish = AssignRequest(agent_id=agent_id, actor=EVE, over=over, offline=offline)
    roster = a_roster(a_presence(ANNE, online=online))
    return hand_over(
        wish,
        roster,
        CapacityRules(default=3),
        RULES,
        a_room(chat),
        agent_loads or a_staffing(),
        TOKEN,
    )
