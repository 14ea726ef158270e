"""What every clock promises."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from sebastian_core.ports.clock import Clock


class ClockContract:
    """Inherit it and provide the fixture `clock`."""

    async def test_tells_aware_utc_time(self, clock: Clock) -> None:
        assert clock.now().utcoffset() == timedelta(0)

    async def test_now_never_goes_back(self, clock: Clock) -> None:
        moments = [clock.now() for _ in range(1000)]

        assert all(earlier <= later for earlier, later in pairwise(moments))

    async def test_monotonic_never_goes_back(self, clock: Clock) -> None:
        readings = [clock.monotonic() for _ in range(1000)]

        assert all(earlier <= later for earlier, later in pairwise(readings))
