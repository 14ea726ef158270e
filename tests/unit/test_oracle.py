"""The oracle itself: what it lets pass, and what it must not let pass."""

from __future__ import annotations

import pytest
from attrs import evolve

from sebastian_core.domain.chat import ChatState, Doubt, Transition
from tests.oracle import Capacities, Judging, Promise, Snapshot, judge
from tests.oracle.perfect import Customer, perfect_waits
from tests.oracle.story import Story

ANNA, BEN = 1, 2


def broken(story: Story, judging: Judging | None = None, ended_at: float = 100.0) -> set[Promise]:
    """Which promises the oracle sees broken."""
    return set(judge(story.record(ended_at), judging).counts)


def a_quiet_floor() -> Story:
    """Two agents, two chats, served one after the other."""
    story = Story()
    story.online(ANNA, BEN)
    story.served(1, ANNA, 20.0, until=30.0)
    story.served(2, BEN, 21.0, until=31.0)
    return story


def test_a_floor_where_all_went_well_breaks_nothing() -> None:
    assert broken(a_quiet_floor()) == set()


def test_an_acknowledged_arrival_without_a_chat_is_not_durable() -> None:
    story = a_quiet_floor()
    story.happens("opened", 40.0, 9, by="customer")
    story.acknowledged(9, 40.0)
    story.happens("assigned", 41.0, 9, ANNA, by="person")
    story.happens("resolved", 42.0, 9, by="agent")

    assert broken(story) == {Promise.P1}


def test_a_chat_that_ends_right_after_its_acknowledgement_was_durable() -> None:
    story = a_quiet_floor()
    story.arrives(9, 40.0)
    story.happens("resolved", 40.006, 9, by="person")
    story.row(9, Transition.CLOSE, 40.008, reason="taken out by hand")

    assert broken(story) == set()


def test_a_chat_that_ended_before_its_acknowledgement_was_not_durable() -> None:
    story = a_quiet_floor()
    story.arrives(9, 40.0)
    story.row(9, Transition.CLOSE, 39.9, reason="taken out by hand")
    story.happens("resolved", 41.0, 9, by="person")

    assert Promise.P1 in broken(story)


def test_an_acknowledged_repeat_of_a_served_request_needs_no_chat() -> None:
    story = a_quiet_floor()
    story.acknowledged(1, 50.0)

    assert broken(story) == set()


def test_a_customer_whom_nobody_serves_at_the_end_is_lost() -> None:
    story = a_quiet_floor()
    story.happens("opened", 40.0, 9, by="customer")

    assert broken(story) == {Promise.P2}


@pytest.mark.parametrize("last", [Transition.ADMIT, Transition.RESERVE])
def test_a_chat_that_waits_or_is_reserved_at_the_end_is_lost(last: Transition) -> None:
    story = a_quiet_floor()
    story.arrives(3, 98.0)
    if last is Transition.RESERVE:
        story.row(3, Transition.RESERVE, 98.1, agent_id=ANNA)
    story.happens("assigned", 98.5, 3, ANNA, by="person")

    assert broken(story) == {Promise.P2}


def test_a_chat_may_wait_at_the_end_where_nobody_is_free() -> None:
    story = Story()
    story.online(ANNA)
    story.offline(ANNA, 50.0)
    story.arrives(1, 60.0)

    assert broken(story) == set()


def test_a_slot_that_is_held_for_a_resolved_room_at_the_end_is_lost() -> None:
    story = Story()
    story.online(ANNA)
    story.arrives(1, 20.0)
    story.given(1, ANNA, 20.1)
    story.happens("resolved", 25.0, 1, by="agent")

    assert broken(story) == {Promise.P2}


def test_a_room_that_we_give_twice_has_two_agents() -> None:
    story = a_quiet_floor()
    story.happens("assigned", 25.0, 1, BEN, by="api")

    assert broken(story) == {Promise.P3}


