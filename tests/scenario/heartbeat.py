"""When the machine stood still, or its disk: nobody can be expected to give a chat then."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from threading import Event, Thread
from types import TracebackType
from typing import Self

import psycopg
from attrs import define, field

BEAT_SECONDS = 0.1
STALL_SECONDS = 0.5

_BEAT = """
    select extract(epoch from clock_timestamp())::double precision
    from pg_logical_emit_message(true, 'heartbeat', '')
"""
"""A commit that writes, and so waits for the disk, without a table."""


@define
class Heartbeat:
    """Commits again and again from a thread of its own, and keeps the moments by PostgreSQL."""

    _url: str
    _beats: list[float] = field(factory=list, init=False)
    _over: Event = field(factory=Event, init=False)
    _thread: Thread = field(init=False)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.wait(BEAT_SECONDS):
                row = connection.execute(_BEAT).fetchone()
                assert row is not None
                self._beats.append(row[0])

    @property
    def stalls(self) -> Sequence[tuple[float, float]]:
        """Spans without a beat, in Unix seconds."""
        return stalls_between(self._beats)


def stalls_between(beats: Sequence[float]) -> list[tuple[float, float]]:
    """The gaps that are longer than a machine which works leaves."""
    return [(before, after) for before, after in pairwise(beats) if after - before > STALL_SECONDS]
