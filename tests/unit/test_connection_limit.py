"""Who is sent away when there are too many connections, and how often that is told."""

from __future__ import annotations

from collections import Counter

import pytest
import structlog
from attrs import define, field

from sebastian_apps.http.connection_limit import (
    CROWDED,
    PASSING_LIMIT,
    SPARE_FILES,
    ConnectionLimit,
    LimitedConnection,
)


@define(eq=False)
class Someone(LimitedConnection):
    """A connection that remembers whether it was sent away."""

    was_sent_away: bool = field(default=False, init=False)

    def send_away(self) -> None:
        self.was_sent_away = True


def entered(door: ConnectionLimit, number: int, descriptor: int = 10) -> list[Someone]:
    everybody = [Someone() for _ in range(number)]
    for someone in everybody:
        door.enter(someone, descriptor)
    return everybody


def sent_away(everybody: list[Someone]) -> list[int]:
    return [number for number, someone in enumerate(everybody) if someone.was_sent_away]


def test_with_one_too_many_the_one_that_waits_longest_is_sent_away() -> None:
    everybody = entered(ConnectionLimit(connection_limit=3), 5)

    assert sent_away(everybody) == [0, 1]


def test_who_asked_is_not_sent_away_before_the_answer() -> None:
    door = ConnectionLimit(connection_limit=3)
    first, second, *_ = entered(door, 3)

    door.works(first)
    entered(door, 1)

    assert (first.was_sent_away, second.was_sent_away) == (False, True)


def test_after_the_answer_it_is_the_youngest_of_those_who_wait() -> None:
    door = ConnectionLimit(connection_limit=3)
    everybody = entered(door, 3)

    door.works(everybody[0])
    door.waits(everybody[0])
    entered(door, 2)

    assert sent_away(everybody) == [1, 2]


def test_if_nobody_waits_the_new_one_is_sent_away() -> None:
    door = ConnectionLimit(connection_limit=2)
    everybody = entered(door, 2)
    for someone in everybody:
        door.works(someone)

    (late,) = entered(door, 1)

    assert sent_away(everybody) == []
    assert late.was_sent_away


def test_a_high_file_descriptor_is_one_too_many() -> None:
    door = ConnectionLimit(file_limit=64)
    (early,) = entered(door, 1)

    entered(door, 1, descriptor=64 - SPARE_FILES)

    assert early.was_sent_away


def test_who_left_counts_no_more() -> None:
    door = ConnectionLimit(connection_limit=2)
    first, _ = entered(door, 2)

    door.leave(first)
    entered(door, 1)

    assert not first.was_sent_away


def test_few_may_pass_over_a_body_at_once() -> None:
    door = ConnectionLimit()
    everybody = entered(door, PASSING_LIMIT + 1)

    assert [door.passes_over(each) for each in everybody] == [*[True] * PASSING_LIMIT, False]
    door.passed(everybody[0])
    assert door.passes_over(everybody[-1])


def test_each_end_is_counted_and_the_log_hears_of_it_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted, now = Counter[str](), [1000.0]
    monkeypatch.setattr("sebastian_apps.http.connection_limit.time.monotonic", lambda: now[0])
    monkeypatch.setattr("sebastian_apps.http.connection_limit.log", structlog.get_logger())
    door = ConnectionLimit(lambda why: counted.update([why]), connection_limit=1)
    with structlog.testing.capture_logs() as told:
        entered(door, 4)
        now[0] += 61
        entered(door, 1)

    assert counted == {CROWDED: 4}
    assert [event["number"] for event in told] == [1, 3]