def test_a_room_that_we_give_although_a_person_gave_it_has_two_agents() -> None:
    story = a_quiet_floor()
    story.happens("assigned", 20.015, 1, BEN, by="person")
    story.happens("removed", 20.016, 1, ANNA, by="person")
    story.happens("assigned", 20.017, 1, ANNA, by="api")

    assert broken(story) == {Promise.P3}


def test_a_room_that_a_person_emptied_may_be_given_again() -> None:
    story = a_quiet_floor()
    story.happens("removed", 25.0, 1, ANNA, by="person")
    story.happens("assigned", 25.1, 1, BEN, by="api")

    assert Promise.P3 not in broken(story)


def test_whoever_holds_as_many_as_they_may_can_not_be_given_another() -> None:
    story = Story()
    story.online(ANNA)
    for chat_id in (1, 2, 3):
        story.arrives(chat_id, 20.0 + chat_id)
        story.given(chat_id, ANNA, 20.1 + chat_id)
    for chat_id in (1, 2, 3):
        story.resolved(chat_id, 30.0 + chat_id)

    assert broken(story) == {Promise.P4}
    assert broken(story, Judging(capacities=Capacities(default=3))) == set()


def test_a_capacity_counts_from_when_it_was_set() -> None:
    story = a_quiet_floor()
    story.served(3, ANNA, 40.0, until=41.0)
    lowered = Capacities(changes={ANNA: [(35.0, 0)]})

    assert broken(story, Judging(capacities=lowered)) == {Promise.P4}


def test_two_of_one_pass_count_together() -> None:
    story = Story()
    story.online(ANNA)
    story.arrives(1, 20.0)
    story.arrives(2, 20.1)
    for chat_id in (1, 2):
        story.row(chat_id, Transition.RESERVE, 20.2, agent_id=ANNA)
        story.happens("assigned", 20.3, chat_id, ANNA, by="api")
        story.happens("resolved", 21.0, chat_id, by="agent")
    for chat_id in (1, 2):
        story.row(chat_id, Transition.CONFIRM, 20.3, agent_id=ANNA)
        story.row(chat_id, Transition.CLOSE, 21.0)

    assert broken(story, Judging(capacities=Capacities(default=1))) == {Promise.P4}


def test_two_passes_that_could_not_see_each_other_count_together() -> None:
    story = Story()
    story.online(ANNA)
    story.arrives(1, 20.0)
    story.arrives(2, 20.1)
    for chat_id, xid in ((1, 30), (2, 31)):
        story.row(chat_id, Transition.RESERVE, 20.2, agent_id=ANNA, xid=xid)
        story.passed(xid, 20.2, "30:32:30,31")
        story.happens("assigned", 20.3, chat_id, ANNA, by="api")
        story.happens("resolved", 21.0, chat_id, by="agent")
    for chat_id in (1, 2):
        story.row(chat_id, Transition.CONFIRM, 20.3, agent_id=ANNA, xid=40 + chat_id)
        story.row(chat_id, Transition.CLOSE, 21.0, xid=50 + chat_id)

    assert Promise.P4 in broken(story, Judging(capacities=Capacities(default=1)))
    assert Promise.P4 not in broken(story, Judging(capacities=Capacities(default=2)))


@pytest.mark.parametrize(("since", "is_over"), [(20.0, True), (39.0, False)])
def test_a_chat_given_by_hand_counts_once_we_must_have_seen_it(since: float, is_over: bool) -> None:
    story = Story()
    story.online(ANNA)
    story.happens("opened", since, 9, by="customer")
    story.happens("assigned", since, 9, ANNA, by="person")
    story.served(1, ANNA, 40.0, until=41.0)
    story.happens("resolved", 42.0, 9, by="agent")
    one_each = Judging(capacities=Capacities(default=1))

    assert broken(story, one_each) == ({Promise.P4} if is_over else set())


