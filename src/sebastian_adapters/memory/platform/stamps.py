"""Moments as the platform writes them: three formats, mixed."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from attrs import frozen

from sebastian_adapters.memory.platform.values import Body


@lru_cache(maxsize=4096)
def _moment(epoch: datetime, seconds: int) -> datetime:
    return epoch + timedelta(seconds=seconds)


@frozen
class Stamps:
    """Turns seconds on the platform's clock into the formats that it mixes."""

    epoch: datetime

    def zoned(self, at: float) -> str:
        """`2025-06-22T06:37:58Z`: version 2 of the API and the newer webhooks."""
        return _zoned(self.epoch, int(at))

    def plain(self, at: float) -> str:
        """`2023-01-02 03:04:05`: version 1 and the older webhooks."""
        return _plain(self.epoch, int(at))

    def as_object(self, at: float) -> Body:
        """The form that only the answer of `mark_as_resolved` uses."""
        return {"date": f"{self.plain(at)}.000000", "timezone_type": 3, "timezone": "UTC"}


@lru_cache(maxsize=4096)
def _zoned(epoch: datetime, seconds: int) -> str:
    return _moment(epoch, seconds).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)
def _plain(epoch: datetime, seconds: int) -> str:
    return _moment(epoch, seconds).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
