"""uvicorn's HTTP protocol with bounds: on how long a head may be, and on how long it may take."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sebastian_apps.webhook.gathering import GatheringTransport
from sebastian_apps.webhook.problems import (
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    PROBLEM_MEDIA_TYPE,
    Problem,
    ProblemKind,
)

HEAD_LIMIT = 32 * 1024
"""The longest request line with headers, in bytes; and the most that may come without any body.

The latter is what ends a chunked request that trails fields, or one field, for ever.
"""

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
    _bodiless_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(transport, self.loop))
        self._end_after(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bodiless_size += len(data)
        super().data_received(data)
        if not self._awaits_head:
            self._bound_trailers()
        elif self._bodiless_size or self._has_begun:
            self._await_rest_of_head()

    def on_message_begin(self) -> None:
        self._has_begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the fields of the head alone: uvicorn would add the trailers to them for ever."""
        if self._awaits_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._relax()
        self._awaits_head = self._has_begun = False
        self._bodiless_size = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bodiless_size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._relax()
        self._awaits_head = True
        self._bodiless_size = 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._awaits_head:
            self._end_after(DISCARD_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; called by uvicorn."""
        self._refuse(BAD_REQUEST, msg)

    def _await_rest_of_head(self) -> None:
        if self._bodiless_size > HEAD_LIMIT:
            self._refuse(HEAD_TOO_LARGE, f"Send a head of at most {HEAD_LIMIT} bytes.")
        elif self._deadline is None:
            self._end_after(HEAD_SECONDS)

    def _bound_trailers(self) -> None:
        if self._bodiless_size > HEAD_LIMIT:
            self._end()

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