def test_a_room_that_we_gave_and_forgot_still_counts_at_the_platform() -> None:
    story = Story()
    story.online(ANNA)
    story.arrives(1, 20.0)
    story.given(1, ANNA, 20.1)
    story.row(1, Transition.CLOSE, 22.0, reason="a resolve of the chat before, taken for its own")
    story.served(2, ANNA, 23.0, until=24.0)
    story.happens("resolved", 25.0, 1, by="agent")

    assert broken(story, Judging(capacities=Capacities(default=1))) == {Promise.P4}


def two_in_line(reason: str = "the customer asked") -> Story:
    """Two chats wait; the second is given, the first only later."""
    story = Story()
    story.online(ANNA, BEN)
    story.arrives(1, 20.0, reason=reason)
    story.arrives(2, 20.01)
    return story


def end_of(story: Story) -> Story:
    """Both are served to their end."""
    story.given(1, ANNA, 20.06)
    story.resolved(1, 22.0)
    story.resolved(2, 23.0)
    return story


def test_a_pass_can_not_leave_the_older_one_waiting() -> None:
    story = two_in_line()
    story.given(2, ANNA, 20.03)

    assert broken(end_of(story)) == {Promise.P5}


def test_a_pass_can_leave_a_doubtful_one_waiting() -> None:
    story = two_in_line(reason=Doubt.LATE_REPEAT)
    story.given(2, ANNA, 20.03)
    story.row(1, Transition.CLEAR, 20.05)

    assert broken(end_of(story)) == set()


def test_a_pass_can_leave_a_refused_one_waiting_until_its_delay_is_over() -> None:
    story = two_in_line()
    story.row(1, Transition.RESERVE, 20.015, agent_id=ANNA)
    story.row(1, Transition.REFUSE, 20.02, details={"refusals": 1})
    story.given(2, ANNA, 20.03)

    assert broken(end_of(story)) == set()


def test_a_pass_can_not_see_what_its_snapshot_did_not_show() -> None:
    for snapshot, seen in (("10:20:15", set()), ("16:20:", {Promise.P5})):
        story = two_in_line()
        story.rows[0] = evolve(story.rows[0], xid=15)
        story.rows[1] = evolve(story.rows[1], xid=9)
        story.given(2, ANNA, 20.03, xid=21)
        story.passed(21, 20.03, snapshot)
        end_of(story)
        story.rows[4:] = [evolve(row, xid=30 + row.seq) for row in story.rows[4:]]

        assert broken(story) == seen


def test_a_pass_does_not_see_what_it_gives_itself() -> None:
    story = Story()
    story.online(ANNA)
    story.arrives(1, 20.0)
    story.row(1, Transition.RESERVE, 20.1, agent_id=ANNA, xid=30)
    story.passed(30, 20.1, "30:32:")  # 31 had ended; 30 is never among its own running ones
    story.happens("assigned", 20.2, 1, ANNA, by="api")
    story.happens("resolved", 21.0, 1, by="agent")
    story.row(1, Transition.CONFIRM, 20.2, agent_id=ANNA, xid=40)
    story.row(1, Transition.CLOSE, 21.0, reason="resolved", xid=50)

    assert broken(story, Judging(capacities=Capacities(default=1))) == set()


def test_chats_of_two_channels_stand_in_two_lines() -> None:
    story = Story()
    story.online(ANNA, BEN)
    story.arrives(1, 20.0, channel=7)
    story.arrives(2, 20.01, channel=8)
    story.given(2, ANNA, 20.03)

    assert broken(end_of(story)) == set()


