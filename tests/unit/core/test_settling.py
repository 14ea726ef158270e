"""What readings prove about one chat: every state with every verdict, too early included."""

from __future__ import annotations

from datetime import datetime

import pytest
from attrs import evolve

from sebastian_core.domain.adoption import Adopting, Listed, adopt
from sebastian_core.domain.chat import Chat, ChatState, CloseReason, Doubt, Transition
from sebastian_core.domain.ids import ChatId, ReservationId
from sebastian_core.domain.in_doubt import Outcome, RoomState, postpone, settle, suspect
from sebastian_core.domain.room import Decided, Room
from tests.unit.core.building import (
    ANNE,
    BEN,
    NOW,
    RULES,
    WIDGET,
    a_chat,
    a_closed_room,
    a_listed_room,
    a_reserved_chat,
    a_room,
    a_waiting_chat,
    an_assigned_chat,
    at,
    evidence,
    only_change,
)

W, R, A = ChatState.WAITING, ChatState.RESERVED, ChatState.ASSIGNED


def read(
    chat: Chat,
    state: RoomState,
    began_at: datetime | None = None,
    *,
    listed: bool | None = None,
    room: Room | None = None,
) -> Decided[Outcome]:
    """Settle the chat by a reading that began, unless said otherwise, when it may count."""
    began_at = began_at or at(10)
    return settle(
        chat.id,
        chat.version,
        evidence(state, began_at, listed),
        RULES,
        room or a_room(chat),
        began_at,
    )


class TestAReadingOfARoomThatWaits:
    def test_makes_a_doubtful_chat_ready_with_its_place(self) -> None:
        chat = a_waiting_chat(arrived_at=at(-90), doubt=Doubt.LATE_REPEAT, settle_at=NOW)

        decided = read(chat, RoomState.WAITING)

        settled = only_change(decided)
        assert decided.answer is Outcome.READY
        assert (settled.is_ready(at(10)), settled.arrived_at) == (True, at(-90))

    def test_leaves_a_ready_chat_alone(self) -> None:
        assert read(a_waiting_chat(), RoomState.WAITING) == Decided(Outcome.READY)

    def test_makes_a_chat_ready_that_was_put_off_without_a_doubt(self) -> None:
        chat = a_waiting_chat(settle_at=NOW)

        assert only_change(read(chat, RoomState.WAITING)).is_ready(at(10))

    def test_releases_a_reservation_whose_worker_died_with_its_place(self) -> None:
        chat = a_reserved_chat(arrived_at=at(-90))

        decided = read(chat, RoomState.WAITING, at(10))

        settled = only_change(decided)
        assert decided.answer is Outcome.RELEASED
        assert (settled.is_ready(at(10)), settled.arrived_at) == (True, at(-90))
        assert settled.refusals == 0

    @pytest.mark.parametrize("doubt", [Doubt.OUTAGE, Doubt.OTHER_AGENT, Doubt.LATE_SUCCESS])
    def test_releases_a_suspect_reservation_without_counting_a_refusal(self, doubt: Doubt) -> None:
        decided = read(a_reserved_chat(doubt=doubt), RoomState.WAITING)

        assert decided.answer is Outcome.RELEASED
        assert (only_change(decided).refusals, only_change(decided).doubt) == (0, None)

    def test_counts_a_refusal_where_the_end_of_the_call_was_unknown(self) -> None:
        decided = read(a_reserved_chat(doubt=Doubt.UNKNOWN_ANSWER), RoomState.WAITING)

        settled = only_change(decided)
        assert decided.answer is Outcome.REFUSED
        assert (settled.refusals, settled.refused_by, settled.ready_at) == (1, ANNE, at(12))

    def test_shows_that_an_assigned_chat_is_over_and_the_next_one_waits(self) -> None:
        decided = read(an_assigned_chat(doubt=Doubt.NOT_LISTED), RoomState.WAITING)

        over, opened = (change.chat for change in decided.changes)
        assert decided.answer is Outcome.CLOSED_AND_NEXT
        assert (over.state, over.close_reason) == (ChatState.CLOSED, CloseReason.RESOLVED)
        assert (opened.arrived_at, opened.is_ready(at(10))) == (at(10), True)

    def test_opens_the_next_chat_with_the_remembered_arrival(self) -> None:
        chat = an_assigned_chat(asked_again_at=at(-3), doubt=Doubt.ASKED_AGAIN)

        decided = read(chat, RoomState.WAITING)

        assert decided.changes[-1].chat.arrived_at == at(-3)
        assert decided.changes[-1].chat.asked_again_at is None


