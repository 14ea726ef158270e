from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from sebastian_adapters.memory.clock import EPOCH, InMemoryClock
from sebastian_adapters.testing.contracts.clock import ClockContract


class TestInMemoryClock(ClockContract):
    @pytest.fixture
    def clock(self) -> InMemoryClock:
        return InMemoryClock()


class TestInMemoryClockThatIsSteered(ClockContract):
    @pytest.fixture
    def clock(self) -> InMemoryClock:
        """Its source jumps back with every reading."""
        readings = iter(range(10_000, 0, -1))
        return InMemoryClock(seconds=lambda: next(readings))


def test_begins_at_the_given_start_in_utc() -> None:
    start = datetime(2024, 2, 29, 19, 0, tzinfo=timezone(timedelta(hours=7)))

    clock = InMemoryClock(start, seconds=lambda: 1e6)

    assert clock.now() == start
    assert clock.now().tzinfo is UTC


def test_goes_on_with_its_source() -> None:
    seconds = 100.0
    clock = InMemoryClock(seconds=lambda: seconds)

    seconds += 1.5

    assert clock.now() == EPOCH + timedelta(seconds=1.5)
    assert clock.monotonic() == 101.5


def test_is_moved_on_by_hand_in_both_its_readings() -> None:
    clock = InMemoryClock(seconds=lambda: 0.0)

    clock.advance(90)

    assert clock.now() == EPOCH + timedelta(seconds=90)
    assert clock.monotonic() == 90.0


def test_waits_for_a_source_that_went_back() -> None:
    seconds = 10.0
    clock = InMemoryClock(seconds=lambda: seconds)
    seconds = 12.0
    latest = clock.now()

    seconds = 11.0

    assert clock.now() == latest


def test_does_not_go_back_by_hand() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        InMemoryClock().advance(-1)
