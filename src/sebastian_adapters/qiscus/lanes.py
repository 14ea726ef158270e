"""One connection per request, handed out in constant time.

httpx's own pool costs time quadratic in its connections (measured on 0.28: 1.0 ms of CPU per call
with one connection, 2.9 ms with 128), and a request cancelled in flight can take its connection out
of the pool for good. Here each connection is a transport of its own: a lane.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import cast

import httpx
from attrs import define

NewLane = Callable[[], httpx.AsyncBaseTransport]


@define(eq=False)
class _Lane:
    transport: httpx.AsyncBaseTransport
    free_since: float = 0.0


class LaneTransport(httpx.AsyncBaseTransport):
    """Gives each request a lane of its own, at most `count` at once; the others wait in line.

    The lane that came back last is taken first, so that few stay open when little is asked; one
    that has been free for `keep_alive_seconds` is closed. A lane on which anything went wrong is
    never used again. Waiting ends with httpx.PoolTimeout after the request's pool timeout, which is
    `connect_seconds` where it brings no timeouts, as its connect timeout is; use of a closed
    transport raises httpx.ConnectError: both mean that nothing was sent.
    """

    def __init__(
        self,
        count: int,
        new_lane: NewLane,
        keep_alive_seconds: float,
        *,
        connect_seconds: float | None = None,
    ) -> None:
        self._new_lane = new_lane
        self._keep_alive_seconds = keep_alive_seconds
        self._timeouts = {"pool": connect_seconds, "connect": connect_seconds}
        self._unused = count
        self._free: deque[_Lane] = deque()
        self._turns: deque[asyncio.Future[_Lane]] = deque()
        self._closings: set[asyncio.Task[None]] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on a free lane, which comes back with the end of the answer's body."""
        request.extensions.setdefault("timeout", self._timeouts)
        lane = await self._take(request)
        try:
            response = await lane.transport.handle_async_request(request)
        except BaseException:
            self._replace(lane)
            raise
        response.stream = _Body(
            cast("httpx.AsyncByteStream", response.stream),
            lambda whole: self._give_back(lane, whole=whole),
        )
        return response

    async def aclose(self) -> None:
        """Close every lane: the free ones now, those in use when their answers have ended."""
        self._closed = True
        while self._turns:
            _fail(self._turns.popleft())
        while self._free:
            self._close(self._free.pop())
        await asyncio.gather(*self._closings)

    async def _take(self, request: httpx.Request) -> _Lane:
        if self._closed:
            raise httpx.ConnectError("the transport is closed", request=request)
        if self._free:
            return self._free.pop()
        if self._unused:
            self._unused -= 1
            return _Lane(self._new_lane())
        return await self._turn(request)

    async def _turn(self, request: httpx.Request) -> _Lane:
        turn: asyncio.Future[_Lane] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("pool")):
                return await turn
        except BaseException as error:
            self._give_up(turn)
            if isinstance(error, TimeoutError):
                raise httpx.PoolTimeout("every connection is busy", request=request) from error
            raise

    def _give_up(self, turn: asyncio.Future[_Lane]) -> None:
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self._put_back(turn.result())
        turn.cancel()

    def _give_back(self, lane: _Lane, *, whole: bool) -> None:
        if whole and not self._closed:
            self._put_back(lane)
        else:
            self._replace(lane)

    def _put_back(self, lane: _Lane) -> None:
        turn = self._next_turn()
        if turn is not None:
            turn.set_result(lane)
            return
        lane.free_since = time.monotonic()
        self._free.append(lane)
        if lane.free_since - self._free[0].free_since > self._keep_alive_seconds:
            self._unused += 1
            self._close(self._free.popleft())

    def _replace(self, lane: _Lane) -> None:
        self._close(lane)
        turn = self._next_turn()
        if turn is None:
            self._unused += 1
        else:
            turn.set_result(_Lane(self._new_lane()))

    def _next_turn(self) -> asyncio.Future[_Lane] | None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                return turn
        return None

    def _close(self, lane: _Lane) -> None:
        closing = asyncio.create_task(_closed(lane.transport))
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)


class _Body(httpx.AsyncByteStream):
    """The body of an answer; tells once, at its end, whether it was read as a whole."""

    def __init__(self, stream: httpx.AsyncByteStream, ended: Callable[[bool], None]) -> None:
        self._stream = stream
        self._ended: Callable[[bool], None] | None = ended
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part
        self._whole = True

    async def aclose(self) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        try:
            await self._stream.aclose()
        except BaseException:
            self._whole = False
            raise
        finally:
            ended(self._whole)


async def _closed(transport: httpx.AsyncBaseTransport) -> None:
    """Close a lane; nobody could do anything about one that fails to close."""
    with contextlib.suppress(Exception):
        await transport.aclose()


def _fail(turn: asyncio.Future[_Lane]) -> None:
    if not turn.done():
        turn.set_exception(httpx.ConnectError("the transport was closed"))
