"""The sockets on which the service listens, and how it lets connections in."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import ExitStack
from typing import Any

from attrs import define, field

from sebastian_apps.http.connection_limit import NO_FILES, ConnectionLimit

BACKLOG = 2048

AT_ONCE = 8
"""So many connections are let in at once, before any of them can be sent away again."""

RETRY_SECONDS = 0.1
"""How long nobody is let in when there was no file descriptor for the last one."""

_FIRST_INHERITED = 3
"""The number of the first file descriptor that systemd hands over: sd_listen_fds(3)."""

_HAS_NOT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_TOO_MANY = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class CannotListen(Exception):
    """There is nothing to listen on; the sentence says what and why."""


def inherited(environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that were handed over to this process, if any were.

    As systemd does it (`LISTEN_FDS` and `LISTEN_PID`): one queue, from which any number of services
    take, and which outlives each of them. The variables are taken away, so that no child believes
    them. Raises CannotListen if something else was handed over.
    """
    pid, number = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not number.isdigit():
        return []
    descriptors = range(_FIRST_INHERITED, _FIRST_INHERITED + int(number))
    return [_inherited(descriptor) for descriptor in descriptors]


def bind(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of this host; port 0 takes a free one for all of them.

    Addresses of a kind that this machine does not have (::1 without IPv6) are left out if there are
    others. Raises CannotListen.
    """
    try:
        return _bind_each(host, port)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from error


def url_of(listener: socket.socket) -> str:
    """Where it is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@define(eq=False)
class Letting:
    """Lets connections in on one socket; few at once, and none while there are no files for them.

    The event loop's own server takes whatever waits in one go. uvloop's then resets connections for
    which there is no file descriptor, without a word.
    """

    _listener: socket.socket
    _protocol: Callable[[], asyncio.Protocol]
    _door: ConnectionLimit
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    _entering: set[asyncio.Task[object]] = field(factory=set, init=False)
    _pause: asyncio.TimerHandle | None = field(default=None, init=False)

    def begin(self) -> None:
        """From now on; until then, who asks is refused and a proxy asks the next service."""
        if not self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self._listener.listen(BACKLOG)
        self._go_on()

    def end(self) -> None:
        """Nobody more; the socket itself stays open."""
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._let_in)

    def _let_in(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno in _TOO_MANY:
                    self._make_room()
                return
            connection.setblocking(False)
            entering = self._loop.create_task(self._enter(connection))
            self._entering.add(entering)
            entering.add_done_callback(self._entering.discard)

    async def _enter(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()

    def _make_room(self) -> None:
        self._door.make_room(NO_FILES)
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(RETRY_SECONDS, self._go_on)


def _inherited(descriptor: int) -> socket.socket:
    try:
        handed = socket.socket(fileno=descriptor)
        listens = handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise CannotListen(
            f"file descriptor {descriptor} is no socket: {error.strerror}"
        ) from error
    if not listens or handed.family not in (socket.AF_INET, socket.AF_INET6):
        raise CannotListen(f"file descriptor {descriptor} is no TCP socket that listens")
    os.set_inheritable(descriptor, False)
    handed.setblocking(False)
    return handed


def _bind_each(host: str, port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    missing = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    with ExitStack() as unless_all_are_bound:
        for family, address in _addresses(host, port):
            taken = bound[0].getsockname()[1] if bound else port
            try:
                bound.append(_bound(family, (address[0], taken, *address[2:])))
            except OSError as error:
                if error.errno not in _HAS_NOT:
                    raise
                missing = error
            else:
                unless_all_are_bound.enter_context(bound[-1])
        if not bound:
            raise missing
        unless_all_are_bound.pop_all()
    return bound


def _addresses(host: str, port: int) -> Iterable[tuple[int, Any]]:
    """Family and address of each; the resolver may name one twice."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return dict.fromkeys((family, address) for family, _, _, _, address in found)


def _bound(family: int, address: Any) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound
