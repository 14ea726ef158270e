"""uvicorn's HTTP protocol with bounds: on how long a head may be, and on how long it may take."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sebastian_apps.webhook.problems import (
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    PROBLEM_MEDIA_TYPE,
    Problem,
    ProblemKind,
)

HEAD_LIMIT = 32 * 1024
"""The longest request line with headers, in bytes."""

HEAD_SECONDS = 10.0
"""How long a head may take to arrive, counted from the connection or from its first byte."""

DISCARD_SECONDS = 10.0
"""How long the rest of a body is passed over after the answer, before the connection ends."""


class BoundedHttp(HttpToolsProtocol):
    """Ends connections that are slow on purpose; uvicorn itself waits for a head for ever.

    A body that is being read is bounded by its reader.
    """

    _deadline: asyncio.TimerHandle | None = None
    _awaits_head = True
    _has_begun = False
    _head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end_after(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_size += len(data)
        super().data_received(data)
        if self._awaits_head and (self._head_size or self._has_begun):
            self._await_rest_of_head()

    def on_message_begin(self) -> None:
        self._has_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._relax()
        self._awaits_head = self._has_begun = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._relax()
        self._awaits_head = True
        self._head_size = 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._awaits_head:
            self._end_after(DISCARD_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; called by uvicorn."""
        self._refuse(BAD_REQUEST, msg)

    def _await_rest_of_head(self) -> None:
        if self._head_size > HEAD_LIMIT:
            self._refuse(HEAD_TOO_LARGE, f"Send a head of at most {HEAD_LIMIT} bytes.")
        elif self._deadline is None:
            self._end_after(HEAD_SECONDS)

    def _refuse(self, kind: ProblemKind, detail: str) -> None:
        if self.transport.is_closing():
            return
        body = Problem(kind, detail).encoded()
        head = (
            f"content-type: {PROBLEM_MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[kind.status] + head.encode() + body)
        self.transport.close()

    def _end_after(self, seconds: float) -> None:
        self._relax()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
