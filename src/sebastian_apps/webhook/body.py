"""Reading a request's body: only so much of it, and only so long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from sebastian_apps.webhook.patience import Patience
from sebastian_apps.webhook.problems import INCOMPLETE, TOO_LARGE, TOO_SLOW, Problem

BODY_LIMIT = 64 * 1024
"""The longest body that is read, in bytes; a webhook has one or two thousand."""

SKIP_LIMIT = 16 * 1024 * 1024
"""So many bytes of a longer body are passed over, so that its sender gets to read the answer."""

READ_SECONDS = 10.0
"""How long a body may take to arrive."""

Receive = Callable[[], Awaitable[Any]]
"""ASGI's: the next message of the request."""

_CLOSING = {"connection": "close"}


class BodyReader:
    """Reads bodies: each whole, or raising Problem where it is too large, too slow or cut off.

    Never keeps more than the limit: what goes beyond is passed over as it comes.
    """

    def __init__(self) -> None:
        self._patience = Patience(READ_SECONDS)

    async def read(self, receive: Receive, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The body of one request."""
        _refuse_endless(headers)
        try:
            with self._patience.limit():
                return await _within_limit(receive)
        except TimeoutError as error:
            seconds = self._patience.seconds
            detail = f"The body did not arrive within {seconds:g} seconds; send it at once."
            raise Problem(TOO_SLOW, detail, headers=_CLOSING) from error


def too_large(headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of a body beyond the limit."""
    detail = f"The body has more than {BODY_LIMIT} bytes; send less."
    return Problem(TOO_LARGE, detail, headers=headers)


def _refuse_endless(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Do not ask for, nor wait for, a body that announces itself as far too large."""
    named = dict(headers)
    try:
        announced = int(named.get(b"content-length", b"0"))
    except ValueError:
        return
    if announced > SKIP_LIMIT or (announced > BODY_LIMIT and b"expect" in named):
        raise too_large(_CLOSING)


async def _within_limit(receive: Receive) -> bytes:
    kept, size, more = bytearray(), 0, True
    while more:
        chunk, more = await _chunk(receive)
        size += len(chunk)
        if size <= BODY_LIMIT:
            kept += chunk
        elif size > SKIP_LIMIT:
            raise too_large(_CLOSING)
    if size > BODY_LIMIT:
        raise too_large()
    return bytes(kept)


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    """The next part of the body, and whether more of it follows."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Problem(INCOMPLETE, "The connection ended before the body did.")
    return message.get("body", b""), message.get("more_body", False)
