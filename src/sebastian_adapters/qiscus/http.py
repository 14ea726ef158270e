"""httpx's interface on aiohttp's connections: a lane for each call in flight.

aiohttp brings the wire, TLS, proxies and staggered attempts at several addresses. What must not be
left to it is said here and in `lane`: which failures mean that nothing was sent, which answer
belongs to which request, and what one answer may cost (ADR 18).
"""

from __future__ import annotations

import asyncio
import errno
import os
from functools import partial

import aiohttp
import httpx
from attrs import define, field

from sebastian_adapters.qiscus.lane import Lane, LaneOptions
from sebastian_core.domain.reaching import why_unreached

KEEP_ALIVE_SECONDS = 5.0

_OWN_TROUBLES = {
    errno.EMFILE: "this process has too many open files (raise LimitNOFILE or `ulimit -n`)",
    errno.ENFILE: "this machine has too many open files",
    errno.ENOBUFS: "this machine has no buffers left for another connection",
    errno.ENOMEM: "this machine has no memory left for another connection",
}
_FAILURES = (aiohttp.ClientError, OSError, ValueError, RuntimeError)
"""What aiohttp and the event loops raise; a timeout is an OSError."""


@define(eq=False)
class AiohttpTransport(httpx.AsyncBaseTransport):
    """Gives each request a lane of its own, at most `in_flight` at once; the others wait in line.

    A connection is made within `connect_seconds`; so long one waits for a free lane, too.
    httpx.ConnectError, ConnectTimeout and PoolTimeout mean that nothing of the request was sent. A
    POST is sent once, a GET once more where its connection broke.

    How long a call lasts is its caller's business (`options.call_seconds` is for the kernel). One
    that is given up is never delivered later: its connection is cut. An answer is whole when it is
    returned, and then `response.extensions["release"]` must be called once: with True where the
    answer fits its request, so that its connection may serve another one, else with False.
    """

    in_flight: int
    options: LaneOptions
    _free: list[Lane] = field(factory=list, init=False, repr=False)
    _places: asyncio.Semaphore = field(init=False, repr=False)
    _closings: set[asyncio.Task[None]] = field(factory=set, init=False, repr=False)
    _is_closed: bool = field(default=False, init=False)

    @_places.default
    def _all_free(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self.in_flight)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on a free lane and read its whole answer."""
        lane = await self._take(request)
        try:
            answer = await lane.ask(request)
        except _FAILURES as error:
            failure = _failure(lane, error, self.options.connect_seconds)
            self._give_back(lane, not lane.was_asked)
            raise failure from error
        except BaseException:
            self._give_back(lane, not lane.was_asked)
            raise
        return httpx.Response(
            answer.status,
            headers=list(answer.headers),
            content=answer.body,
            extensions={"release": partial(self._give_back, lane)},
        )

    async def aclose(self) -> None:
        """Hang up: the free lanes now, those in use when their answers are given back."""
        self._is_closed = True
        while self._free:
            self._close(self._free.pop())
        if self._closings:
            await asyncio.wait(set(self._closings))

    async def _take(self, request: httpx.Request) -> Lane:
        if self._is_closed:
            raise httpx.ConnectError("the transport is closed", request=request)
        try:
            if self._places.locked():
                async with asyncio.timeout(self.options.connect_seconds):
                    await self._places.acquire()
            else:
                await self._places.acquire()
        except TimeoutError as error:
            waited = f"every connection is busy for {self.options.connect_seconds:g} s"
            raise httpx.PoolTimeout(waited, request=request) from error
        return self._free.pop() if self._free else Lane(self.options)

    def _give_back(self, lane: Lane, fits: bool) -> None:
        self._places.release()
        if fits and not self._is_closed:
            self._free.append(lane)
        else:
            self._close(lane)

    def _close(self, lane: Lane) -> None:
        closing = asyncio.create_task(lane.aclose())
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)


def _failure(lane: Lane, error: Exception, connect_seconds: float) -> httpx.RequestError:
    """httpx's word for what went wrong, by one question first: may anything have been sent?"""
    if lane.was_asked:
        if lane.is_flooded:
            return httpx.DecodingError("the answer is too long")
        if isinstance(error, aiohttp.ClientResponseError):
            return httpx.RemoteProtocolError("the answer is not HTTP")
        return httpx.ReadError("the connection broke before the whole answer was there")
    own_trouble = _own_trouble(error)
    if own_trouble is not None:
        return httpx.PoolTimeout(own_trouble)
    if isinstance(error, TimeoutError):
        return httpx.ConnectTimeout(f"no connection within {connect_seconds:g} s")
    return httpx.ConnectError(_why_not_connected(error))


def _own_trouble(error: Exception) -> str | None:
    """What this machine or process lacks for a connection, if that is why there is none."""
    cause = getattr(error, "os_error", error)
    lacking = getattr(cause, "errno", None) if isinstance(cause, OSError) else None
    if lacking not in _OWN_TROUBLES:
        lacking = _descriptor_trouble()
    return _OWN_TROUBLES.get(lacking) if lacking else None


def _descriptor_trouble() -> int | None:
    """Looked for as well: a name that cannot be looked up for want of a socket says "not found"."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno
    return None


def _why_not_connected(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses the way there with {error.status} {error.message}".rstrip()
    if not isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {why_unreached(error) or str(error) or type(error).__name__}"
    host = "the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else error.host
    return f"{host}, port {error.port}: {why_unreached(error.os_error) or error.os_error}"