def two_calls(first_at: float, second_at: float) -> Story:
    """The first of two customers is acknowledged well before the second, and assigned well after.

    Their slots are given at these moments.
    """
    story = Story()
    story.online(ANNA, BEN)
    story.arrives(1, 20.0)
    story.arrives(2, 20.2)
    if first_at < second_at:
        story.row(1, Transition.RESERVE, first_at, agent_id=ANNA)
    story.given(2, BEN, second_at)
    if first_at > second_at:
        story.row(1, Transition.RESERVE, first_at, agent_id=ANNA)
    story.happens("assigned", 20.5, 1, ANNA, by="api")
    story.row(1, Transition.CONFIRM, 20.5, agent_id=ANNA)
    story.resolved(1, 22.0)
    story.resolved(2, 23.0)
    return story


def test_somebody_can_not_be_overtaken_at_the_platform_by_a_slot_given_before_theirs() -> None:
    verdict = judge(two_calls(first_at=20.4, second_at=20.22).record())

    assert any("at the platform" in each.sentence for each in verdict.of(Promise.P5))


def test_two_calls_under_way_at_once_can_cross_and_are_told() -> None:
    verdict = judge(two_calls(first_at=20.21, second_at=20.22).record())

    assert verdict.is_clean
    assert len(verdict.crossed) == 1


def test_somebody_released_meanwhile_can_be_assigned_after_the_other() -> None:
    story = Story()
    story.online(ANNA, BEN)
    story.arrives(1, 20.0)
    story.arrives(2, 20.2)
    story.row(1, Transition.RESERVE, 20.21, agent_id=ANNA)
    story.given(2, BEN, 20.22)
    story.row(1, Transition.RELEASE, 20.3, reason="the agent is not online")
    story.given(1, BEN, 20.5)
    story.resolved(1, 22.0)
    story.resolved(2, 23.0)

    assert broken(story) == set()


@pytest.mark.parametrize(("left_at", "is_late"), [(19.9, False), (15.0, True)])
def test_only_who_left_during_the_last_call_can_be_given_a_chat(
    left_at: float, is_late: bool
) -> None:
    story = Story()
    story.online(ANNA, BEN)
    story.offline(ANNA, left_at)
    story.served(1, ANNA, 20.0, until=21.0)

    verdict = judge(story.record())

    assert set(verdict.counts) == ({Promise.P6} if is_late else set())
    assert len(verdict.offline_gifts) == 1
    assert len(verdict.left_during_call) == (0 if is_late else 1)


def test_without_verification_a_reading_may_be_as_old_as_configured() -> None:
    story = Story()
    story.online(ANNA, BEN)
    story.offline(ANNA, 5.0)
    story.served(1, ANNA, 20.0, until=21.0)

    assert broken(story, Judging(verify=False)) == set()
    assert broken(story, Judging(verify=False, presence_max_age_seconds=10)) == {Promise.P6}


def test_a_ready_chat_can_not_wait_long_beside_a_free_agent() -> None:
    story = Story()
    story.online(ANNA)
    story.arrives(1, 20.0)
    story.given(1, ANNA, 24.0)
    story.resolved(1, 25.0)

    assert broken(story) == {Promise.P7}
    assert broken(story, Judging(outages=[(20.5, 23.5)])) == set()
    assert broken(story, Judging(idle_seconds=None)) == set()


def test_a_ready_chat_can_wait_while_everybody_is_full_or_not_known_to_be_online() -> None:
    story = Story()
    story.online(ANNA)
    story.served(1, ANNA, 20.0, until=30.0)
    story.online(BEN, at=22.0)
    story.arrives(2, 21.0)
    story.given(2, BEN, 32.0)
    story.resolved(2, 33.0)

    assert broken(story, Judging(capacities=Capacities(default=1))) == set()


def test_a_chat_that_is_always_tried_first_can_not_hide_the_one_behind_it() -> None:
    story = Story()
    story.online(ANNA)
    story.arrives(1, 20.0)
    story.arrives(2, 20.0)
    for second in range(14):
        story.row(1, Transition.RESERVE, 21.0 + second, agent_id=ANNA)
        story.row(1, Transition.RELEASE, 21.5 + second)
    story.given(2, ANNA, 35.0)
    story.given(1, ANNA, 35.1)
    story.resolved(1, 36.0)
    story.resolved(2, 37.0)

    assert Promise.P8 in broken(story)


