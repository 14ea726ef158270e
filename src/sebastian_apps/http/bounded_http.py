"""uvicorn's HTTP protocol, with bounds on what one connection may cost and hold.

Everything of uvicorn's that is not public is used in this file and in no other:
`tests/integration/test_webhook_raw.py` has a test for each part.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from httptools import HttpParserError
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sebastian_apps.http.connection_limit import HEAD_TOO_LARGE as LARGE_HEAD
from sebastian_apps.http.connection_limit import NOT_HTTP, UNREAD, ConnectionLimit
from sebastian_apps.http.gathering import GatheringTransport
from sebastian_apps.http.problems import (
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    PROBLEM_MEDIA_TYPE,
    URL_TOO_LONG,
    HttpProblem,
)

HEAD_LIMIT = 16 * 1024
"""The longest request line with headers, in bytes: what nginx and HAProxy pass on is no longer.

Also the most that may come without any body after a head; that is what ends a chunked request that
trails fields, or one field, for ever.
"""

FIELD_LIMIT = 100
"""So many header fields at most, as Apache has it."""

URL_LIMIT = 4 * 1024
"""The longest path with its query, in bytes; Litestar remembers 1,024 paths that it knows."""

HEAD_SECONDS = 10.0
"""How long a head may take to arrive, counted from the connection or from its first byte."""

DISCARD_SECONDS = 10.0
"""How long the rest of a body is passed over after the answer, before the connection ends."""

DISCARD_LIMIT = 1024 * 1024
"""So many bytes of it are passed over, so that its sender gets to read the answer."""

SEND_SECONDS = 15.0
"""How long the other side may take to read what was sent before the connection is cut off."""

KEPT_SECONDS = 5.0
"""How long a connection without a request is kept after SIGTERM, for one that is on its way."""

PIECE = 4 * 1024
PIECES_AT_ONCE = 8
"""So much is parsed in one turn of the event loop: a megabyte in chunks of one byte takes 0.1 s."""

NOT_UNDERSTOOD = "The request is not HTTP/1.1 as RFC 9112 has it."

_END = b"\r\n\r\n"
_UPGRADE = re.compile(rb"(?<=\n)upgrade(?=[ \t]*:)", re.IGNORECASE)
_SINGLE = (b"host", b"authorization")


class BoundedHttp(HttpToolsProtocol):
    """One request at a time, each within limits; uvicorn itself has hardly any.

    What arrives is held until it is its turn, and parsed in pieces that end where a message may
    end: a head is parsed whole, and not before the request before it is answered. Only httptools
    decides what belongs to which message.

    `Upgrade` is ignored, as RFC 9110 allows: httptools takes every request that has it for one
    without a body, so it gets to see another name in its place.
    """

    flow: _Flow
    _deadline: asyncio.TimerHandle | None = None
    _cut_off: asyncio.TimerHandle | None = None
    _turn: asyncio.Handle | None = None
    _awaits_head = True
    _body_left: int | None = None
    _size = 0
    """How many bytes came since the head began, or without a body since the last part of one."""

    _discarded = 0

    def __init__(self, *args: Any, door: ConnectionLimit, **named: Any) -> None:
        super().__init__(*args, **named)
        self._door = door
        self._held = bytearray()

    # What the event loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(transport, self.loop))
        self.flow = _Flow(transport, self._is_full)
        self._end_after(self._head_seconds)
        self._door.enter(self, transport.get_extra_info("socket").fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        for timer in (self._deadline, self._cut_off, self._turn):
            if timer is not None:
                timer.cancel()
        self._held.clear()
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if not self._held and self._turn is None:
            data = self._without_whole_parts(data)
        if data or self._held:
            self._held += data
            if self._turn is None:
                self._parse()

    def pause_writing(self) -> None:
        """Too much is unread by the other side: wait, and not for ever."""
        super().pause_writing()
        self._door.waits(self)
        self._cut_off_later()

    def resume_writing(self) -> None:
        """Most of it has been read."""
        super().resume_writing()
        if self._is_answering:
            self._door.works(self)
        if self._cut_off is not None and not self.transport.is_closing():
            self._cut_off.cancel()
            self._cut_off = None

    # What httptools calls, for each part of a request

    def on_headers_complete(self) -> None:
        fields = dict(self.headers)
        self._check_head(fields)
        self._relax()
        self._awaits_head, self._size, self._discarded = False, 0, 0
        self._body_left = _content_length(fields)
        super().on_headers_complete()
        self.headers = []  # uvicorn would add the trailers to those of the request, for ever
        if self._door.is_closing:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._relax()
        self._awaits_head, self._size = True, 0
        if self._is_answering:
            self._door.works(self)
        else:
            self._door.passed(self)

    # What uvicorn calls

    def on_response_complete(self) -> None:
        """The answer is written; read the rest of its request, or the next one."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._cut_off_later()
            return
        self._door.waits(self)
        if not self._awaits_head:
            self._discard()
        if self._held:
            self._unset_keepalive_if_required()
            self._parse_soon()

    def shutdown(self) -> None:
        """Answer what is under way, or one more request if it comes soon, and end."""
        if self._is_answering:
            self.cycle.keep_alive = False
        else:
            self._unset_keepalive_if_required()
            self._end_after(KEPT_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        self._end()

    # What the door calls

    def send_away(self) -> None:
        """End at once, whatever is unread or unsent."""
        self.transport.abort()

    # Parsing, piece by piece

    def _without_whole_parts(self, data: bytes) -> bytes:
        """Parse a head and what is there of its body; return the rest, which `_parse` takes.

        Most requests arrive in one piece, and holding this one first would double its price.
        """
        if self.transport.is_closing():
            return data
        if self._awaits_head:
            end = data.find(_END, 0, HEAD_LIMIT) + len(_END)
            if end < len(_END) or self._size or self._is_answering:
                return data
            self._feed(data[:end])
            data = data[end:]
        if self._body_left and len(data) <= self._body_left:
            self._body_left -= len(data)
            self._feed(data)
            data = b""
        return data

    @property
    def _head_seconds(self) -> float:
        return KEPT_SECONDS if self._door.is_closing else HEAD_SECONDS

    @property
    def _is_answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def _is_full(self) -> bool:
        """Whether nothing more should be read from the connection for now."""
        return bool(self._held) or (self._is_answering and len(self.cycle.body) > HIGH_WATER_LIMIT)

    def _parse(self) -> None:
        self._turn = None
        for _ in range(PIECES_AT_ONCE):
            size = self._next_piece()
            if not size:
                break
            piece = bytes(self._held[:size])
            del self._held[:size]
            self._feed(piece)
        else:
            self._parse_soon()
        self._read_on()

    def _parse_soon(self) -> None:
        if self._turn is None and self._held:
            self._turn = self.loop.call_soon(self._parse)

    def _read_on(self) -> None:
        """Read more only if what is held lacks its end, or if nothing is held."""
        if not self._held:
            self.flow.resume_reading()
        elif self._turn is not None or (self._awaits_head and self._is_answering):
            self.flow.pause_reading()
        else:
            self.flow.read_the_rest()

    def _next_piece(self) -> int:
        """How much of what is held may be parsed now; 0 if it must wait."""
        if not self._held or self.transport.is_closing():
            return 0
        if not self._awaits_head:
            return self._piece_of_body()
        return 0 if self._is_answering else self._whole_head()

    def _whole_head(self) -> int:
        end = self._held.find(_END)
        size = end + len(_END) if end >= 0 else len(self._held)
        if self._size + size > HEAD_LIMIT:
            self._refuse(HttpProblem(HEAD_TOO_LARGE, f"Send a head of at most {HEAD_LIMIT} bytes."))
            self._door.note(LARGE_HEAD)
            return 0
        if end >= 0 or _is_spoiled(self._held):
            return size
        if self._deadline is None:
            self._end_after(self._head_seconds)
        return 0

    def _piece_of_body(self) -> int:
        if self._body_left is not None:
            size = min(self._body_left, PIECE, len(self._held))
            self._body_left -= size
            return size
        end = self._held.find(_END, 0, PIECE + len(_END))
        return end + len(_END) if end >= 0 else _without_half_an_end(self._held[:PIECE])

    def _feed(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._awaits_head and b"upgrade" in piece.lower():
            piece = _UPGRADE.sub(b"ignored", piece)
        try:
            self.parser.feed_data(piece)
        except HttpParserError as error:
            self._refuse_piece(error)
            return
        if not self._awaits_head:
            self._bound_what_follows(len(piece))

    def _refuse_piece(self, error: HttpParserError) -> None:
        found = error.__context__
        problem = (
            found if isinstance(found, HttpProblem) else HttpProblem(BAD_REQUEST, NOT_UNDERSTOOD)
        )
        self._refuse(problem)
        self._door.note(NOT_HTTP)

    def _check_head(self, fields: dict[bytes, bytes]) -> None:
        """Refuse what two readers could understand differently; raises HttpProblem."""
        if len(self.url) > URL_LIMIT:
            detail = f"Send a path of at most {URL_LIMIT} bytes, with its query."
            raise HttpProblem(URL_TOO_LONG, detail)
        if len(self.headers) > FIELD_LIMIT:
            raise HttpProblem(HEAD_TOO_LARGE, f"Send at most {FIELD_LIMIT} header fields.")
        if len(fields) < len(self.headers):
            names = [name for name, _ in self.headers]
            for name in _SINGLE:
                if names.count(name) > 1:
                    raise HttpProblem(BAD_REQUEST, f"Send {name.decode().title()} once.")
        if b"host" not in fields and self.parser.get_http_version() == "1.1":
            raise HttpProblem(BAD_REQUEST, "Send a Host header.")

    def _bound_what_follows(self, size: int) -> None:
        """After the head: fields without an end, and what nobody wants."""
        if self._size > HEAD_LIMIT:
            self._end()
        elif not self._is_answering:
            self._discarded += size
            if self._discarded > DISCARD_LIMIT:
                self._end()

    def _discard(self) -> None:
        """The answer is out and its request is not: read on for a little, or end.

        Who waits for "100 Continue" need not send the body at all, so what comes may be the next
        request. An end without reading resets the connection, which may cost the answer.
        """
        self._unset_keepalive_if_required()
        is_long = self._body_left is not None and self._body_left > DISCARD_LIMIT
        if is_long or self.expect_100_continue or not self._door.passes_over(self):
            self._end()
        else:
            self._end_after(DISCARD_SECONDS)

    # Answers and ends

    def _refuse(self, problem: HttpProblem) -> None:
        if self.transport.is_closing():
            return
        body = problem.encoded()
        head = (
            f"content-type: {PROBLEM_MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[problem.kind.status] + head.encode() + body)
        self._end()

    def _end_after(self, seconds: float) -> None:
        self._relax()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        """Close as soon as everything written is read, or cut off after a while."""
        self._relax()
        if not self.transport.is_closing():
            self.transport.close()
            self._cut_off_later()

    def _cut_off_later(self) -> None:
        if self._cut_off is None:
            self._cut_off = self.loop.call_later(SEND_SECONDS, self._door.end, self, UNREAD)


class _Flow(FlowControl):
    """Reads on only when the protocol has room; uvicorn reads on whenever a body is asked for."""

    def __init__(self, transport: asyncio.Transport, is_full: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._is_full = is_full

    def resume_reading(self) -> None:
        if self.read_paused and not self._is_full():
            super().resume_reading()

    def read_the_rest(self) -> None:
        """Read on although something is held."""
        super().resume_reading()


def _content_length(fields: dict[bytes, bytes]) -> int | None:
    """How long the body is; None if it comes in chunks. httptools has checked the number."""
    return None if b"transfer-encoding" in fields else int(fields.get(b"content-length", b"0"))


def _is_spoiled(head: bytearray) -> bool:
    """Whether no more of it is needed to see that it is not HTTP: TLS, or lines without a CR."""
    line = head.find(b"\n")
    return not (head[:1].isupper() or head[:1].isspace()) or (
        line >= 0 and head[line - 1 : line] != b"\r"
    )


def _without_half_an_end(piece: bytearray) -> int:
    """The length without what may be the beginning of an end, which must be parsed in one piece."""
    for size in (3, 2, 1):
        if piece.endswith(_END[:size]):
            return len(piece) - size
    return len(piece)