class TestAReadingOfARoomThatIsServed:
    def test_confirms_a_reservation_that_the_agents_rooms_show(self) -> None:
        decided = read(a_reserved_chat(refusals=3), RoomState.SERVED, listed=True)

        settled = only_change(decided)
        assert decided.answer is Outcome.CONFIRMED
        assert (settled.state, settled.agent_id, settled.refusals) == (A, ANNE, 0)

    def test_confirms_a_reservation_where_no_listing_could_be_had(self) -> None:
        assert read(a_reserved_chat(), RoomState.SERVED).answer is Outcome.CONFIRMED

    @pytest.mark.parametrize(
        ("chat", "listed"),
        [
            (a_waiting_chat(), None),
            (a_waiting_chat(doubt=Doubt.REFUSED_NOT_WAITING, settle_at=NOW), None),
            (a_reserved_chat(), False),
            (an_assigned_chat(doubt=Doubt.NOT_LISTED), False),
            (an_assigned_chat(doubt=Doubt.ASKED_AGAIN, asked_again_at=NOW), False),
        ],
    )
    def test_closes_as_served_elsewhere_what_our_agent_does_not_serve(
        self, chat: Chat, listed: bool | None
    ) -> None:
        decided = read(chat, RoomState.SERVED, listed=listed)

        assert decided.answer is Outcome.CLOSED
        assert only_change(decided).close_reason is CloseReason.SERVED_ELSEWHERE

    @pytest.mark.parametrize("doubt", [Doubt.ASKED_AGAIN, Doubt.NOT_LISTED, Doubt.UNNAMED_RESOLVE])
    def test_clears_an_assigned_chat_whose_agent_serves_it(self, doubt: Doubt) -> None:
        chat = an_assigned_chat(doubt=doubt, asked_again_at=NOW, settle_at=NOW)

        decided = read(chat, RoomState.SERVED, listed=True)

        settled = only_change(decided)
        assert decided.answer is Outcome.CLEARED
        assert (settled.state, settled.doubt, settled.settle_at) == (A, None, None)
        assert settled.asked_again_at is None


@pytest.mark.parametrize("state", [W, R, A])
@pytest.mark.parametrize(
    ("shown", "why"),
    [(RoomState.RESOLVED, CloseReason.RESOLVED), (RoomState.GONE, CloseReason.GONE)],
)
def test_a_reading_of_a_room_that_needs_nobody_closes_the_chat(
    state: ChatState, shown: RoomState, why: CloseReason
) -> None:
    decided = read(a_chat(state), shown)

    settled = only_change(decided)
    assert decided.answer is Outcome.CLOSED
    assert (settled.close_reason, settled.closed_at, settled.settle_at) == (why, at(10), None)
    assert decided.room == a_closed_room(at(10), last_assigned_at=settled.assigned_at)


class TestAReadingThatIsTooYoung:
    @pytest.mark.parametrize("state", [W, R, A])
    @pytest.mark.parametrize("shown", list(RoomState))
    def test_proves_nothing_and_is_repeated_when_it_may_prove_something(
        self, state: ChatState, shown: RoomState
    ) -> None:
        chat = a_chat(state, doubt=Doubt.UNKNOWN_ANSWER, settle_at=at(4.9), changed_at=NOW)

        decided = read(chat, shown, at(4.9), listed=True)

        (change,) = decided.changes
        assert decided.answer is Outcome.TOO_EARLY
        assert (change.silent, change.chat.settle_at) == (True, at(5))
        assert (change.chat.version, change.chat.state) == (chat.version, state)

    def test_cannot_make_a_ready_chat_doubtful(self) -> None:
        assert read(a_waiting_chat(), RoomState.SERVED, at(4.9)) == Decided(Outcome.TOO_EARLY)

    def test_cannot_shorten_a_reservation_that_is_still_under_way(self) -> None:
        decided = read(a_reserved_chat(), RoomState.WAITING, at(8.9))

        assert (decided.answer, only_change(decided).settle_at) == (Outcome.TOO_EARLY, at(10))

    @pytest.mark.parametrize("doubt", [Doubt.UNNAMED_RESOLVE, Doubt.LATE_SUCCESS])
    def test_waits_for_a_call_that_may_still_begin_under_a_doubt_from_outside(
        self, doubt: Doubt
    ) -> None:
        chat = a_reserved_chat(doubt=doubt, settle_at=at(5))

        decided = read(chat, RoomState.WAITING, at(5))

        assert (decided.answer, only_change(decided).settle_at) == (Outcome.TOO_EARLY, at(9))

    def test_counts_from_the_very_moment_of_the_settle_time(self) -> None:
        assert read(a_waiting_chat(), RoomState.RESOLVED, at(5)).answer is Outcome.CLOSED

    def test_is_dated_by_when_it_began_and_not_by_when_it_is_applied(self) -> None:
        chat = an_assigned_chat(doubt=Doubt.UNNAMED_RESOLVE, settle_at=NOW)

        decided = settle(
            chat.id, 1, evidence(RoomState.RESOLVED, at(4)), RULES, a_room(chat), at(60)
        )

        assert decided.answer is Outcome.TOO_EARLY