def test_every_version_of_a_chat_must_be_told() -> None:
    story = a_quiet_floor()
    del story.rows[1]

    assert Promise.P9 in broken(story)


def test_a_move_must_be_legal() -> None:
    story = a_quiet_floor()
    story.arrives(3, 40.0)
    story.row(3, Transition.CONFIRM, 40.1, agent_id=ANNA)
    story.happens("assigned", 40.1, 3, ANNA, by="person")
    story.resolved(3, 41.0)

    assert broken(story) == {Promise.P9}


def test_a_chat_must_be_what_its_last_row_says() -> None:
    story = a_quiet_floor()
    story.chats[1] = evolve(story.chats[1], agent_id=BEN)

    assert broken(story) == {Promise.P9}


def test_a_room_has_one_live_chat_at_most() -> None:
    story = a_quiet_floor()
    story.arrives(3, 40.0)
    story.arrives(4, 40.1)
    story.rows[-1] = evolve(story.rows[-1], room_id="room3")
    story.given(3, ANNA, 40.2)
    story.given(4, BEN, 40.2)
    story.resolved(3, 41.0)
    story.resolved(4, 41.0)

    assert Promise.P9 in broken(story)


def test_a_chat_closes_for_a_known_reason() -> None:
    story = a_quiet_floor()
    story.chats[1] = evolve(story.chats[1], close_reason=None)

    assert broken(story) == {Promise.P9}


def test_a_violation_names_room_chat_and_moments_and_brings_its_history() -> None:
    story = two_in_line()
    story.given(2, ANNA, 20.03)

    violation = judge(end_of(story).record()).violations[0]

    assert "gave chat 2 (room room2, arrived 0.010 s) and left chat 1" in violation.sentence
    assert violation.chat_id == 1
    assert any("chat 1 v1" in line for line in violation.evidence)


def test_snapshots_see_what_postgresql_sees() -> None:
    snapshot = Snapshot.parse("10:20:12,15")

    assert [xid for xid in (9, 10, 12, 15, 19, 20) if snapshot.sees(xid)] == [9, 10, 19]


def test_a_perfect_allocator_waits_only_for_slots() -> None:
    customers = [Customer(arrived_at=at, service_seconds=10.0) for at in (0.0, 1.0, 2.0)]

    waits = perfect_waits(customers, [(0.0, ANNA, True)], Capacities(default=2))

    assert waits == [0.0, 0.0, 8.0]


def test_a_perfect_allocator_leaves_to_people_what_they_take() -> None:
    customers = [
        Customer(arrived_at=0.0, service_seconds=3.0),
        Customer(arrived_at=1.0, service_seconds=5.0, by_hand_at=2.0, by_hand_agent=ANNA),
        Customer(arrived_at=1.5, service_seconds=1.0),
    ]
    presence, one = [(0.0, ANNA, True)], Capacities(default=1)

    assert perfect_waits(customers, presence, one) == [0.0, 1.0, 5.5]
    assert perfect_waits(customers, presence, one, hands_fill_slots=False) == [0.0, 1.0, 1.5]


def test_a_perfect_allocator_gives_nothing_to_who_is_away() -> None:
    customers = [Customer(arrived_at=1.0, service_seconds=1.0)]
    presence = [(0.0, ANNA, True), (0.5, ANNA, False), (4.0, BEN, True)]

    assert perfect_waits(customers, presence, Capacities()) == [3.0]


def test_a_chat_that_waits_at_the_end_is_not_judged_while_the_run_goes_on() -> None:
    story = a_quiet_floor()
    story.arrives(3, 99.0)

    assert broken(story, Judging(is_over=False)) == set()
    assert story.chats[3].state is ChatState.WAITING
