"""A slot held while the assign call is under way: every word about it is fenced."""

from __future__ import annotations

from functools import partial

import pytest

from sebastian_core.domain.chat import ONLY_AT_MOST, Chat, ChatState, Doubt, Needs, Transition
from sebastian_core.domain.ids import AgentId, ReservationId
from sebastian_core.domain.in_doubt import RoomState, settle
from sebastian_core.domain.reservation import (
    FenceOutcome,
    Reservation,
    confirm,
    doubt_attempt,
    pass_over,
    refuse,
    release,
    reserve,
)
from sebastian_core.domain.room import AgentRecheck, Decided
from sebastian_core.domain.rules import Rules
from tests.unit.core.building import (
    ANNE,
    BEN,
    CLEO,
    NOW,
    RULES,
    WIDGET,
    a_chat,
    a_reserved_chat,
    a_room,
    a_waiting_chat,
    an_assigned_chat,
    at,
    evidence,
    only_change,
)
from tests.unit.core.words import NOT_APPLIED, RESERVATION, doubt

WORDS = NOT_APPLIED | {"doubt": doubt}


class TestReserving:
    change = reserve(a_waiting_chat(), ANNE, ReservationId(70), RULES, at(60))

    def test_takes_a_slot_of_the_agent_until_the_deadline(self) -> None:
        chat = self.change.chat

        assert (chat.state, chat.agent_id, chat.holds_slot) == (ChatState.RESERVED, ANNE, True)
        assert chat.settle_at == at(60) + RULES.reservation

    def test_carries_its_number_its_agent_and_its_deadline(self) -> None:
        reservation = Reservation.of(self.change.chat)

        assert reservation == Reservation(ReservationId(70), self.change.chat, ANNE, at(70))

    def test_keeps_the_place_in_the_line(self) -> None:
        assert self.change.chat.arrived_at == NOW

    @pytest.mark.parametrize("state", [ChatState.RESERVED, ChatState.ASSIGNED, ChatState.CLOSED])
    def test_cannot_be_done_to_a_chat_that_does_not_wait(self, state: ChatState) -> None:
        with pytest.raises(ValueError, match="reserve does not lead"):
            reserve(a_chat(state), ANNE, ReservationId(70), RULES, NOW)

    def test_cannot_be_read_off_a_chat_that_is_not_reserved(self) -> None:
        with pytest.raises(ValueError, match="is not reserved"):
            Reservation.of(a_waiting_chat())


class TestConfirming:
    def confirm(self, chat: Chat | None) -> Decided[FenceOutcome]:
        return confirm(RESERVATION, RULES, a_room(chat), at(3))

    def test_makes_an_assignment_of_the_reservation(self) -> None:
        decided = self.confirm(a_reserved_chat(refusals=2, refused_by=BEN))

        chat = only_change(decided)
        assert decided.answer is FenceOutcome.DONE
        assert (chat.state, chat.agent_id, chat.assigned_at) == (ChatState.ASSIGNED, ANNE, at(3))
        assert (chat.settle_at, chat.doubt) == (None, None)
        assert (chat.refusals, chat.refused_by) == (0, None)

    def test_said_again_changes_nothing(self) -> None:
        assert self.confirm(an_assigned_chat()) == Decided(FenceOutcome.REPEATED)

    def test_does_not_sweep_away_a_resolve_that_came_meanwhile(self) -> None:
        suspect = a_reserved_chat(doubt=Doubt.UNNAMED_RESOLVE, settle_at=at(6), changed_at=at(1))

        chat = only_change(self.confirm(suspect))

        assert chat.state is ChatState.ASSIGNED
        assert (chat.doubt, chat.settle_at) == (Doubt.UNNAMED_RESOLVE, at(8))