class TestAYoungReadingBehindAResolveThatMayMeanTheChatBefore:
    """It counts where it is surely younger than the chat's own assignment."""

    def chat(self, state: ChatState) -> Chat:
        given_at = at(-60) if state is A else None
        return a_chat(
            state, doubt=Doubt.UNNAMED_RESOLVE, assigned_at=given_at, changed_at=NOW, settle_at=NOW
        )

    @pytest.mark.parametrize(
        ("shown", "answer"),
        [(RoomState.RESOLVED, Outcome.CLOSED), (RoomState.WAITING, Outcome.CLOSED_AND_NEXT)],
    )
    def test_frees_the_slot_where_nobody_serves(self, shown: RoomState, answer: Outcome) -> None:
        assert read(self.chat(A), shown, NOW).answer is answer

    def test_proves_nothing_where_somebody_serves(self) -> None:
        served = read(self.chat(A), RoomState.SERVED, NOW, listed=True)

        assert served.answer is Outcome.TOO_EARLY

    @pytest.mark.parametrize("state", [W, R])
    @pytest.mark.parametrize("shown", [RoomState.RESOLVED, RoomState.WAITING])
    def test_proves_nothing_about_a_chat_that_is_not_given(
        self, state: ChatState, shown: RoomState
    ) -> None:
        chat = self.chat(state)
        room = a_room(chat, last_assigned_at=at(-60))

        assert read(chat, shown, NOW, room=room).answer is Outcome.TOO_EARLY


class TestAYoungReadingOfARoomThatWaits:
    """It counts where the assignment before must have shown long ago."""

    @pytest.mark.parametrize("doubt", [Doubt.LATE_REPEAT, Doubt.NEXT_UNPROVEN])
    def test_counts_at_once_for_a_returning_customer(self, doubt: Doubt) -> None:
        chat = a_waiting_chat(doubt=doubt, settle_at=NOW)
        room = a_room(chat, last_assigned_at=at(-5))

        assert read(chat, RoomState.WAITING, NOW, room=room).answer is Outcome.READY

    def test_counts_at_once_where_the_customer_asked_again_long_after_the_assignment(self) -> None:
        chat = an_assigned_chat(
            assigned_at=at(-5), asked_again_at=NOW, doubt=Doubt.ASKED_AGAIN, settle_at=NOW
        )

        assert read(chat, RoomState.WAITING, NOW).answer is Outcome.CLOSED_AND_NEXT

    @pytest.mark.parametrize("last_assigned_at", [None, at(-4.9)])
    def test_does_not_count_where_the_assignment_before_may_not_show_yet(
        self, last_assigned_at: datetime | None
    ) -> None:
        chat = a_waiting_chat(doubt=Doubt.LATE_REPEAT, settle_at=NOW)
        room = a_room(chat, last_assigned_at=last_assigned_at)

        assert read(chat, RoomState.WAITING, NOW, room=room).answer is Outcome.TOO_EARLY

    @pytest.mark.parametrize(
        "doubt",
        [
            Doubt.UNKNOWN_ANSWER,
            Doubt.OUTAGE,
            Doubt.REFUSED_NOT_WAITING,
            Doubt.LATE_SUCCESS,
            Doubt.UNNAMED_RESOLVE,
            Doubt.OTHER_AGENT,
        ],
    )
    def test_does_not_count_where_something_was_attempted_since(self, doubt: Doubt) -> None:
        chat = a_chat(W, doubt=doubt, settle_at=NOW)
        room = a_room(chat, last_assigned_at=at(-60))

        assert read(chat, RoomState.WAITING, NOW, room=room).answer is Outcome.TOO_EARLY

    @pytest.mark.parametrize("shown", [RoomState.SERVED, RoomState.RESOLVED, RoomState.GONE])
    def test_is_the_only_one_that_counts_young(self, shown: RoomState) -> None:
        chat = a_waiting_chat(doubt=Doubt.LATE_REPEAT, settle_at=NOW)
        room = a_room(chat, last_assigned_at=at(-60))

        assert read(chat, shown, NOW, room=room).answer is Outcome.TOO_EARLY


