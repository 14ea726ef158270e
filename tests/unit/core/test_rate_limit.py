"""Leave to start platform calls: the window, the rate, the duties' share, and what closes it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sebastian_core.domain.rate_limit import LEAST_WAIT_SECONDS, CircuitState, Limits, RateLimit


def some_permits(**limits: float) -> RateLimit:
    """Permits that were looked at once, at second nought."""
    permits = RateLimit(Limits(**limits))  # type: ignore[arg-type]
    permits.seconds_until_allowed(1, 0.0)
    return permits


class TestTheWindow:
    def test_lets_no_more_assignments_under_way_than_it_has_places(self) -> None:
        permits = some_permits(in_flight=3, rate=100.0, burst=100)

        assert permits.take(2, 1, 0.0) == 2
        assert permits.take(2, 1, 0.0) == 1
        assert permits.take(2, 1, 0.0) == 0

    def test_has_a_place_again_when_an_assignment_ended(self) -> None:
        permits = some_permits(in_flight=1, burst=10)
        permits.take(1, 1, 0.0)

        permits.end()

        assert permits.take(1, 1, 0.0) == 1

    def test_has_a_place_and_its_calls_again_where_nothing_was_sent(self) -> None:
        permits = some_permits(in_flight=5, burst=10)
        permits.take(5, 2, 0.0)

        permits.give_back(5, 2)

        assert permits.in_flight == 0
        assert permits.take(5, 2, 0.0) == 5

    def test_cannot_tell_when_it_has_a_place_again(self) -> None:
        permits = some_permits(in_flight=1)
        permits.take(1, 1, 0.0)

        assert permits.seconds_until_allowed(1, 0.0) == float("inf")


class TestTheRate:
    def test_lets_a_burst_through_and_then_so_many_a_second(self) -> None:
        permits = some_permits(rate=10.0, burst=20)

        assert permits.take(100, 2, 0.0) == 10
        assert permits.take(100, 2, 0.0) == 0
        assert permits.take(100, 2, 1.0) == 5

    def test_tells_how_long_until_the_next_assignment(self) -> None:
        permits = some_permits(rate=10.0, burst=20)
        permits.take(100, 2, 0.0)

        assert permits.seconds_until_allowed(2, 0.0) == pytest.approx(0.2)

    def test_never_asks_anybody_to_wait_for_less_than_can_be_seen(self) -> None:
        """A clock that shows 1e6 s cannot show 1e-14 s more: such a wait would never be over."""
        permits, now, waits = some_permits(rate=20.0, burst=1), 1e6, []
        for _ in range(1000):
            waits.append(permits.take_for_duty(now))
            now += waits[-1]

        assert [wait for wait in waits if 0 < wait < LEAST_WAIT_SECONDS] == []
        assert waits.count(0.0) >= 333, "two waits at most for each call"

    def test_never_puts_off_an_assignment_for_less_than_can_be_seen_after_a_429(self) -> None:
        permits = some_permits()
        permits.hold(0.3, 0.1)

        assert permits.seconds_until_allowed(1, 0.1 + 0.3 - 1e-14) == LEAST_WAIT_SECONDS

    def test_does_not_save_up_more_than_a_burst(self) -> None:
        permits = some_permits(rate=10.0, burst=20)

        assert permits.take(100, 1, 3600.0) == 20

    def test_never_gives_an_assignment_fewer_calls_than_it_needs(self) -> None:
        permits = some_permits(rate=1.0, burst=3)

        assert permits.take(100, 2, 0.0) == 1
        assert permits.take(100, 2, 0.5) == 0
        assert permits.take(100, 2, 1.0) == 1

    def test_has_room_for_one_assignment_even_where_the_burst_is_one(self) -> None:
        assert some_permits(burst=1).take(1, 2, 0.0) == 1

    def test_waits_longer_after_calls_that_came_on_top(self) -> None:
        permits = some_permits(rate=10.0, burst=10)
        permits.take(10, 1, 0.0)

        permits.charge(5)

        assert permits.take(10, 1, 0.5) == 0
        assert permits.take(10, 1, 0.65) == 1

    @given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 30), st.integers(1, 2))))
    @settings(max_examples=100, deadline=None)
    def test_is_kept_over_any_stretch_of_time(self, asks: list[tuple[float, int, int]]) -> None:
        permits, now, calls = some_permits(rate=20.0, burst=20, in_flight=10**6), 0.0, 0

        for pause, wanted, each in asks:
            now += pause
            calls += permits.take(wanted, each, now) * each

        assert calls <= 20 + 20 * now + 1e-6


class TestTheDutiesShare:
    def permits(self, *, busy: bool) -> RateLimit:
        permits = some_permits(rate=30.0, burst=30)
        permits.busy = busy
        return permits

    def take_all(self, permits: RateLimit, now: float) -> int:
        taken = 0
        while permits.take_for_duty(now) == 0.0:
            taken += 1
        return taken

    def test_is_all_of_the_rate_while_no_chat_is_ready(self) -> None:
        assert self.take_all(self.permits(busy=False), 0.0) == 30

    def test_is_a_third_while_chats_are_ready(self) -> None:
        permits = self.permits(busy=True)

        assert self.take_all(permits, 0.0) == 10
        assert self.take_all(permits, 1.0) == 10

    def test_is_kept_free_of_assignments_where_duties_wait(self) -> None:
        permits = self.permits(busy=True)
        permits.duties_waiting = 4

        assert permits.take(100, 2, 0.0) == 13
        assert self.take_all(permits, 0.0) == 4

    def test_cannot_keep_more_free_than_the_duties_may_take(self) -> None:
        permits = self.permits(busy=True)
        permits.duties_waiting = 1000

        assert permits.take(100, 1, 0.0) == 20

    def test_leaves_everything_to_assignments_where_no_duty_waits(self) -> None:
        assert self.permits(busy=True).take(100, 1, 0.0) == 30

    def test_tells_a_duty_how_long_to_wait(self) -> None:
        permits = self.permits(busy=False)
        self.take_all(permits, 0.0)

        assert permits.take_for_duty(0.0) == pytest.approx(1 / 30)

    def test_lets_assignments_through_where_duties_always_wait(self) -> None:
        permits = some_permits(rate=20.0, burst=20)
        permits.busy, permits.duties_waiting = True, 1

        assigned, asked = compete(permits, seconds=10)

        assert assigned >= 5 * 10
        assert 0 < asked <= 20 / 3 * 10 + 20 / 3

    def test_is_not_held_against_duties_that_worked_while_nobody_else_wanted_to(self) -> None:
        permits = some_permits(rate=20.0, burst=20)
        for tenth in range(100):
            permits.take_for_duty(tenth / 10)

        permits.busy = True

        assert permits.take_for_duty(10.2) <= 3 / 20

    def test_cannot_keep_a_small_burst_from_assigning(self) -> None:
        permits = some_permits(rate=5.0, burst=2)
        permits.busy, permits.duties_waiting = True, 3

        assert permits.take(1, 2, 0.0) == 1


def compete(permits: RateLimit, seconds: int) -> tuple[int, int]:
    """How many assignments and calls of duties came through, both asking a hundred times a second.

    An assignment costs two calls.
    """
    assigned = asked = 0
    for moment in range(seconds * 100):
        now = moment / 100
        taken = permits.take(10, 2, now)
        for _ in range(taken):
            permits.end()
        assigned += taken
        asked += permits.take_for_duty(now) == 0.0
    return assigned, asked


class TestA429:
    def test_holds_everything_for_as_long_as_it_asks(self) -> None:
        permits = some_permits()

        permits.hold(7.0, 0.0)

        assert permits.take(1, 1, 6.9) == 0
        assert permits.take_for_duty(6.9) > 0
        assert permits.seconds_until_allowed(1, 2.0) == 5.0
        assert permits.take(1, 1, 7.0) == 1

    @pytest.mark.parametrize(("asked", "held"), [(None, 1.0), (0.0, 1.0), (3600.0, 120.0)])
    def test_holds_a_moment_at_least_and_two_minutes_at_most(
        self, asked: float | None, held: float
    ) -> None:
        permits = some_permits()

        permits.hold(asked, 0.0)

        assert not permits.may_call(held - 0.001)
        assert permits.may_call(held)

    def test_cannot_be_shortened_by_a_later_one(self) -> None:
        permits = some_permits()

        permits.hold(60.0, 0.0)
        permits.hold(1.0, 0.0)

        assert not permits.may_call(59.0)


class TestTheBreaker:
    @pytest.mark.parametrize("standing", [CircuitState.OPEN, CircuitState.CREDENTIALS_REFUSED])
    def test_gives_nothing_until_a_probe_is_answered(self, standing: CircuitState) -> None:
        permits = some_permits()

        permits.open(standing, 0.0)

        assert permits.take(1, 1, 3600.0) == 0
        assert permits.take_for_duty(3600.0) > 0
        assert permits.seconds_until_allowed(1, 3600.0) == float("inf")
        permits.restore()
        assert permits.take(1, 1, 3600.0) == 1

    def test_is_probed_after_a_second_and_then_ever_less_often(self) -> None:
        permits, now, probed_at = some_permits(), 0.0, []
        permits.open(CircuitState.OPEN, now)

        while now < 20.0:
            now += 0.25
            if permits.probe_is_due(now):
                probed_at.append(now)
                permits.open(CircuitState.OPEN, now)

        assert probed_at == [1.0, 3.0, 7.0, 12.0, 17.0]

    def test_is_probed_a_minute_apart_for_refused_credentials(self) -> None:
        permits = some_permits()

        permits.open(CircuitState.CREDENTIALS_REFUSED, 0.0)

        assert not permits.probe_is_due(59.0)
        assert permits.probe_is_due(60.0)

    def test_begins_anew_with_the_next_outage(self) -> None:
        permits = some_permits()
        for now in range(10):
            permits.open(CircuitState.OPEN, float(now))
        permits.restore()

        permits.open(CircuitState.OPEN, 100.0)

        assert permits.since == 100.0
        assert permits.probe_is_due(101.0)

    def test_asks_for_no_probe_while_the_account_is_well(self) -> None:
        assert not some_permits().probe_is_due(3600.0)
