"""The thread that sends bells."""

from __future__ import annotations

from threading import Event

from sebastian_adapters.redis.dramatiq.ringer import Ringer


def test_a_ring_that_came_while_it_rested_goes_out_before_it_ends() -> None:
    first, last = Event(), Event()

    def send() -> None:
        (last if first.is_set() else first).set()

    ringer = Ringer(send, rest_seconds=600)
    ringer.start()
    ringer.ring()
    assert first.wait(5)

    ringer.ring()
    ringer.stop(timeout_seconds=5)

    assert last.is_set()