class TestA2xxThatOutlivesItsFence:
    def confirm(self, chat: Chat | None) -> Decided[FenceOutcome]:
        return confirm(RESERVATION, RULES, a_room(chat), at(30))

    watch = AgentRecheck(agent_id=ANNE, list_at=at(35))

    def test_has_the_rooms_of_its_agent_listed_once_the_platform_has_caught_up(self) -> None:
        for chat in (None, a_waiting_chat(), an_assigned_chat(reservation_id=None)):
            assert self.confirm(chat).watches == (self.watch,)

    @pytest.mark.parametrize(
        ("chat", "seconds"),
        [
            (a_waiting_chat(), 35),
            (a_reserved_chat(reservation_id=ReservationId(71), agent_id=BEN), 39),
            (an_assigned_chat(reservation_id=ReservationId(71), agent_id=BEN), 35),
        ],
    )
    def test_has_its_chat_settled_as_soon_as_a_reading_counts_whatever_became_of_it(
        self, chat: Chat, seconds: int
    ) -> None:
        decided = self.confirm(chat)

        settled = only_change(decided)
        assert decided.answer is FenceOutcome.GONE
        assert (settled.doubt, settled.settle_at) == (Doubt.LATE_SUCCESS, at(seconds))
        assert (settled.state, settled.agent_id) == (chat.state, chat.agent_id)

    def test_cannot_touch_the_next_chat_of_the_room(self) -> None:
        assert self.confirm(a_waiting_chat(id=2)) == Decided(
            FenceOutcome.GONE, watches=(self.watch,)
        )

    def test_cannot_bring_a_closed_chat_back(self) -> None:
        assert self.confirm(None) == Decided(FenceOutcome.GONE, watches=(self.watch,))

    def test_is_not_forgotten_when_the_next_reservation_ends(self) -> None:
        other = a_reserved_chat(reservation_id=ReservationId(71), agent_id=BEN)
        doubted = only_change(self.confirm(other))

        released = only_change(
            release(Reservation.of(doubted), "offline", RULES, a_room(doubted), at(31))
        )

        assert (released.doubt, released.settle_at) == (Doubt.LATE_SUCCESS, at(36))


@pytest.mark.parametrize("word", WORDS)
class TestEveryOtherWordAboutAReservation:
    def test_is_heard_while_the_reservation_lives(self, word: str) -> None:
        decided = WORDS[word](a_room(a_reserved_chat()))

        assert decided.answer is FenceOutcome.DONE
        assert only_change(decided).version == 2

    @pytest.mark.parametrize(
        "chat",
        [
            None,
            a_waiting_chat(),
            an_assigned_chat(),
            a_reserved_chat(reservation_id=ReservationId(71)),
        ],
    )
    def test_is_lost_once_it_is_gone(self, word: str, chat: Chat | None) -> None:
        assert WORDS[word](a_room(chat)) == Decided(FenceOutcome.GONE)


@pytest.mark.parametrize("word", NOT_APPLIED)
class TestEveryWayBackIntoTheLine:
    def test_keeps_the_place_and_frees_the_slot(self, word: str) -> None:
        chat = only_change(WORDS[word](a_room(a_reserved_chat(arrived_at=at(-90)))))

        assert (chat.state, chat.arrived_at) == (ChatState.WAITING, at(-90))
        assert (chat.agent_id, chat.reservation_id, chat.holds_slot) == (None, None, False)

    def test_tells_the_history_whose_slot_it_was(self, word: str) -> None:
        (change,) = WORDS[word](a_room(a_reserved_chat())).changes

        assert change.details["agent"] == ANNE
        assert change.details["reservation"] == 70

    def test_does_not_sweep_away_a_resolve_that_came_meanwhile(self, word: str) -> None:
        suspect = a_reserved_chat(doubt=Doubt.UNNAMED_RESOLVE, settle_at=at(6), changed_at=at(1))

        chat = only_change(WORDS[word](a_room(suspect)))

        assert chat.is_doubtful


class TestAReleasedChat:
    def test_is_ready_at_once(self) -> None:
        chat = only_change(WORDS["release"](a_room(a_reserved_chat())))

        assert chat.is_ready(at(3))
        assert (chat.refusals, chat.doubt) == (0, None)

    def test_is_not_ready_before_it_is_settled_where_the_room_no_longer_waited(self) -> None:
        chat = only_change(WORDS["release doubtful"](a_room(a_reserved_chat())))

        assert (chat.doubt, chat.settle_at) == (Doubt.REFUSED_NOT_WAITING, at(8))
        assert not chat.is_ready(at(3600))


