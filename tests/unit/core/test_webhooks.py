"""What a webhook means for its room, with service ids present, missing, late and overtaking."""

from __future__ import annotations

from datetime import datetime

import pytest

from sebastian_core.domain.chat import Chat, ChatState, CloseReason, Doubt, Needs, Transition
from sebastian_core.domain.ids import ServiceId
from sebastian_core.domain.in_doubt import RoomState, settle
from sebastian_core.domain.room import Decided, Room
from sebastian_core.domain.webhooks import (
    Admission,
    Resolving,
    Service,
    admit,
    admit_found,
    resolve,
)
from tests.unit.core.building import (
    ANNE,
    NOW,
    RULES,
    SETTLE,
    WIDGET,
    a_chat,
    a_closed_room,
    a_reserved_chat,
    a_resolution,
    a_room,
    a_waiting_chat,
    an_arrival,
    an_assigned_chat,
    at,
    evidence,
    only_change,
    resolved,
    unresolved,
)


def arrive(room: Room, base: Service | None = None, now: datetime = NOW) -> Decided[Admission]:
    return admit(an_arrival(base), RULES, room, now)


def close(room: Room, service_id: int | None = None, now: datetime = NOW) -> Decided[Resolving]:
    return resolve(a_resolution(service_id), RULES, room, now)


def changed(decided: Decided[Admission] | Decided[Resolving]) -> list[tuple[Transition, ChatState]]:
    return [(change.move, change.chat.state) for change in decided.changes]


class TestAnArrivalInARoomWithoutAChat:
    def test_opens_a_chat_that_is_ready_at_once(self) -> None:
        decided = arrive(a_room(), now=at(7))

        chat = only_change(decided)
        assert decided.answer is Admission.ADMITTED
        assert (chat.arrived_at, chat.changed_at, chat.is_ready(at(7))) == (at(7), at(7), True)

    def test_keeps_what_the_line_needs_to_know(self) -> None:
        arrival = an_arrival(
            resolved(5), channel_id=WIDGET, source="wa", properties={"region": "north"}
        )

        chat = only_change(admit(arrival, RULES, a_room(), NOW))

        assert chat.needs == Needs(WIDGET)
        assert (chat.source, chat.properties) == ("wa", {"region": "north"})
        assert (chat.base_service_id, chat.base_resolved) == (5, True)

    def test_is_remembered_in_the_room_as_its_live_chat(self) -> None:
        decided = arrive(a_room())

        assert decided.room is not None
        assert decided.room.chat == only_change(decided)

    @pytest.mark.parametrize("service_id", [None, 4])
    def test_is_a_new_request_long_after_the_close_before(self, service_id: int | None) -> None:
        room = a_closed_room(NOW - SETTLE, service_id)

        assert arrive(room).answer is Admission.ADMITTED

    @pytest.mark.parametrize("closed_service", [5, 4])
    def test_is_new_for_sure_where_its_base_is_resolved_and_not_older_than_the_last_close(
        self, closed_service: int | None
    ) -> None:
        decided = arrive(a_closed_room(at(-0.1), closed_service), resolved(5))

        assert decided.answer is Admission.ADMITTED

    @pytest.mark.parametrize("closed_at", [at(-0.1), at(-3600)])
    def test_is_a_late_repeat_where_its_base_is_the_service_that_was_closed(
        self, closed_at: datetime
    ) -> None:
        decided = arrive(a_closed_room(closed_at, 5), unresolved(5))

        assert decided == Decided(Admission.LATE_REPEAT)

    @pytest.mark.parametrize(
        ("closed_service", "base"),
        [
            (None, None),
            (5, None),
            (5, resolved(4)),
            (5, unresolved(4)),
            (5, unresolved(6)),
            (None, unresolved(5)),
            (None, resolved(5)),
        ],
    )
    def test_is_doubtful_just_after_a_close_where_its_base_proves_nothing(
        self, closed_service: int | None, base: Service | None
    ) -> None:
        decided = arrive(a_closed_room(at(-4.9), closed_service), base)

        chat = only_change(decided)
        assert decided.answer is Admission.DOUBTFUL
        assert (chat.doubt, chat.is_doubtful) == (Doubt.LATE_REPEAT, True)
        assert not chat.is_ready(at(3600))

    def test_keeps_its_place_while_it_is_doubtful(self) -> None:
        doubtful = only_change(arrive(a_closed_room(at(-1)), now=NOW))
        room = a_room(doubtful, last_assigned_at=at(-60))

        settled = settle(
            doubtful.id, doubtful.version, evidence(RoomState.WAITING, NOW), RULES, room, at(1)
        )

        assert only_change(settled).arrived_at == NOW

    def test_is_doubtful_where_the_last_close_was_unnamed_and_older_ids_prove_nothing_of_it(
        self,
    ) -> None:
        room = a_room(closed_at=at(-1), closed_service_id=ServiceId(5), closed_by_id=False)

        assert arrive(room, resolved(5)).answer is Admission.DOUBTFUL


