"""What every store of ended logins promises."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from sebastian_core.ports.ended_logins import EndedLogins

A_WEEK_ON = datetime.now(UTC) + timedelta(days=7)


class EndedLoginsContract:
    """Inherit it and provide the fixtures `logins` and `elsewhere`.

    `elsewhere` is the same store as another process sees it.
    """

    async def test_nothing_was_ended_before_somebody_ended_it(self, logins: EndedLogins) -> None:
        assert await logins.among(["a", "b"]) == frozenset()
        assert await logins.among([]) == frozenset()

    async def test_what_one_process_ends_is_over_for_every_process(
        self, logins: EndedLogins, elsewhere: EndedLogins
    ) -> None:
        await logins.end("a", A_WEEK_ON)

        assert await elsewhere.among(["a", "b"]) == {"a"}
        assert await elsewhere.among(["b"]) == frozenset()

    async def test_ending_twice_or_from_two_sides_at_once_changes_nothing(
        self, logins: EndedLogins, elsewhere: EndedLogins
    ) -> None:
        ends = [each.end("a", A_WEEK_ON) for each in (logins, elsewhere) * 10]

        await asyncio.gather(*ends)

        assert await logins.among(["a"]) == {"a"}

    async def test_one_that_would_be_over_by_itself_is_forgotten_when_another_is_ended(
        self, logins: EndedLogins
    ) -> None:
        await logins.end("long ago", datetime.now(UTC) - timedelta(days=2))
        await logins.end("a", A_WEEK_ON)
        await logins.end("b", A_WEEK_ON)

        assert await logins.among(["long ago", "a", "b"]) == {"a", "b"}
