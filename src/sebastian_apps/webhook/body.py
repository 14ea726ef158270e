"""Reading a request's body: only so much of it, and only so long."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from sebastian_apps.webhook.bounded_http import DISCARD_LIMIT
from sebastian_apps.webhook.parts import READ_SECONDS, parts_of
from sebastian_apps.webhook.problems import INCOMPLETE, TOO_LARGE, TOO_SLOW, Problem

BODY_LIMIT = 256 * 1024
"""The longest body that is read, in bytes: `request_max_body_size` of the app. A webhook has one
or two thousand; a picture as a data URI in it may have a hundred thousand.
"""

_CLOSING = {"connection": "close"}


async def read_body(request: Request[Any, Any, Any]) -> bytes:
    """The whole body; raises Problem if it is too large, comes too slowly or ends early."""
    try:
        with parts_of(request).reading.limit():
            return await request.body()
    except TimeoutError as error:
        detail = f"The body did not arrive within {READ_SECONDS:g} seconds; send it at once."
        raise Problem(TOO_SLOW, detail, headers=_CLOSING) from error
    except RequestEntityTooLarge as error:
        raise _too_large(request) from error
    except InternalServerException as error:
        raise Problem(INCOMPLETE, "The connection ended before the body did.") from error


def _too_large(request: Request[Any, Any, Any]) -> Problem:
    """The connection goes on if the rest of the body is short enough to be passed over."""
    limit = request.route_handler.resolve_request_max_body_size()
    is_endless = (request.content_length or 0) > DISCARD_LIMIT
    detail = f"The body has more than {limit} bytes; send less."
    return Problem(TOO_LARGE, detail, headers=_CLOSING if is_endless else None)