class TestAnArrivalInARoomWithADoubtfulChat:
    @pytest.mark.parametrize("doubt", [Doubt.LATE_REPEAT, Doubt.NEXT_UNPROVEN])
    def test_that_is_new_for_sure_proves_that_the_chat_is_wanted(self, doubt: Doubt) -> None:
        chat = a_waiting_chat(doubt=doubt, settle_at=at(5))
        room = a_room(chat, closed_at=at(-1), closed_service_id=ServiceId(5), closed_by_id=True)

        decided = arrive(room, resolved(5), at(1))

        proven = only_change(decided)
        assert decided.answer is Admission.PROVEN
        assert (proven.is_ready(at(1)), proven.arrived_at) == (True, NOW)

    @pytest.mark.parametrize("doubt", [Doubt.REFUSED_NOT_WAITING, Doubt.UNNAMED_RESOLVE])
    def test_that_shows_a_younger_service_resolved_proves_it_too(self, doubt: Doubt) -> None:
        chat = a_waiting_chat(doubt=doubt, settle_at=at(5), base_service_id=ServiceId(5))

        assert only_change(arrive(a_room(chat), resolved(6), at(1))).is_ready(at(1))

    @pytest.mark.parametrize(
        ("doubt", "base"),
        [
            (Doubt.LATE_REPEAT, None),
            (Doubt.LATE_REPEAT, unresolved(5)),
            (Doubt.LATE_REPEAT, resolved(4)),
            (Doubt.REFUSED_NOT_WAITING, resolved(5)),
        ],
    )
    def test_cannot_prove_anything_by_a_base_that_we_knew(
        self, doubt: Doubt, base: Service | None
    ) -> None:
        chat = a_waiting_chat(doubt=doubt, settle_at=at(5))
        room = a_room(chat, closed_at=at(-1), closed_service_id=ServiceId(5), closed_by_id=True)

        assert arrive(room, base, at(1)) == Decided(Admission.REPEATED)


def first_look(last_assigned_at: datetime | None) -> datetime | None:
    """When the room of a customer who comes back right after a close is read first."""
    room = a_closed_room(at(-1), last_assigned_at=last_assigned_at)
    return only_change(admit(an_arrival(), RULES, room, NOW)).settle_at


class TestTheFirstLookAtADoubtfulRoom:
    def test_is_made_at_once_where_the_assignment_before_is_long_past(self) -> None:
        assert first_look(at(-5)) == NOW

    def test_waits_until_the_assignment_before_must_have_shown(self) -> None:
        assert first_look(at(-2)) == at(3)

    def test_waits_the_whole_time_without_an_assignment_before(self) -> None:
        assert first_look(None) == at(5)

    def test_never_waits_longer_than_the_platform_lags(self) -> None:
        assert first_look(at(30)) == at(5)


