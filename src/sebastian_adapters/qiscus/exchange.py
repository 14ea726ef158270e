"""One HTTP exchange: a request, and what is taken from its answer or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx

from sebastian_adapters.qiscus.answers import Answered, unreadable
from sebastian_core.domain.errors import Fault, PlatformUnavailable

T = TypeVar("T")


async def exchanged(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, take: Callable[[Answered], T]
) -> T:
    """What `take` makes of the answer; raises PlatformUnavailable where there is none.

    httpx's errors die here. The faults `connect` and `crowded` mean that nothing was sent. No
    redirect is followed and no cookie kept: a call depends on nothing that an earlier one was
    answered. A connection serves another call only after a 2xx that `take` found to fit: whatever
    else may still come over it would be taken for the next call's answer.
    """
    try:
        response = await transport.handle_async_request(request)
        fits = False
        try:
            body = await response.aread()
            taken = take(Answered(response.status_code, response.headers, body))
            fits = response.is_success
        finally:
            response.extensions.get("release", _nothing)(fits)
            await response.aclose()
    except httpx.PoolTimeout as error:
        raise PlatformUnavailable(Fault.CROWDED, _told(error)) from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise PlatformUnavailable(Fault.CONNECT, _told(error)) from error
    except httpx.TimeoutException as error:
        raise PlatformUnavailable(Fault.TIMEOUT, _told(error)) from error
    except httpx.DecodingError as error:
        raise unreadable(_told(error)) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        raise PlatformUnavailable(Fault.BROKEN, _told(error)) from error
    return taken


def multipart(fields: Mapping[str, str]) -> tuple[bytes, str]:
    """The fields as a multipart form: its bytes and its content type."""
    form = httpx.Request("POST", "", files={name: (None, text) for name, text in fields.items()})
    return form.read(), form.headers["content-type"]


def _nothing(_: bool) -> None:
    """What there is to release of a transport that is not ours."""


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
