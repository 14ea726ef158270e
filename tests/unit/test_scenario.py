"""How a run on real processes is judged: what its metrics may tell, and when it stood still."""

from __future__ import annotations

import pytest

from sebastian_core.domain.chat import ChatState, Transition
from tests.oracle.record import Delivered, Record
from tests.oracle.story import Story
from tests.scenario.heartbeat import stalls_between
from tests.scenario.metrics import RESOLVES, Compared, unheard_rows, written_by_webhooks

ANNA = 1
CLOSED = (Transition.CLOSE, "resolved")


@pytest.mark.parametrize(("told", "agrees"), [(6, False), (7, True), (9, True), (10, False)])
def test_a_number_may_be_off_by_what_nobody_can_know(told: int, agrees: bool) -> None:
    number = Compared("closed", told, true=8, unheard=1, untold=1)

    assert number.agrees is agrees
    assert str(number) == f"closed: the metrics say {told}, it was 7 to 9"


def test_a_number_is_exact_where_everything_was_heard() -> None:
    assert not Compared("closed", 7, true=8).agrees


def resolved_at(at: float, *, answered_at: float, status: int) -> Record:
    """A chat that closes at a moment, with the one delivery of its resolve."""
    story = Story()
    story.arrives(1, 20.0)
    story.given(1, ANNA, 20.1)
    story.row(1, Transition.CLOSE, at, reason="resolved", xid=9)
    story.deliveries.append(
        Delivered(
            kind="resolved",
            room_id="room1",
            service_id=1,
            fired_at=30.0,
            sent_at=30.0,
            answered_at=answered_at,
            status=status,
        )
    )
    return story.record(100.0)


@pytest.mark.parametrize(
    ("at", "status", "unheard"), [(31.5, 503, 1), (31.5, 200, 0), (29.0, 503, 0), (33.0, 503, 0)]
)
def test_a_webhook_that_was_given_up_may_be_carried_out(
    at: float, status: int, unheard: int
) -> None:
    record = resolved_at(at, answered_at=31.0, status=status)

    assert unheard_rows(RESOLVES, written_by_webhooks(record)[CLOSED], record) == unheard


def test_whoever_closes_a_reserved_chat_is_a_worker() -> None:
    story = Story()
    story.arrives(1, 20.0)
    story.row(1, Transition.RESERVE, 20.1, agent_id=ANNA, xid=7)
    story.row(1, Transition.CLOSE, 30.0, reason="resolved", xid=8)

    written = written_by_webhooks(story.record(100.0))

    assert story.rows[-1].before is ChatState.RESERVED
    assert written[CLOSED] == []


def test_a_span_without_a_beat_is_one_in_which_the_machine_stood_still() -> None:
    assert stalls_between([1.0, 1.1, 1.2, 2.9, 3.0]) == [(1.2, 2.9)]