class TestAnArrivalInARoomWithALiveChat:
    @pytest.mark.parametrize("state", [ChatState.WAITING, ChatState.RESERVED])
    @pytest.mark.parametrize("base", [None, resolved(8), resolved(9), unresolved(9)])
    def test_changes_nothing_while_the_chat_waits_or_is_reserved(
        self, state: ChatState, base: Service | None
    ) -> None:
        chat = a_chat(state, base_service_id=ServiceId(9), base_resolved=True)

        assert arrive(a_room(chat), base, at(60)) == Decided(Admission.REPEATED)

    @pytest.mark.parametrize("state", [ChatState.WAITING, ChatState.RESERVED])
    @pytest.mark.parametrize("came_with", [None, 8])
    def test_that_shows_a_younger_service_resolved_takes_the_force_from_its_resolve(
        self, state: ChatState, came_with: int | None
    ) -> None:
        chat = a_chat(
            state,
            base_service_id=None if came_with is None else ServiceId(came_with),
            base_resolved=came_with is not None,
        )

        decided = arrive(a_room(chat), resolved(9), at(60))

        assert (decided.answer, decided.changes) == (Admission.REPEATED, ())
        assert decided.room is not None
        assert decided.room.chat == chat
        assert close(decided.room, 9, at(61)) == Decided(Resolving.REPEATED)
        younger = close(decided.room, 10, at(61))
        assert younger.answer in (Resolving.CLOSED, Resolving.HELD)

    def test_changes_nothing_while_the_chat_is_doubtful(self) -> None:
        chat = a_waiting_chat(doubt=Doubt.LATE_REPEAT, settle_at=at(5))

        assert arrive(a_room(chat), now=at(1)) == Decided(Admission.REPEATED)

    def test_is_remembered_on_an_assigned_chat_and_has_it_settled(self) -> None:
        decided = arrive(a_room(an_assigned_chat()), now=at(60))

        chat = only_change(decided)
        assert decided.answer is Admission.REMEMBERED
        assert chat.state is ChatState.ASSIGNED
        assert (chat.asked_again_at, chat.doubt) == (at(60), Doubt.ASKED_AGAIN)
        assert (chat.settle_at, chat.agent_id) == (at(60), ANNE)

    def test_has_a_chat_assigned_just_now_looked_at_once_the_platform_has_caught_up(self) -> None:
        decided = arrive(a_room(an_assigned_chat(assigned_at=at(-2))))

        assert only_change(decided).settle_at == at(3)

    def test_is_remembered_once_and_the_first_one_counts(self) -> None:
        chat = an_assigned_chat(asked_again_at=at(1), doubt=Doubt.ASKED_AGAIN, settle_at=at(6))

        decided = arrive(a_room(chat), now=at(2))

        assert decided.answer is Admission.REPEATED
        assert only_change(decided).asked_again_at == at(1)

    def test_makes_older_readings_stale_each_time_it_comes_to_an_assigned_chat(self) -> None:
        chat = an_assigned_chat(asked_again_at=at(1), doubt=Doubt.ASKED_AGAIN, settle_at=at(6))

        again = only_change(arrive(a_room(chat), now=at(2)))

        assert (again.version, again.changed_at) == (chat.version + 1, at(2))

    def test_proves_by_a_younger_resolved_base_that_the_chat_is_over(self) -> None:
        chat = an_assigned_chat(base_service_id=ServiceId(5), base_resolved=True)

        decided = arrive(a_room(chat), resolved(6), at(60))

        over, opened = (change.chat for change in decided.changes)
        assert decided.answer is Admission.SUCCEEDED
        assert (over.state, over.close_reason) == (ChatState.CLOSED, CloseReason.RESOLVED)
        assert (opened.state, opened.arrived_at, opened.doubt) == (
            ChatState.WAITING,
            at(60),
            None,
        )
        assert (opened.base_service_id, opened.base_resolved) == (6, True)

    def test_that_succeeds_a_chat_leaves_its_service_closed_in_the_rooms_memory(self) -> None:
        chat = an_assigned_chat(base_service_id=ServiceId(5), base_resolved=True)

        room = arrive(a_room(chat), resolved(6), at(60)).room

        assert room is not None
        assert (room.closed_service_id, room.closed_by_id, room.closed_at) == (6, True, at(60))
        assert close(room, 6, at(61)).answer is Resolving.REPEATED

    def test_that_succeeds_a_chat_takes_the_place_of_an_earlier_remembered_one(self) -> None:
        chat = an_assigned_chat(
            base_service_id=ServiceId(5), base_resolved=True, asked_again_at=at(20)
        )

        decided = arrive(a_room(chat), resolved(6), at(60))

        assert decided.changes[-1].chat.arrived_at == at(20)

    @pytest.mark.parametrize("base", [None, resolved(5), resolved(4), unresolved(6)])
    def test_cannot_prove_a_chat_over_by_a_base_that_is_not_younger_and_resolved(
        self, base: Service | None
    ) -> None:
        chat = an_assigned_chat(base_service_id=ServiceId(5), base_resolved=True)

        assert arrive(a_room(chat), base).answer is Admission.REMEMBERED

    def test_cannot_prove_a_chat_over_that_came_in_without_a_base(self) -> None:
        assert arrive(a_room(an_assigned_chat()), resolved(6)).answer is Admission.REMEMBERED


