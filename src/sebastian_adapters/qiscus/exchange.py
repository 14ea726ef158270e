"""One HTTP exchange: a request, and its complete answer or a sentence why there is none."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from sebastian_adapters.qiscus.answers import Answered, unreadable
from sebastian_core.domain.errors import Fault, PlatformUnavailable

BODY_LIMIT_BYTES = 16 * 1024 * 1024
"""More than any page of a hundred agents could ever be."""


async def exchanged(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> Answered:
    """The complete answer to the request; raises PlatformUnavailable where there is none.

    httpx's errors die here. The faults `connect` and `crowded` mean that nothing was sent. No
    redirect is followed and no cookie kept: a call depends on nothing that an earlier one was
    answered.
    """
    try:
        response = await transport.handle_async_request(request)
        try:
            body = await _whole_body(response)
        finally:
            await response.aclose()
    except httpx.PoolTimeout as error:
        raise PlatformUnavailable(Fault.CROWDED, type(error).__name__) from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise PlatformUnavailable(Fault.CONNECT, type(error).__name__) from error
    except httpx.TimeoutException as error:
        raise PlatformUnavailable(Fault.TIMEOUT, type(error).__name__) from error
    except httpx.DecodingError as error:
        raise unreadable("the body's encoding is broken") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        raise PlatformUnavailable(Fault.BROKEN, type(error).__name__) from error
    return Answered(response.status_code, response.headers, body)


def multipart(fields: Mapping[str, str]) -> tuple[bytes, str]:
    """The fields as a multipart form: its bytes and its content type."""
    form = httpx.Request("POST", "", files={name: (None, text) for name, text in fields.items()})
    return form.read(), form.headers["content-type"]


async def _whole_body(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > BODY_LIMIT_BYTES:
            raise unreadable("the answer is too long", response.status_code)
        parts.append(part)
    return b"".join(parts)
