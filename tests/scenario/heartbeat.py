"""When the machine stood still, or its disk: nobody can be expected to give a chat then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from threading import Event, Thread

import psycopg

BEAT_SECONDS = 0.1
STALL_SECONDS = 0.5

_BEAT = """
    select extract(epoch from clock_timestamp())::double precision
    from pg_logical_emit_message(true, 'heartbeat', '')
"""
"""A commit that writes, and so waits for the disk, without a table."""


@contextmanager
def heartbeat(url: str) -> Iterator[Sequence[float]]:
    """Commit again and again from a thread; gives the moments by PostgreSQL, in Unix seconds."""
    beats: list[float] = []
    over = Event()
    thread = Thread(target=_beat, args=(url, beats, over), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield beats
    finally:
        over.set()
        thread.join()


def _beat(url: str, beats: list[float], over: Event) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while not over.wait(BEAT_SECONDS):
            row = connection.execute(_BEAT).fetchone()
            assert row is not None
            beats.append(row[0])


def stalls_between(beats: Sequence[float]) -> list[tuple[float, float]]:
    """The gaps that are longer than a machine which works leaves."""
    return [(before, after) for before, after in pairwise(beats) if after - before > STALL_SECONDS]
