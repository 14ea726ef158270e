"""Letting connections in while there are too few file descriptors."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from sebastian_adapters.testing.waiting import until
from sebastian_apps.http.connection_limit import NO_FILES, ConnectionLimit, LimitedConnection
from sebastian_apps.http.listening import Letting, bind


@contextmanager
def no_file_descriptor_left() -> Iterator[None]:
    """This process can open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@define(eq=False)
class Idle(LimitedConnection):
    """A connection that waits for its other side."""

    was_sent_away: bool = field(default=False, init=False)

    def send_away(self) -> None:
        self.was_sent_away = True


class Greeting(asyncio.Protocol):
    """Says that it was let in."""

    def connection_made(self, transport: Any) -> None:
        transport.write(b"in")
        transport.close()


async def test_without_a_file_descriptor_room_is_made_and_who_waits_is_let_in_later() -> None:
    counted: list[str] = []
    idle, door = Idle(), ConnectionLimit(counted.append)
    door.enter(idle, 0)
    (listener,) = bind("127.0.0.1", 0)
    letting = Letting(listener, Greeting, door)
    letting.begin()
    loop = asyncio.get_running_loop()
    with listener, socket.socket() as late:
        late.setblocking(False)
        with no_file_descriptor_left():
            await loop.sock_connect(late, listener.getsockname())
            await until(lambda: counted)
        async with asyncio.timeout(5):
            assert await loop.sock_recv(late, 10) == b"in"
        letting.end()

    assert set(counted) == {NO_FILES}
    assert idle.was_sent_away
