"""One HTTP call to the platform, over aiohttp's connections: a lane for each call in flight.

aiohttp brings the wire, TLS, proxies and staggered attempts at several addresses. What must not be
left to it is said here and in `lane`: which failures mean that nothing was sent, which answer
belongs to which request, and what one answer may cost (ADR 18).
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from attrs import define, field

from sebastian_adapters.qiscus.api import ApiRequest, ApiResponse
from sebastian_adapters.qiscus.lane import Lane, LaneOptions
from sebastian_adapters.qiscus.resolver import SharedResolver
from sebastian_adapters.qiscus.response import unreadable
from sebastian_core.domain.errors import Fault, PlatformUnavailable
from sebastian_core.domain.reaching import why_unreached

KEEP_ALIVE_SECONDS = 5.0

_OWN_TROUBLES = {
    errno.EMFILE: "this process has too many open files (raise LimitNOFILE or `ulimit -n`)",
    errno.ENFILE: "this machine has too many open files",
    errno.ENOBUFS: "this machine has no buffers left for another connection",
    errno.ENOMEM: "this machine has no memory left for another connection",
}

#: What aiohttp and the event loops raise; a timeout is an OSError.
_FAILURES = (aiohttp.ClientError, OSError, ValueError, RuntimeError)


T = TypeVar("T")


@define(eq=False)
class AiohttpTransport:
    """Gives each request a lane of its own, at most `in_flight` at once; the others wait in line.

    A connection is made within `connect_seconds`, and a request waits at most that long for a free
    lane. A POST is sent once, a GET once more if its connection broke. No redirect is followed and
    no cookie is kept, so that no answer changes a later call. The caller decides how long a call
    lasts (`options.call_seconds` is for the kernel). The connection of a call that was given up is
    cut, so that the call cannot be delivered later.
    """

    in_flight: int
    options: LaneOptions
    _free: list[Lane] = field(factory=list, init=False, repr=False)
    _places: asyncio.Semaphore = field(init=False, repr=False)
    _resolver: SharedResolver = field(factory=SharedResolver, init=False, repr=False)
    _closings: set[asyncio.Task[None]] = field(factory=set, init=False, repr=False)
    _is_closed: bool = field(default=False, init=False)

    @_places.default
    def _all_free(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self.in_flight)

    async def exchange(self, request: ApiRequest, take: Callable[[ApiResponse], T]) -> T:
        """What `take` makes of the whole answer; raises PlatformUnavailable where there is none.

        The faults `connect` and `crowded` mean that nothing of the request was sent. A connection
        serves another call only after a 2xx that `take` found to fit: whatever else may still come
        over it would be taken for the next call's answer.
        """
        await self._take_place()
        lane, fits = None, False
        try:
            lane = self._free.pop() if self._free else Lane(self.options, self._resolver)
            answer = await self._asked(lane, request)
            taken = take(answer)
            fits = answer.is_success
            return taken
        finally:
            self._places.release()
            if lane is not None:
                self._give_back(lane, fits or not lane.was_asked)

    async def aclose(self) -> None:
        """Hang up: the free lanes now, those in use when their calls end; who waits gets none."""
        self._is_closed = True
        while self._free:
            self._close(self._free.pop())
        await self._resolver.close()
        if self._closings:
            await asyncio.wait(set(self._closings))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _asked(self, lane: Lane, request: ApiRequest) -> ApiResponse:
        try:
            return await lane.ask(request)
        except _FAILURES as error:
            failure = _failure(lane, error, self.options.connect_seconds)
        raise failure  # not from aiohttp's error: that one shows the headers, secrets and all

    async def _take_place(self) -> None:
        if self._places.locked():
            try:
                async with asyncio.timeout(self.options.connect_seconds):
                    await self._places.acquire()
            except TimeoutError:
                waited = f"every connection is busy for {self.options.connect_seconds:g} s"
                raise PlatformUnavailable(Fault.CROWDED, waited) from None
        else:
            await self._places.acquire()
        if self._is_closed:
            self._places.release()
            raise PlatformUnavailable(Fault.CONNECT, "the transport is closed")

    def _give_back(self, lane: Lane, may_serve_again: bool) -> None:
        if may_serve_again and not self._is_closed:
            self._free.append(lane)
        else:
            self._close(lane)

    def _close(self, lane: Lane) -> None:
        closing = asyncio.create_task(lane.aclose())
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)


def _failure(lane: Lane, error: Exception, connect_seconds: float) -> PlatformUnavailable:
    """The error of a failed call; what decides is whether anything may have been sent."""
    if lane.was_asked:
        if lane.is_flooded:
            return unreadable("the answer is too long")
        if isinstance(error, aiohttp.ClientResponseError):
            return PlatformUnavailable(Fault.BROKEN, "the answer is not HTTP")
        broke = "the connection broke before the whole answer was there"
        return PlatformUnavailable(Fault.BROKEN, broke)
    own_trouble = _own_trouble(error)
    if own_trouble is not None:
        return PlatformUnavailable(Fault.CROWDED, own_trouble)
    if isinstance(error, TimeoutError):
        return PlatformUnavailable(Fault.CONNECT, f"no connection within {connect_seconds:g} s")
    return PlatformUnavailable(Fault.CONNECT, _why_not_connected(error))


def _own_trouble(error: Exception) -> str | None:
    """What this machine or process lacks for a connection, if that is why there is none."""
    cause = getattr(error, "os_error", error)
    lacking = getattr(cause, "errno", None) if isinstance(cause, OSError) else None
    if lacking not in _OWN_TROUBLES:
        lacking = _descriptor_trouble()
    return _OWN_TROUBLES.get(lacking) if lacking else None


def _descriptor_trouble() -> int | None:
    """Tried as well, because the look-up of a name says "not found" if no socket can be had."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno
    return None


def _why_not_connected(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses the way there with {error.status}"
    if not isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {why_unreached(error) or str(error) or type(error).__name__}"
    host = "the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else error.host
    return f"{host}, port {error.port}: {why_unreached(error.os_error) or error.os_error}"
