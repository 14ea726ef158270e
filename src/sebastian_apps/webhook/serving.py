"""Runs the webhook service: one process, or several that share an address."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import NoReturn

import structlog
import uvicorn
import uvloop
from attrs import evolve

from sebastian_apps.garbage import spare_collections
from sebastian_apps.watchdog import PATIENCE_SECONDS, Watchdog
from sebastian_apps.webhook.app import create_app
from sebastian_apps.webhook.bounded_http import BoundedHttp
from sebastian_apps.webhook.door import Door, open_files_limit, spare_files, want_files
from sebastian_apps.webhook.parts import WebhookParts, nothing
from sebastian_core.domain.errors import ForeignAccount, SebastianError

KEEP_ALIVE_SECONDS = 75
"""How long a connection is kept between two requests: longer than proxies do (60 s: nginx, AWS).

Whoever may send the next request must be the one that ends an idle connection: a request that
crosses the end of its connection is lost.
"""

GRACE_SECONDS = 6
"""How long requests in flight may take after SIGTERM; the parts are closed after that.

A second more than a connection without a request is kept (`KEPT_SECONDS`).
"""

MISCONFIGURED = 2
_ENDING = (signal.SIGTERM, signal.SIGINT)

log = structlog.stdlib.get_logger("sebastian.webhook")
Build = Callable[[], WebhookParts]


class CannotListen(Exception):
    """The address cannot be listened on; the sentence says which and why."""


def run(
    build: Build,
    host: str,
    port: int,
    *,
    processes: int = 1,
    patience_seconds: float = PATIENCE_SECONDS,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Port 0 takes a free port."""
    sockets = bind(host, port, processes)
    if processes == 1:
        return serve(build, sockets[0], patience_seconds=patience_seconds)
    return _Family(build).run(sockets)


def bind(host: str, port: int, processes: int = 1) -> list[socket.socket]:
    """One socket for each process, all at one address; the kernel spreads the connections."""
    first = _bound(host, port, shared=processes > 1)
    taken = first.getsockname()[1]
    return [first, *(_bound(host, taken, shared=True) for _ in range(processes - 1))]


def serve(
    build: Build,
    listener: socket.socket,
    lifeline: int | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> int:
    """Serve in this process; the end of the lifeline ends it as SIGTERM does.

    A process whose event loop is stuck for `patience_seconds` ends itself with 70.
    """
    want_files()
    try:
        server = make_server(build(), lifeline)
        uvloop.run(_watched(server, listener, patience_seconds))
    except SebastianError as error:
        log.error("cannot start", why=str(error))  # noqa: TRY400 - the sentence says it all
        return MISCONFIGURED if isinstance(error, ForeignAccount) else 1
    return 0 if server.started else 1


async def _watched(
    server: uvicorn.Server, listener: socket.socket, patience_seconds: float
) -> None:
    async with Watchdog(patience_seconds).watching():
        await server.serve(sockets=[listener])


def make_server(parts: WebhookParts, lifeline: int | None = None) -> uvicorn.Server:
    """The HTTP server for these parts, not yet running; it opens and closes them."""
    config = uvicorn.Config(
        create_app(evolve(parts, open=nothing)),
        http=partial(BoundedHttp, door=Door(parts.counts.ended)),  # type: ignore[arg-type]
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=spare_files(open_files_limit()),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return _Server(config, parts, lifeline)


class _Server(uvicorn.Server):
    """Ends quietly on a signal, where uvicorn would die of it after all is done.

    It opens the parts itself, because what the lifespan raises uvicorn shows as a traceback.
    """

    def __init__(self, config: uvicorn.Config, parts: WebhookParts, lifeline: int | None) -> None:
        super().__init__(config)
        self._parts = parts
        self._lifeline = lifeline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await self._parts.open()
        except BaseException:
            await self._parts.close()
            raise
        await super().startup(sockets)
        spare_collections()
        for listener in sockets or ():
            log.info("listening", url=_url(listener), pid=os.getpid())
        if self._lifeline is not None:
            asyncio.get_running_loop().add_reader(self._lifeline, self._let_go)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._parts.ending.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for each in _ENDING:
            loop.add_signal_handler(each, self.handle_exit, each, None)
        try:
            yield
        finally:
            for each in _ENDING:
                loop.remove_signal_handler(each)

    def _let_go(self) -> None:
        if self._lifeline is not None:
            asyncio.get_running_loop().remove_reader(self._lifeline)
        self.should_exit = True


class _Family:
    """Several processes at one address: ended together, and not restarted.

    The kernel sends new connections to those that live. When the parent dies, however it dies, its
    end of the lifeline closes and the others stop.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._children: list[ForkProcess] = []
        self._is_ending = False

    def run(self, sockets: list[socket.socket]) -> int:
        """Start one process for each socket and wait for all of them; 1 if one failed."""
        self._share_counts()
        lifeline, held = os.pipe()
        context = multiprocessing.get_context("fork")
        self._children = [
            context.Process(target=self._child, args=(number, sockets, lifeline, held))
            for number in range(len(sockets))
        ]
        for child in self._children:
            child.start()
        for each in _ENDING:
            signal.signal(each, self._end)
        os.close(lifeline)
        for each_socket in sockets:
            each_socket.close()
        return self._outlive()

    def _share_counts(self) -> None:
        """Let `/metrics` of each process tell the counts of all; read when a child first counts."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            self._counts = tempfile.TemporaryDirectory(prefix="sebastian-metrics-")
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = self._counts.name

    def _outlive(self) -> int:
        living = list(self._children)
        while living:
            wait([child.sentinel for child in living])
            ended = [child for child in living if child.exitcode is not None]
            living = [child for child in living if child not in ended]
            for child in ended if not self._is_ending else ():
                log.error("a process ended", status=child.exitcode, left=len(living))
        return int(any(child.exitcode for child in self._children))

    def _end(self, _signal: int, _frame: object) -> None:
        self._is_ending = True
        for child in self._children:
            child.terminate()

    def _child(
        self, number: int, sockets: list[socket.socket], lifeline: int, held: int
    ) -> NoReturn:
        os.close(held)
        for other in sockets[:number] + sockets[number + 1 :]:
            other.close()
        status = serve(self._build, sockets[number], lifeline)
        logging.shutdown()
        sys.exit(status)


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from error
    bound.setblocking(False)
    return bound


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
