"""A resolve that comes while the chat's assign call is under way: the slot stays until it ended.

The call may take effect after the resolve, for the service that the customer has opened meanwhile.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from sebastian_core.domain.adoption import adopt
from sebastian_core.domain.chat import Chat, ChatState, CloseReason, Doubt, Transition
from sebastian_core.domain.ids import ReservationId, ServiceId
from sebastian_core.domain.in_doubt import Outcome, RoomState, postpone, settle
from sebastian_core.domain.reservation import FenceOutcome, confirm
from sebastian_core.domain.room import Decided, Room
from sebastian_core.domain.webhooks import Admission, Resolving, Service, admit, resolve
from tests.unit.core.building import (
    ANNE,
    BEN,
    RULES,
    a_listed_room,
    a_reserved_chat,
    a_resolution,
    a_room,
    an_arrival,
    at,
    evidence,
    only_change,
    resolved,
    unresolved,
)
from tests.unit.core.words import NOT_APPLIED, RESERVATION, Word, doubt

PERHAPS_APPLIED: dict[str, Word] = {
    "confirm": lambda room: confirm(RESERVATION, RULES, room, at(3)),
    "doubt": doubt,
}


def held(service_id: int | None = 5, **changes: object) -> Room:
    """A room whose chat was reserved at NOW and resolved two seconds later."""
    chat = a_reserved_chat(**changes)
    return room_of(resolve(a_resolution(service_id), RULES, a_room(chat), at(2)))


def asked_again(room: Room, base: Service | None = None) -> Room:
    return room_of(admit(an_arrival(base), RULES, room, at(2.5)))


def room_of(
    decided: Decided[Admission] | Decided[Resolving] | Decided[FenceOutcome] | Decided[Outcome],
) -> Room:
    assert decided.room is not None
    return decided.room


def chat_of(room: Room) -> Chat:
    assert room.chat is not None
    return room.chat


def read(
    room: Room, state: RoomState, began: float, listed: bool | None = None
) -> Decided[Outcome]:
    chat = chat_of(room)
    reading = evidence(state, at(began), listed)
    return settle(chat.id, chat.version, reading, RULES, room, at(began))


class TestTheResolve:
    def test_keeps_the_slot_and_tells_why(self) -> None:
        decided = resolve(a_resolution(5), RULES, a_room(a_reserved_chat()), at(2))

        chat = only_change(decided)
        assert decided.answer is Resolving.HELD
        assert (chat.state, chat.agent_id) == (ChatState.RESERVED, ANNE)
        assert chat.doubt is Doubt.RESOLVED_IN_CALL

    def test_has_the_room_read_once_a_call_that_may_yet_begin_must_have_shown(self) -> None:
        assert chat_of(held()).settle_at == at(4 + 5)

    def test_that_comes_late_has_it_read_once_the_platform_must_have_caught_up(self) -> None:
        late = resolve(a_resolution(5), RULES, a_room(a_reserved_chat()), at(9))

        assert chat_of(room_of(late)).settle_at == at(9 + 5)

    def test_behind_another_doubt_knows_only_when_that_came(self) -> None:
        doubted = a_reserved_chat(
            doubt=Doubt.UNNAMED_RESOLVE, changed_at=at(1.5), settle_at=at(1.5 + 5)
        )

        decided = resolve(a_resolution(5), RULES, a_room(doubted), at(2))

        assert chat_of(room_of(decided)).settle_at == at(1.5 + 4 + 5)

    def test_has_it_read_sooner_where_the_call_has_ended_without_an_answer(self) -> None:
        chat = chat_of(held(doubt=Doubt.UNKNOWN_ANSWER))

        assert (chat.doubt, chat.settle_at) == (Doubt.RESOLVED_UNSURE, at(2 + 5))

    def test_is_remembered_so_that_its_repeat_changes_nothing(self) -> None:
        repeat = resolve(a_resolution(5), RULES, held(), at(3))

        assert repeat == Decided(Resolving.REPEATED)

    def test_without_an_id_is_taken_for_a_repeat_while_the_call_is_under_way(self) -> None:
        repeat = resolve(a_resolution(None), RULES, held(None), at(3))

        assert repeat == Decided(Resolving.REPEATED)

    def test_with_an_id_behind_one_without_is_heard(self) -> None:
        decided = resolve(a_resolution(5), RULES, held(None), at(3))

        assert decided.answer is Resolving.HELD
        assert chat_of(room_of(decided)).doubt is Doubt.RESOLVED_IN_CALL

    def test_keeps_the_reservation_alive_for_the_words_about_it(self) -> None:
        assert chat_of(held()).reservation_id == RESERVATION.id


@pytest.mark.parametrize("word", NOT_APPLIED)
class TestACallThatSurelyWasNotApplied:
    def test_closes_the_chat_by_the_resolve_that_came(self, word: str) -> None:
        decided = NOT_APPLIED[word](held(5))

        chat, room = only_change(decided), room_of(decided)
        assert decided.answer is FenceOutcome.DONE
        assert (chat.state, chat.close_reason) == (ChatState.CLOSED, CloseReason.RESOLVED)
        assert (room.chat, room.closed_service_id, room.closed_by_id) == (None, 5, True)

    def test_opens_the_next_chat_where_the_customer_asked_again(self, word: str) -> None:
        decided = NOT_APPLIED[word](asked_again(held(5)))

        following = chat_of(room_of(decided))
        assert [change.move for change in decided.changes] == [Transition.CLOSE, Transition.ADMIT]
        assert (following.state, following.arrived_at) == (ChatState.WAITING, at(2.5))
        assert following.doubt is Doubt.NEXT_UNPROVEN

    def test_leaves_the_slot_where_an_earlier_word_left_it_open(self, word: str) -> None:
        unsure = room_of(PERHAPS_APPLIED["doubt"](held()))

        assert NOT_APPLIED[word](unsure) == Decided(FenceOutcome.DONE)


@pytest.mark.parametrize("word", PERHAPS_APPLIED)
class TestACallThatMayBeApplied:
    def test_keeps_the_slot_until_a_reading_shows_what_it_gave(self, word: str) -> None:
        chat = only_change(PERHAPS_APPLIED[word](held()))

        assert (chat.state, chat.agent_id) == (ChatState.RESERVED, ANNE)
        assert (chat.doubt, chat.settle_at) == (Doubt.RESOLVED_UNSURE, at(3 + 5))

    def test_said_again_changes_nothing(self, word: str) -> None:
        once = room_of(PERHAPS_APPLIED[word](held()))

        assert PERHAPS_APPLIED[word](once).changes == ()


def test_a_confirmation_is_no_assignment_where_the_chat_was_resolved_meanwhile() -> None:
    assert PERHAPS_APPLIED["confirm"](held()).answer is FenceOutcome.GONE


class TestARequestBehindTheResolve:
    def test_is_remembered_with_its_moment(self) -> None:
        decided = admit(an_arrival(resolved(5)), RULES, held(5), at(2.5))

        assert decided.answer is Admission.REMEMBERED
        assert only_change(decided).asked_again_at == at(2.5)
        assert chat_of(room_of(decided)).doubt is Doubt.RESOLVED_IN_CALL

    def test_counts_from_the_first_message(self) -> None:
        once = asked_again(held(5))

        assert admit(an_arrival(resolved(5)), RULES, once, at(9)) == Decided(Admission.REPEATED)

    def test_is_a_late_repeat_where_it_came_for_the_resolved_service(self) -> None:
        late = admit(an_arrival(unresolved(5)), RULES, held(5), at(2.5))

        assert late == Decided(Admission.LATE_REPEAT)

    def test_that_shows_a_younger_service_resolved_takes_the_force_from_its_resolve(self) -> None:
        asked = asked_again(held(4), resolved(5))

        assert resolve(a_resolution(5), RULES, asked, at(3)) == Decided(Resolving.REPEATED)


class TestTheReadingOfAChatWhoseWorkerDied:
    """Its customer asks again just before it is read."""

    asked = room_of(admit(an_arrival(resolved(5)), RULES, held(), at(8.5)))

    def test_is_not_put_off_by_the_request(self) -> None:
        assert chat_of(self.asked).settle_at == at(9)

    def test_of_a_room_that_waits_opens_the_next_chat(self) -> None:
        decided = read(self.asked, RoomState.WAITING, began=9)

        assert decided.answer is Outcome.CLOSED_AND_NEXT
        assert decided.changes[-1].chat.arrived_at == at(8.5)

    def test_of_a_resolved_room_opens_the_next_chat_in_doubt(self) -> None:
        decided = read(self.asked, RoomState.RESOLVED, began=9)

        assert decided.answer is Outcome.CLOSED_AND_NEXT
        assert decided.changes[-1].chat.doubt is Doubt.NEXT_UNPROVEN

    def test_of_a_served_room_may_be_older_than_the_request_and_is_made_again(self) -> None:
        decided = read(self.asked, RoomState.SERVED, began=9, listed=True)

        assert decided.answer is Outcome.TOO_EARLY
        assert chat_of(room_of(decided)).settle_at == at(8.5 + 5)

    @pytest.mark.parametrize("state", [RoomState.WAITING, RoomState.RESOLVED])
    def test_that_comes_a_moment_early_is_made_again_a_moment_later(self, state: RoomState) -> None:
        early = read(self.asked, state, began=8.99)

        assert early.answer is Outcome.TOO_EARLY
        assert chat_of(room_of(early)).settle_at == at(9)

    def test_of_another_agents_rooms_counts_although_the_room_itself_can_not_be_read(self) -> None:
        chat = chat_of(held())
        unread = room_of(postpone(chat.id, chat.version, RULES, held(), at(20)))
        listing = evolve(a_listed_room(BEN, at(9)), absent_elsewhere=True)

        assert only_change(adopt(listing, RULES, unread, at(20))).agent_id == BEN


class TestTheReading:
    unsure = room_of(PERHAPS_APPLIED["confirm"](held()))
    asked = room_of(PERHAPS_APPLIED["confirm"](asked_again(held())))

    def test_proves_nothing_before_the_platform_must_have_caught_up(self) -> None:
        assert read(self.unsure, RoomState.RESOLVED, began=7.9).answer is Outcome.TOO_EARLY

    def test_of_a_resolved_room_closes_the_chat(self) -> None:
        decided = read(self.unsure, RoomState.RESOLVED, began=8)

        assert only_change(decided).close_reason is CloseReason.RESOLVED
        assert decided.room is not None
        assert (decided.room.closed_service_id, decided.room.closed_by_id) == (5, False)

    def test_of_a_resolved_room_forgets_no_request(self) -> None:
        decided = read(self.asked, RoomState.RESOLVED, began=8)

        assert decided.answer is Outcome.CLOSED_AND_NEXT
        assert decided.changes[-1].chat.doubt is Doubt.NEXT_UNPROVEN

    def test_of_a_room_that_waits_opens_the_next_chat_at_its_own_place(self) -> None:
        decided = read(self.asked, RoomState.WAITING, began=8)

        following = decided.changes[-1].chat
        assert decided.answer is Outcome.CLOSED_AND_NEXT
        assert (following.arrived_at, following.doubt) == (at(2.5), None)

    def test_of_a_room_that_our_agent_serves_confirms_what_the_call_gave(self) -> None:
        chat = only_change(read(self.asked, RoomState.SERVED, began=8, listed=True))

        assert (chat.state, chat.agent_id) == (ChatState.ASSIGNED, ANNE)
        assert (chat.asked_again_at, chat.doubt) == (None, None)

    def test_of_a_room_that_somebody_else_serves_frees_the_slot(self) -> None:
        chat = only_change(read(self.asked, RoomState.SERVED, began=8, listed=False))

        assert chat.close_reason is CloseReason.SERVED_ELSEWHERE

    def test_of_another_agents_rooms_hands_the_chat_over_once_it_may_count(self) -> None:
        listing = evolve(a_listed_room(BEN, at(8)), absent_elsewhere=True)

        chat = only_change(adopt(listing, RULES, self.asked, at(8)))

        assert (chat.state, chat.agent_id, chat.asked_again_at) == (ChatState.ASSIGNED, BEN, None)


def test_a_younger_resolve_is_heard_and_waits_for_its_own_reading() -> None:
    unsure = room_of(PERHAPS_APPLIED["confirm"](held(5)))

    decided = resolve(a_resolution(6), RULES, unsure, at(4))

    assert decided.answer is Resolving.HELD
    assert chat_of(room_of(decided)).settle_at == at(4 + 5)
    assert room_of(decided).closed_service_id == ServiceId(6)


def test_a_second_resolve_without_an_id_after_the_call_waits_for_its_own_reading() -> None:
    unsure = room_of(PERHAPS_APPLIED["confirm"](held(None)))

    decided = resolve(a_resolution(None), RULES, unsure, at(5))

    assert chat_of(room_of(decided)).settle_at == at(5 + 5)


def test_what_the_reading_ended_may_be_a_younger_service_than_the_resolved_one() -> None:
    unsure = room_of(PERHAPS_APPLIED["confirm"](held(5)))
    elsewhere = read(unsure, RoomState.SERVED, began=8, listed=False).room
    assert elsewhere is not None
    asked = room_of(admit(an_arrival(), RULES, elsewhere, at(9)))

    late = resolve(a_resolution(6), RULES, asked, at(9.5))

    assert late.answer is Resolving.DOUBTED


def test_a_2xx_of_an_earlier_reservation_does_not_sweep_the_resolve_away() -> None:
    chat = a_reserved_chat(reservation_id=ReservationId(71), agent_id=BEN)
    room = room_of(resolve(a_resolution(5), RULES, a_room(chat), at(2)))

    decided = confirm(RESERVATION, RULES, room, at(3))

    assert (decided.answer, decided.changes) == (FenceOutcome.GONE, ())
    assert [watch.agent_id for watch in decided.watches] == [ANNE]