class TestAPassedOverChat:
    def pass_over(self, eligible: list[AgentId], **chat: object) -> Chat:
        room = a_room(a_reserved_chat(**chat))
        return only_change(pass_over(RESERVATION, eligible, RULES, room, at(3)))

    def test_is_kept_to_the_agents_whom_the_platform_named(self) -> None:
        chat = self.pass_over([BEN, CLEO], needs=Needs(WIDGET))

        assert chat.needs == Needs(WIDGET, frozenset({BEN, CLEO}))
        assert chat.is_ready(at(3))

    def test_waits_where_the_platform_named_nobody(self) -> None:
        assert self.pass_over([]).needs == Needs(only=frozenset())

    def test_is_kept_so_for_a_while_that_doubles(self) -> None:
        first, second = self.pass_over([BEN]), self.pass_over([BEN], passes=1)

        assert (first.passes, first.excluded_until) == (1, at(33))
        assert (second.passes, second.excluded_until) == (2, at(63))

    def test_remembers_the_first_of_very_many(self) -> None:
        agents = [AgentId(number) for number in range(1, 5000)]

        assert self.pass_over(agents).needs.only == frozenset(agents[:ONLY_AT_MOST])


class TestARefusedChat:
    def refuse(self, refusals: int) -> Chat:
        room = a_room(a_reserved_chat(refusals=refusals))
        return only_change(refuse(RESERVATION, "no", RULES, room, at(0)))

    @pytest.mark.parametrize(
        ("refusals", "seconds"), [(0, 2), (1, 4), (2, 8), (7, 256), (8, 300), (10**6, 300)]
    )
    def test_rests_ever_longer_up_to_a_limit(self, refusals: int, seconds: int) -> None:
        chat = self.refuse(refusals)

        assert (chat.refusals, chat.ready_at) == (refusals + 1, at(seconds))
        assert not chat.is_ready(at(seconds - 0.001))
        assert chat.is_ready(at(seconds))

    def test_remembers_who_refused_it_last(self) -> None:
        assert self.refuse(0).refused_by == ANNE

    def test_is_no_doubtful_one(self) -> None:
        assert not self.refuse(0).is_doubtful


class TestAnAttemptOfUnknownEnd:
    def test_keeps_the_slot_until_the_platform_must_have_caught_up(self) -> None:
        chat = only_change(WORDS["doubt"](a_room(a_reserved_chat())))

        assert (chat.holds_slot, chat.agent_id) == (True, ANNE)
        assert (chat.doubt, chat.settle_at) == (Doubt.UNKNOWN_ANSWER, at(8))

    @pytest.mark.parametrize(
        ("doubt", "move"),
        [
            (Doubt.UNKNOWN_ANSWER, Transition.REFUSE),
            (Doubt.OTHER_AGENT, Transition.RELEASE),
            (Doubt.OUTAGE, Transition.RELEASE),
        ],
    )
    def test_counts_as_a_refusal_where_the_room_waits_and_the_account_was_well(
        self, doubt: Doubt, move: Transition
    ) -> None:
        doubted = only_change(
            doubt_attempt(RESERVATION, doubt, RULES, a_room(a_reserved_chat()), at(3))
        )

        settled = settle(
            doubted.id,
            doubted.version,
            evidence(RoomState.WAITING, at(8)),
            RULES,
            a_room(doubted),
            at(9),
        )

        assert [change.move for change in settled.changes] == [move]


class TestDurations:
    @pytest.mark.parametrize(
        ("passes", "seconds"), [(1, 30), (2, 60), (5, 480), (6, 600), (400, 600)]
    )
    def test_an_exclusion_doubles_up_to_a_limit(self, passes: int, seconds: int) -> None:
        assert RULES.exclusion_after(passes).total_seconds() == seconds

    def test_a_call_begun_in_time_ends_before_the_deadline_and_shows_in_a_reading_after_it(
        self,
    ) -> None:
        """What lets a reservation of a dead worker be settled from its deadline on."""
        rules = Rules()

        last_begin = rules.reservation - rules.call

        assert last_begin + rules.call <= rules.reservation
        assert last_begin + rules.settle <= rules.reservation


def test_two_words_about_one_reservation_let_the_first_win() -> None:
    room = a_room(a_reserved_chat())
    heard = []

    for word in (
        partial(release, RESERVATION, "first", RULES),
        partial(confirm, RESERVATION, RULES),
    ):
        decided = word(room, at(3))
        heard.append(decided.answer)
        room = decided.room or room

    assert heard == [FenceOutcome.DONE, FenceOutcome.GONE]
    assert room.chat is not None
    assert room.chat.doubt is Doubt.LATE_SUCCESS
