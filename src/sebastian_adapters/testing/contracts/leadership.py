"""What every leadership promises."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sebastian_adapters.testing.contracts.room_repo import NO_TIME
from sebastian_core.ports.leadership import Leadership


class LeadershipContract:
    """Inherit it and provide the fixtures `leadership` and `other_leadership`.

    The other is the same store as another process sees it.
    """

    async def test_the_duties_are_one_holder_s_until_the_lease_is_over(
        self, leadership: Leadership, other_leadership: Leadership
    ) -> None:
        assert await leadership.hold_duty("worker-1", timedelta(minutes=1))
        assert not await other_leadership.hold_duty("worker-2", timedelta(minutes=1))
        assert await leadership.hold_duty("worker-1", NO_TIME)
        assert await other_leadership.hold_duty("worker-2", timedelta(minutes=1))
        assert not await leadership.hold_duty("worker-1", timedelta(minutes=1))

    async def test_many_who_want_the_duties_make_one_holder(
        self, leadership: Leadership, other_leadership: Leadership
    ) -> None:
        wanted = [
            each.hold_duty(f"worker-{number}", timedelta(minutes=1))
            for number, each in enumerate([leadership, other_leadership] * 5)
        ]

        assert sum(await asyncio.gather(*wanted)) == 1

    async def test_a_lease_that_ends_later_than_one_can_is_none(
        self, leadership: Leadership, other_leadership: Leadership
    ) -> None:
        await leadership.hold_duty("worker-1", timedelta(days=1))

        assert await other_leadership.hold_duty("worker-2", timedelta(minutes=1))
        assert not await leadership.hold_duty("worker-1", timedelta(minutes=1))

    async def test_what_a_process_says_of_itself_is_seen_by_others_until_it_says_more(
        self, leadership: Leadership, other_leadership: Leadership
    ) -> None:
        await leadership.report("worker-2", {"standing": "up", "refresh": {"online": 3}})
        await leadership.report("worker-1", {"standing": "up"})
        await leadership.report("worker-1", {"standing": "down"})

        reports = await other_leadership.reports()

        assert [(each.name, each.state) for each in reports] == [
            ("worker-1", {"standing": "down"}),
            ("worker-2", {"standing": "up", "refresh": {"online": 3}}),
        ]
        assert reports[1].at <= reports[0].at
