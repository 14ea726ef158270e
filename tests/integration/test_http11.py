"""One HTTP/1.1 connection as a transport of httpx, against servers of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from sebastian_adapters.qiscus.http11 import BUFFER_BYTES, Http11Transport
from tests.raw_http import RawRequest, RawServer, Respond, answering, raw_server


@asynccontextmanager
async def asking(
    respond: Respond, keep_alive_seconds: float = 60.0
) -> AsyncIterator[tuple[Http11Transport, RawServer]]:
    async with raw_server(respond) as server:
        transport = Http11Transport(httpx.create_ssl_context(), keep_alive_seconds)
        try:
            yield transport, server
        finally:
            await transport.aclose()


async def ask(transport: Http11Transport, server: RawServer) -> httpx.Response:
    request = httpx.Request("GET", f"{server.url}/path?a=b")
    response = await transport.handle_async_request(request)
    await response.aread()
    return response


def saying(*parts: bytes, then_hang_up: bool = False) -> Respond:
    """Answers with these bytes, each sent on its own."""

    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if then_hang_up:
            writer.close()

    return respond


async def test_requests_one_after_the_other_share_the_connection() -> None:
    async with asking(answering({"a": 1})) as (transport, server):
        answers = [await ask(transport, server) for _ in range(3)]

        assert [each.json() for each in answers] == [{"a": 1}] * 3
        assert server.connections == 1
        assert server.requests[0].line.startswith("GET /path?a=b ")


async def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    async with asking(answering({}), keep_alive_seconds=0.0) as (transport, server):
        await ask(transport, server)
        await ask(transport, server)

        assert server.connections == 2


async def test_a_connection_that_the_other_side_is_done_with_is_not_used_again() -> None:
    whole = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with asking(saying(whole)) as (transport, server):
        answers = [await ask(transport, server) for _ in range(2)]

        assert [each.text for each in answers] == ["ok", "ok"]
        assert server.connections == 2


async def test_another_host_gets_a_connection_of_its_own() -> None:
    async with (
        asking(answering({"which": 1})) as (transport, first),
        raw_server(answering({"which": 2})) as second,
    ):
        answers = [await ask(transport, server) for server in (first, second, first)]

        assert [each.json()["which"] for each in answers] == [1, 2, 1]


async def test_a_body_in_chunks_is_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with asking(saying(head, b"3\r\nabc", b"\r\n2\r\nde\r\n0\r\n\r\n")) as (
        transport,
        server,
    ):
        response = await ask(transport, server)

        assert response.text == "abcde"


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    whole = saying(b"HTTP/1.0 200 OK\r\n\r\nabc", b"de", then_hang_up=True)
    async with asking(whole) as (transport, server):
        response = await ask(transport, server)

        assert response.text == "abcde"


async def test_an_answer_before_the_answer_is_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    whole = b"HTTP/1.1 204 No Content\r\nX-Real: yes\r\n\r\n"
    async with asking(saying(early, whole)) as (transport, server):
        response = await ask(transport, server)

        assert response.status_code == 204
        assert dict(response.headers) == {"x-real": "yes"}


async def test_a_head_that_does_not_end_is_given_up() -> None:
    endless = (f"X-{number}: {'y' * 5000}\r\n".encode() for number in range(100))
    async with asking(saying(b"HTTP/1.1 200 OK\r\n", *endless)) as (transport, server):
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(transport, server)


async def test_what_nobody_asked_for_ends_the_connection() -> None:
    twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with asking(saying(twice + twice)) as (transport, server):
        for _ in range(2):
            response = await ask(transport, server)
            assert response.text == "ok"

        assert server.connections == 2


async def test_a_body_that_nobody_reads_does_not_pile_up() -> None:
    size = 64 * BUFFER_BYTES

    async def flood(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _part in range(64):
            writer.write(b"x" * BUFFER_BYTES)
            await writer.drain()

    async with asking(flood) as (transport, server):
        request = httpx.Request("GET", server.url)
        response = await transport.handle_async_request(request)
        parts = [len(part) async for part in response.aiter_raw()]

        assert sum(parts) == size


async def test_a_header_that_holds_a_line_break_is_not_sent() -> None:
    async with asking(answering({})) as (transport, server):
        request = httpx.Request("GET", server.url, headers={"X-Name": "a\r\nX-Other: b"})

        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(request)

        assert server.connections == 0


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async with asking(answering({})) as (transport, server):
        pass

    with pytest.raises(httpx.ConnectError):
        await ask(transport, server)