@pytest.mark.parametrize(
    "room",
    [
        a_room(),
        a_room(a_waiting_chat(id=ChatId(2))),
        a_room(a_waiting_chat(version=2)),
    ],
)
class TestWordsAboutAChatThatChangedMeanwhile:
    def test_a_reading_is_stale(self, room: Room) -> None:
        decided = settle(ChatId(1), 1, evidence(RoomState.RESOLVED, at(60)), RULES, room, at(60))

        assert decided == Decided(Outcome.STALE)

    def test_a_suspicion_is_dropped(self, room: Room) -> None:
        assert suspect(ChatId(1), 1, Doubt.NOT_LISTED, RULES, room, at(60)) == Decided(False)

    def test_it_is_not_put_off(self, room: Room) -> None:
        assert postpone(ChatId(1), 1, RULES, room, at(60)) == Decided(Outcome.STALE)


class TestASuspectedChat:
    def suspect(self, chat: Chat, now: datetime) -> Decided[bool]:
        return suspect(chat.id, chat.version, Doubt.NOT_LISTED, RULES, a_room(chat), now)

    def test_keeps_its_slot_until_it_is_settled(self) -> None:
        chat = only_change(self.suspect(an_assigned_chat(), at(60)))

        assert (chat.holds_slot, chat.agent_id) == (True, ANNE)
        assert (chat.doubt, chat.settle_at) == (Doubt.NOT_LISTED, at(60))

    def test_can_be_settled_by_the_next_reading_as_it_changed_long_ago(self) -> None:
        suspected = only_change(self.suspect(an_assigned_chat(), at(60)))

        assert read(suspected, RoomState.RESOLVED, at(60)).answer is Outcome.CLOSED

    def test_waits_until_a_reading_can_prove_something(self) -> None:
        assert only_change(self.suspect(an_assigned_chat(), at(2))).settle_at == at(5)

    def test_cannot_lose_an_older_doubt(self) -> None:
        chat = an_assigned_chat(doubt=Doubt.ASKED_AGAIN, settle_at=at(2))

        assert self.suspect(chat, at(60)) == Decided(False)


class TestAChatWhoseRoomCannotBeRead:
    @pytest.mark.parametrize(
        ("waited", "pause"), [(0, 2), (3, 2), (10, 5), (100, 50), (120, 60), (10_000, 60)]
    )
    def test_is_looked_at_ever_less_often(self, waited: float, pause: float) -> None:
        chat = an_assigned_chat(doubt=Doubt.NOT_LISTED, settle_at=NOW)

        decided = postpone(chat.id, chat.version, RULES, a_room(chat), at(waited))

        (change,) = decided.changes
        assert (change.silent, change.chat.settle_at) == (True, at(waited + pause))

    def test_stays_ready_where_it_is_ready(self) -> None:
        chat = a_waiting_chat()

        decided = postpone(chat.id, chat.version, RULES, a_room(chat), at(60))

        assert decided.changes == ()


class TestAListedRoomThatWeDoNotHold:
    def test_is_adopted_as_the_agents_load(self) -> None:
        listed = Listed(
            room_id=a_room().room_id, agent_id=ANNE, began_at=NOW, channel_id=WIDGET, source="wa"
        )

        decided = adopt(listed, RULES, a_room(), at(1))

        chat = only_change(decided)
        assert decided.answer is Adopting.ADOPTED
        assert (chat.state, chat.agent_id, chat.adopted) == (A, ANNE, True)
        assert (chat.assigned_at, chat.needs.channel_id, chat.source) == (at(1), WIDGET, "wa")

    @pytest.mark.parametrize("closed_at", [at(55.1), at(61)])
    def test_is_left_alone_where_it_was_closed_just_now(self, closed_at: datetime) -> None:
        decided = adopt(a_listed_room(began_at=at(60)), RULES, a_closed_room(closed_at), at(62))

        assert decided == Decided(Adopting.TOO_EARLY)

    def test_is_adopted_once_the_listing_must_know_of_the_close(self) -> None:
        decided = adopt(a_listed_room(began_at=at(60)), RULES, a_closed_room(at(55)), at(62))

        assert decided.answer is Adopting.ADOPTED