class TestARoomFoundWaiting:
    def find(self, room: Room, arrived_at: datetime | None = None) -> Decided[Admission]:
        """Found by a listing that began at NOW and is applied a second later."""
        return admit_found(an_arrival(arrived_at=arrived_at), NOW, RULES, room, at(1))

    def test_is_admitted_with_the_platforms_time(self) -> None:
        decided = self.find(a_room(), at(-90))

        chat = only_change(decided)
        assert decided.answer is Admission.ADMITTED
        assert (chat.arrived_at, chat.is_ready(at(1))) == (at(-90), True)

    @pytest.mark.parametrize("before", [a_room(), a_closed_room(at(-60), 5)])
    def test_has_a_chat_before_it_of_which_we_may_know_nothing(self, before: Room) -> None:
        found = self.find(before, at(-10)).room

        assert found is not None
        assert (found.closed_at, found.closed_by_id) == (at(-10), False)
        assert found.closed_service_id == before.closed_service_id

    def test_is_admitted_with_ours_where_the_platform_tells_none(self) -> None:
        assert only_change(self.find(a_room())).arrived_at == at(1)

    @pytest.mark.parametrize("state", [ChatState.WAITING, ChatState.RESERVED, ChatState.ASSIGNED])
    def test_is_left_alone_where_we_hold_a_chat(self, state: ChatState) -> None:
        assert self.find(a_room(a_chat(state))) == Decided(Admission.REPEATED)

    @pytest.mark.parametrize("closed_at", [at(-4.9), at(0.5)])
    def test_is_left_alone_where_it_was_closed_so_lately_that_the_listing_may_lag(
        self, closed_at: datetime
    ) -> None:
        assert self.find(a_closed_room(closed_at)) == Decided(Admission.REPEATED)

    def test_is_admitted_again_once_the_listing_must_know_of_the_close(self) -> None:
        assert self.find(a_closed_room(at(-5), 5)).answer is Admission.ADMITTED