class TestAListedRoomThatWeHoldForAnother:
    @pytest.mark.parametrize("chat", [a_waiting_chat(refusals=2), a_reserved_chat(agent_id=BEN)])
    def test_is_converted_while_it_waits_or_is_reserved(self, chat: Chat) -> None:
        listed = evolve(a_listed_room(ANNE, at(9)), absent_elsewhere=chat.holds_slot)

        decided = adopt(listed, RULES, a_room(chat), at(10))

        taken = only_change(decided)
        assert decided.answer is Adopting.CONVERTED
        assert (taken.state, taken.agent_id, taken.adopted) == (A, ANNE, True)
        assert (taken.reservation_id, taken.settle_at, taken.doubt) == (None, None, None)

    @pytest.mark.parametrize("state", [W, R, A])
    def test_cannot_be_taken_on_a_listing_older_than_our_last_change(
        self, state: ChatState
    ) -> None:
        listed = Listed(
            room_id=a_room().room_id, agent_id=BEN, began_at=at(4.9), absent_elsewhere=True
        )

        assert adopt(listed, RULES, a_room(a_chat(state)), at(6)) == Decided(Adopting.TOO_EARLY)

    @pytest.mark.parametrize("state", [R, A])
    def test_stays_where_it_is_unless_its_own_agent_lacks_it(self, state: ChatState) -> None:
        decided = adopt(a_listed_room(BEN), RULES, a_room(a_chat(state)), at(61))

        assert decided == Decided(Adopting.KNOWN)

    def test_moves_where_its_own_agent_lacks_it(self) -> None:
        listed = Listed(
            room_id=a_room().room_id, agent_id=BEN, began_at=at(60), absent_elsewhere=True
        )
        chat = an_assigned_chat(doubt=Doubt.NOT_LISTED, settle_at=NOW)

        decided = adopt(listed, RULES, a_room(chat), at(61))

        (change,) = decided.changes
        assert (decided.answer, change.move) == (Adopting.TRANSFERRED, Transition.TRANSFER)
        assert (change.chat.agent_id, change.chat.doubt, change.chat.settle_at) == (BEN, None, None)
        assert change.details == {"from": ANNE}

    def test_forgets_a_late_message_when_it_is_seen_served_elsewhere_afterwards(self) -> None:
        listed = Listed(
            room_id=a_room().room_id, agent_id=BEN, began_at=at(60), absent_elsewhere=True
        )
        chat = an_assigned_chat(asked_again_at=NOW, doubt=Doubt.ASKED_AGAIN, settle_at=at(5))

        moved = only_change(adopt(listed, RULES, a_room(chat), at(61)))

        assert moved.asked_again_at is None


class TestAListedRoomThatWeHoldForTheSameAgent:
    @pytest.mark.parametrize("chat", [a_reserved_chat(), an_assigned_chat()])
    def test_changes_nothing(self, chat: Chat) -> None:
        assert adopt(a_listed_room(), RULES, a_room(chat), at(61)) == Decided(Adopting.KNOWN)

    def test_takes_back_the_suspicion_that_it_was_missing(self) -> None:
        chat = an_assigned_chat(doubt=Doubt.NOT_LISTED, settle_at=at(20))

        decided = adopt(a_listed_room(), RULES, a_room(chat), at(61))

        cleared = only_change(decided)
        assert decided.answer is Adopting.CLEARED
        assert (cleared.doubt, cleared.settle_at) == (None, None)

    @pytest.mark.parametrize("doubt", [Doubt.ASKED_AGAIN, Doubt.LATE_SUCCESS])
    def test_answers_any_other_doubt_as_a_reading_does(self, doubt: Doubt) -> None:
        chat = an_assigned_chat(doubt=doubt, settle_at=at(20), asked_again_at=at(15))

        cleared = only_change(adopt(a_listed_room(), RULES, a_room(chat), at(61)))

        assert (cleared.doubt, cleared.asked_again_at) == (None, None)

    def test_answers_nothing_that_is_younger_than_it_can_show(self) -> None:
        chat = an_assigned_chat(doubt=Doubt.ASKED_AGAIN, changed_at=at(56), asked_again_at=at(56))

        decided = adopt(a_listed_room(began_at=at(60)), RULES, a_room(chat), at(61))

        assert decided == Decided(Adopting.TOO_EARLY)


def test_a_chat_found_served_keeps_the_reservation_that_made_it() -> None:
    chat = a_reserved_chat(reservation_id=ReservationId(70))

    assert only_change(read(chat, RoomState.SERVED, listed=True)).reservation_id == 70