class TestAResolve:
    @pytest.mark.parametrize("state", [ChatState.WAITING, ChatState.ASSIGNED])
    @pytest.mark.parametrize("service_id", [None, 5])
    def test_closes_a_live_chat_for_which_no_call_is_under_way(
        self, state: ChatState, service_id: int | None
    ) -> None:
        decided = close(a_room(a_chat(state)), service_id, at(60))

        chat = only_change(decided)
        assert decided.answer is Resolving.CLOSED
        assert (chat.state, chat.close_reason) == (ChatState.CLOSED, CloseReason.RESOLVED)
        assert (chat.closed_at, chat.settle_at, chat.doubt) == (at(60), None, None)

    def test_leaves_the_agent_whom_we_recorded_on_the_chat_that_it_closes(self) -> None:
        assert only_change(close(a_room(an_assigned_chat()), 5)).agent_id == ANNE

    def test_is_remembered_in_the_room(self) -> None:
        room = close(a_room(an_assigned_chat(assigned_at=at(10))), 5, at(60)).room

        assert room == a_closed_room(at(60), 5, last_assigned_at=at(10))

    def test_is_remembered_where_no_chat_lives_as_it_may_overtake_its_own_arrival(self) -> None:
        decided = close(a_room(), 5, at(60))

        assert (decided.answer, decided.changes) == (Resolving.REMEMBERED, ())
        assert decided.room == a_closed_room(at(60), 5)
        assert arrive(decided.room, unresolved(5), at(61)).answer is Admission.LATE_REPEAT

    def test_that_overtook_an_arrival_without_a_base_makes_it_doubtful(self) -> None:
        room = close(a_room(), 5, at(60)).room
        assert room is not None

        assert arrive(room, None, at(61)).answer is Admission.DOUBTFUL

    @pytest.mark.parametrize("service_id", [4, 5])
    def test_repeats_where_its_id_is_not_younger_than_the_last_close(self, service_id: int) -> None:
        room = a_closed_room(at(-3600), 5, last_assigned_at=None)

        assert close(room, service_id) == Decided(Resolving.REPEATED)

    @pytest.mark.parametrize("service_id", [4, 5])
    def test_repeats_where_its_id_is_not_younger_than_a_resolved_base(
        self, service_id: int
    ) -> None:
        chat = an_assigned_chat(base_service_id=ServiceId(5), base_resolved=True)

        assert close(a_room(chat), service_id) == Decided(Resolving.REPEATED)

    def test_closes_where_its_id_is_that_of_an_unresolved_base(self) -> None:
        chat = an_assigned_chat(base_service_id=ServiceId(5), base_resolved=False)

        assert close(a_room(chat), 5).answer is Resolving.CLOSED

    def test_never_lowers_the_highest_closed_id(self) -> None:
        room = close(a_closed_room(at(-60), 9), None).room

        assert room is not None
        assert (room.closed_service_id, room.closed_by_id) == (9, False)

    def test_without_a_live_chat_keeps_the_assignment_before(self) -> None:
        room = close(a_closed_room(at(-60), 4, last_assigned_at=at(-90)), 5).room

        assert room is not None
        assert room.last_assigned_at == at(-90)


class TestAResolveThatMayBelongToTheChatBefore:
    """The chat before closed, and this one came less than the platform's lag later."""

    def room(self, closed_service: int | None, chat: Chat | None = None) -> Room:
        before = a_closed_room(at(-4.9), closed_service)
        return a_room(
            chat or an_assigned_chat(),
            closed_at=before.closed_at,
            closed_by_id=before.closed_by_id,
            closed_service_id=before.closed_service_id,
        )

    @pytest.mark.parametrize(("closed_service", "service_id"), [(None, None), (None, 6), (5, None)])
    def test_is_doubted_where_ids_are_missing(
        self, closed_service: int | None, service_id: int | None
    ) -> None:
        decided = close(self.room(closed_service), service_id, at(2))

        chat = only_change(decided)
        assert decided.answer is Resolving.DOUBTED
        assert chat.state is ChatState.ASSIGNED
        assert (chat.doubt, chat.settle_at) == (Doubt.UNNAMED_RESOLVE, at(5))

    def test_has_the_room_read_at_once_where_its_chat_was_given_long_ago(self) -> None:
        decided = close(self.room(None), None, at(60))

        assert only_change(decided).settle_at == at(60)

    def test_keeps_the_slot_of_a_reserved_chat_that_it_makes_suspect(self) -> None:
        decided = close(self.room(None, a_reserved_chat()), None, at(2))

        assert only_change(decided).holds_slot

    def test_makes_a_waiting_chat_doubtful(self) -> None:
        decided = close(self.room(None, a_waiting_chat()), None, at(2))

        assert only_change(decided).is_doubtful

    def test_closes_where_its_id_is_younger_than_the_one_that_closed_the_chat_before(self) -> None:
        assert close(self.room(5), 6).answer is Resolving.CLOSED

    def test_closes_where_both_ids_are_known(self) -> None:
        chat = an_assigned_chat(base_service_id=ServiceId(5), base_resolved=True)

        assert close(self.room(None, chat), 6).answer is Resolving.CLOSED

    def test_closes_where_the_chat_before_is_long_over(self) -> None:
        room = a_room(an_assigned_chat(), closed_at=at(-5))

        assert close(room, None).answer is Resolving.CLOSED


class TestAResolveBehindACustomerWhoAskedAgain:
    chat = an_assigned_chat(
        assigned_at=at(-60), asked_again_at=at(10), doubt=Doubt.ASKED_AGAIN, settle_at=at(15)
    )

    def test_opens_the_next_chat_with_the_remembered_arrival(self) -> None:
        decided = close(a_room(self.chat), 5, at(12))

        assert decided.answer is Resolving.CLOSED_AND_NEXT
        assert changed(decided) == [
            (Transition.CLOSE, ChatState.CLOSED),
            (Transition.ADMIT, ChatState.WAITING),
        ]
        assert decided.changes[-1].chat.arrived_at == at(10)

    def test_leaves_the_next_chat_doubtful_and_has_it_read_at_once(self) -> None:
        opened = close(a_room(self.chat), 5, at(12)).changes[-1].chat

        assert (opened.doubt, opened.settle_at) == (Doubt.NEXT_UNPROVEN, at(12))
        assert not opened.is_ready(at(3600))

    def test_lets_the_next_chat_go_on_as_soon_as_the_room_is_seen_waiting(self) -> None:
        room = close(a_room(self.chat), 5, at(12)).room
        assert room is not None
        assert room.chat is not None

        settled = settle(
            room.chat.id, 1, evidence(RoomState.WAITING, at(12)), RULES, room, at(12.1)
        )

        assert only_change(settled).is_ready(at(12.1))

    def test_closes_the_next_chat_where_it_was_only_a_late_message(self) -> None:
        room = close(a_room(self.chat), 5, at(12)).room
        assert room is not None
        assert room.chat is not None

        settled = settle(
            room.chat.id, 1, evidence(RoomState.RESOLVED, at(17)), RULES, room, at(17.1)
        )

        assert only_change(settled).close_reason is CloseReason.RESOLVED

    def test_keeps_the_channel_source_and_properties_for_the_next_chat(self) -> None:
        chat = a_chat(
            ChatState.ASSIGNED,
            needs=Needs(WIDGET, frozenset({ANNE})),
            source="wa",
            properties={"region": "north"},
            asked_again_at=at(10),
        )

        opened = close(a_room(chat), 5, at(12)).changes[-1].chat

        assert opened.needs == Needs(WIDGET)
        assert (opened.source, opened.properties) == ("wa", {"region": "north"})
        assert (opened.agent_id, opened.refusals, opened.passes) == (None, 0, 0)


@pytest.mark.parametrize("service_id", [None, 5])
@pytest.mark.parametrize("times", [2, 3])
def test_a_resolve_said_again_closes_nothing_more(times: int, service_id: int | None) -> None:
    room = a_room(an_assigned_chat())
    moves = []

    for number in range(times):
        decided = close(room, service_id, at(number))
        moves += changed(decided)
        room = decided.room or room

    assert moves == [(Transition.CLOSE, ChatState.CLOSED)]


def test_an_arrival_said_again_opens_nothing_more() -> None:
    room = a_room()
    moves = []

    for number in range(3):
        decided = arrive(room, resolved(5), at(number))
        moves += changed(decided)
        room = decided.room or room

    assert moves == [(Transition.ADMIT, ChatState.WAITING)]


@pytest.mark.parametrize("order", ["resolve first", "arrival first"])
def test_a_customer_who_returns_is_served_whichever_webhook_comes_first(order: str) -> None:
    room = a_room(an_assigned_chat(base_service_id=ServiceId(5), base_resolved=True))

    if order == "resolve first":
        room = close(room, 6, at(60)).room or room
    room = arrive(room, resolved(6), at(60)).room or room
    if order == "arrival first":
        room = close(room, 6, at(60)).room or room

    assert room.chat is not None
    assert room.chat.is_ready(at(60))


def test_a_late_message_of_the_chat_s_own_request_does_not_end_its_service() -> None:
    """The chat came in with an older base, because a late copy of the request before opened it."""
    serving = an_assigned_chat(base_service_id=ServiceId(1), base_resolved=True)
    room = a_room(serving, closed_service_id=ServiceId(2), closed_by_id=True, closed_at=at(0))

    decided = arrive(room, resolved(2), at(7))

    assert decided.answer is Admission.REMEMBERED
