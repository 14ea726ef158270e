"""HTTP calls over aiohttp's connections, against servers of every kind."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from sebastian_adapters.qiscus import http, lane
from sebastian_adapters.qiscus.api import ApiRequest, ApiResponse
from sebastian_adapters.qiscus.http import AiohttpTransport
from sebastian_adapters.qiscus.lane import LaneOptions
from sebastian_adapters.qiscus.response import check_status, parse_object, unreadable
from sebastian_adapters.testing.waiting import until
from sebastian_core.domain.errors import Fault, PlatformUnavailable
from tests.loops import Run, on_both_loops
from tests.raw_http import RawRequest, RawServer, Respond, answer, answering, in_turn, raw_server
from tests.raw_proxy import Serve, carry, carrying, proxying, serving
from tests.tls_server import tls_server

CERTIFICATE = Path(__file__).parents[1] / "certificates" / "localhost.pem"


@asynccontextmanager
async def asking(
    respond: Respond, in_flight: int = 1, *, is_secure: bool = False, **options: Any
) -> AsyncIterator[tuple[AiohttpTransport, RawServer]]:
    async with (
        raw_server(respond, a_server_context() if is_secure else None) as server,
        a_transport(in_flight, **options) as transport,
    ):
        yield transport, server


def a_transport(in_flight: int = 1, **options: Any) -> AiohttpTransport:
    all_options: dict[str, Any] = {
        "connect_seconds": 2.0,
        "call_seconds": 10.0,
        "keep_alive_seconds": 60.0,
        "ssl_context": ssl.create_default_context(cafile=str(CERTIFICATE)),
        "proxy": None,
    }
    return AiohttpTransport(in_flight, LaneOptions(**(all_options | options)))


def a_server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def ask(transport: AiohttpTransport, url: str, method: str = "GET") -> ApiResponse:
    """One call whose answer fits."""
    return await transport.exchange(a_request(url, method), unchanged)


def unchanged(response: ApiResponse) -> ApiResponse:
    return response


def a_moment() -> datetime:
    return datetime(2024, 5, 2, 12, tzinfo=UTC)


def does_not_fit(response: ApiResponse) -> None:
    raise unreadable("the answer does not fit")


def told(response: ApiResponse) -> Any:
    return json.loads(response.body)


def a_request(url: str, method: str = "GET") -> ApiRequest:
    content = b"a=b" if method == "POST" else None
    return ApiRequest(method, URL(f"{url}/path?a=b"), body=content)


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


class TestAnswers:
    async def test_come_over_one_connection_one_after_the_other(self) -> None:
        async with asking(answering({"a": 1})) as (transport, server):
            answers = [await ask(transport, server.url) for _ in range(3)]

        assert [told(each) for each in answers] == [{"a": 1}] * 3
        assert server.connections == 1
        assert server.requests[0].line == "GET /path?a=b HTTP/1.1"

    async def test_in_chunks_are_put_together(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = saying(head, b"3\r\nabc", b"\r\n2\r\nde\r\n0\r\n\r\n")
        async with asking(chunks) as (transport, server):
            response = await ask(transport, server.url)

        assert response.body == b"abcde"

    async def test_without_a_length_end_with_the_connection(self) -> None:
        whole = saying(b"HTTP/1.0 200 OK\r\n\r\nabc", b"de", then_hang_up=True)
        async with asking(whole) as (transport, server):
            response = await ask(transport, server.url)

        assert response.body == b"abcde"

    async def test_before_the_answer_are_passed_over(self) -> None:
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        whole = b"HTTP/1.1 204 No Content\r\nX-Real: yes\r\n\r\n"
        async with asking(saying(early, whole)) as (transport, server):
            response = await ask(transport, server.url)

        assert response.status == 204
        assert response.headers["x-real"] == "yes"
        assert "link" not in response.headers

    async def test_go_to_the_host_that_was_asked(self) -> None:
        async with (
            asking(answering({"which": 1})) as (transport, first),
            raw_server(answering({"which": 2})) as second,
        ):
            answers = [await ask(transport, each.url) for each in (first, second, first)]

        assert [told(each)["which"] for each in answers] == [1, 2, 1]

    @pytest.mark.parametrize("path", ["/a%2Fb", "/%2E%2E", "/a%3Fb", "/caf%C3%A9"])
    async def test_come_from_the_address_that_was_asked_letter_by_letter(self, path: str) -> None:
        async with asking(answering({})) as (transport, server):
            url = URL(f"{server.url}{path}?q=a%2Cb+c", encoded=True)
            await transport.exchange(ApiRequest("GET", url), unchanged)

        assert server.requests[0].line == f"GET {path}?q=a%2Cb+c HTTP/1.1"

    @on_both_loops
    def test_come_over_new_tls_whose_session_tickets_come_first(self, run: Run[None]) -> None:
        async def scenario() -> None:
            async with tls_server(CERTIFICATE) as url:
                for _ in range(20):
                    async with a_transport() as transport:
                        assert (await ask(transport, url, "POST")).status == 200

        run(scenario())


class TestAConnectionIsNotUsedAgain:
    async def test_after_a_long_time_without_use(self) -> None:
        async with asking(answering({}), keep_alive_seconds=0.05) as (transport, server):
            await ask(transport, server.url)
            await asyncio.sleep(0.1)
            await ask(transport, server.url)

        assert server.connections == 2

    async def test_after_the_other_side_said_that_it_is_done(self) -> None:
        whole = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
        async with asking(saying(whole)) as (transport, server):
            answers = [await ask(transport, server.url) for _ in range(2)]

        assert [each.body for each in answers] == [b"ok", b"ok"]
        assert server.connections == 2

    async def test_after_an_answer_that_did_not_fit(self) -> None:
        async with asking(answering({})) as (transport, server):
            with pytest.raises(PlatformUnavailable):
                await transport.exchange(a_request(server.url), does_not_fit)
            await ask(transport, server.url)

        assert server.connections == 2

    @pytest.mark.parametrize("status", [400, 404, 408, 429, 500, 503])
    async def test_after_anything_but_a_2xx(self, status: int) -> None:
        async with asking(answering({}, status)) as (transport, server):
            for _ in range(2):
                await transport.exchange(a_request(server.url), unchanged)

        assert server.connections == 2

    @on_both_loops
    @pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
    def test_when_something_came_that_nobody_asked_for(
        self, run: Run[None], is_secure: bool
    ) -> None:
        async def scenario() -> None:
            asked = 0

            async def twice(_: RawRequest, writer: asyncio.StreamWriter) -> None:
                nonlocal asked
                asked += 1
                for _again in range(2):
                    writer.write(answer({"n": asked}))
                    await writer.drain()

            async with asking(twice, is_secure=is_secure) as (transport, server):
                for number in range(1, 6):
                    response = await ask(transport, server.url)
                    assert told(response) == {"n": number}
                    await until(lambda: not server.open)

        run(scenario())

    async def test_when_it_was_closed_by_the_other_side_a_moment_ago(self) -> None:
        async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(answer({}))
            await writer.drain()
            writer.close()

        async with asking(respond) as (transport, server):
            for _ in range(20):
                await ask(transport, server.url, "POST")

        assert len(server.requests) == 20


class TestACallThatIsGivenUp:
    @on_both_loops
    @pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
    def test_ends_its_connection_at_once(self, run: Run[None], is_secure: bool) -> None:
        async def scenario() -> None:
            async with asking(silence, is_secure=is_secure) as (transport, server):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await transport.exchange(a_request(server.url, "POST"), unchanged)

                await until(lambda: not server.open, 1.0)

        run(scenario())

    async def test_makes_room_for_the_next_one(self) -> None:
        responds = in_turn(silence, answering({"n": 2}))
        async with asking(responds) as (transport, server):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await transport.exchange(a_request(server.url, "POST"), unchanged)

            response = await ask(transport, server.url)

        assert told(response) == {"n": 2}

    @pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
    async def test_is_given_up_by_the_kernel_too_where_we_do_not_get_round_to_it(self) -> None:
        made = lane._undelivered_is_lost_after(1.5)((socket.AF_INET, 1, 6, "", ("", 0)))
        with made:
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == b"\1\0\0\0\0\0\0\0"


class TestLanes:
    async def test_serve_those_who_wait_in_the_order_in_which_they_came(self) -> None:
        async with asking(slowly(0.01)) as (transport, server):
            await asyncio.gather(
                *(ask(transport, f"{server.url}/{number}") for number in range(10))
            )

        asked = [request.line.split("/")[1] for request in server.requests]
        assert asked == [str(number) for number in range(10)]

    async def test_are_as_few_as_are_needed(self) -> None:
        async with asking(slowly(0.01), in_flight=8) as (transport, server):
            await asyncio.gather(*(ask(transport, server.url) for _ in range(8)))
            for _ in range(10):
                await ask(transport, server.url)

        assert len({request.connection for request in server.requests[8:]}) == 1

    async def test_that_nobody_uses_hang_up(self) -> None:
        async with asking(answering({}), in_flight=4, keep_alive_seconds=0.1) as (
            transport,
            server,
        ):
            await asyncio.gather(*(ask(transport, server.url) for _ in range(4)))

            await until(lambda: not server.open)

    async def test_that_are_all_busy_are_waited_for_no_longer_than_for_a_connection(self) -> None:
        async with asking(silence, connect_seconds=0.1) as (transport, server):
            first = asyncio.create_task(transport.exchange(a_request(server.url), unchanged))
            await until(lambda: server.requests)
            with pytest.raises(PlatformUnavailable, match=r"every connection is busy for 0\.1 s"):
                await transport.exchange(a_request(server.url), unchanged)
            first.cancel()

        assert len(server.requests) == 1

    async def test_of_a_closed_transport_send_nothing(self) -> None:
        async with asking(answering({})) as (transport, server):
            await transport.aclose()
            with pytest.raises(PlatformUnavailable, match="closed"):
                await ask(transport, server.url)

        assert server.connections == 0

    async def test_of_a_closed_transport_are_given_to_nobody_who_waited(self) -> None:
        async with asking(slowly(0.1)) as (transport, server):
            calls = [asyncio.create_task(ask(transport, server.url)) for _ in range(3)]
            await until(lambda: server.requests)
            await transport.aclose()
            ended = await asyncio.gather(*calls, return_exceptions=True)

        assert [type(each) for each in ended] == [ApiResponse, *[PlatformUnavailable] * 2]
        assert len(server.requests) == 1

    async def test_that_cannot_be_made_take_no_place_from_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("no lane")

        async with asking(answering({}), connect_seconds=0.2) as (transport, server):
            with monkeypatch.context() as patched:
                patched.setattr(http, "Lane", fail)
                with pytest.raises(RuntimeError, match="no lane"):
                    await ask(transport, server.url)

            assert (await ask(transport, server.url)).status == 200


async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hangs up when it is called."""


async def after_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def after_an_interim_answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
    await writer.drain()


async def in_the_head_of_the_answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-")
    await writer.drain()


async def in_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer({"a": 1})[:-3])
    await writer.drain()


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


class TestVerdicts:
    """Only what was surely not sent is told as such, wherever the other side hangs up."""

    @on_both_loops
    @pytest.mark.parametrize("goodbye", ["fin", "reset"])
    @pytest.mark.parametrize(
        "ending",
        [after_the_head, after_an_interim_answer, in_the_head_of_the_answer, in_the_answer],
    )
    @pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
    def test_a_request_that_may_have_arrived_is_of_unknown_end(
        self, run: Run[None], ending: Serve, is_secure: bool, goodbye: str
    ) -> None:
        async def scenario() -> None:
            context = a_server_context() if is_secure else None
            async with hanging_up(ending, goodbye, context) as url, a_transport() as transport:
                error = await unavailable(transport, a_request(url, "POST"))

            assert (error.fault, error.surely_not_applied) == (Fault.BROKEN, False)

        run(scenario())

    @on_both_loops
    @pytest.mark.parametrize("goodbye", ["fin", "reset"])
    def test_a_server_that_hangs_up_at_once_is_of_unknown_end_unless_we_saw_it_in_time(
        self, run: Run[None], goodbye: str
    ) -> None:
        async def scenario() -> None:
            async with hanging_up(at_once, goodbye) as url, a_transport() as transport:
                error = await unavailable(transport, a_request(url, "POST"))

            assert error.fault in (Fault.BROKEN, Fault.CONNECT)

        run(scenario())

    @on_both_loops
    @pytest.mark.parametrize("goodbye", ["fin", "reset"])
    def test_a_server_that_hangs_up_before_tls_was_sent_nothing(
        self, run: Run[None], goodbye: str
    ) -> None:
        async def scenario() -> None:
            async with hanging_up(at_once, goodbye) as url, a_transport() as transport:
                error = await unavailable(
                    transport, a_request(url.replace("http:", "https:"), "POST")
                )

            assert error.fault is Fault.CONNECT

        run(scenario())

    async def test_a_server_that_never_speaks_tls_was_sent_nothing(self) -> None:
        async with hanging_up(never) as url, a_transport(connect_seconds=0.2) as transport:
            error = await unavailable(transport, a_request(url.replace("http:", "https:"), "POST"))

        assert error.fault is Fault.CONNECT
        assert "no connection within 0.2 s" in str(error)

    async def test_a_port_where_nobody_listens_was_sent_nothing(self) -> None:
        async with hanging_up(never) as url:
            pass
        async with a_transport() as transport:
            error = await unavailable(transport, a_request(url, "POST"))

        assert error.fault is Fault.CONNECT
        assert "nothing listens there (connection refused)" in str(error)

    async def test_a_name_that_nobody_knows_was_sent_nothing(self) -> None:
        async with a_transport() as transport:
            error = await unavailable(transport, a_request("http://nowhere.invalid", "POST"))

        assert error.fault is Fault.CONNECT
        assert "nowhere.invalid, port 80: the name of its host " in str(error)

    async def test_a_server_with_a_certificate_of_nobody_was_sent_nothing(self) -> None:
        strict = ssl.create_default_context()
        async with asking(answering({}), is_secure=True, ssl_context=strict) as (transport, server):
            error = await unavailable(transport, a_request(server.url, "POST"))

        assert error.fault is Fault.CONNECT
        assert "its certificate is not accepted (self" in str(error)
        assert server.requests == []

    async def test_a_header_that_holds_a_line_break_is_not_sent(self) -> None:
        async with asking(answering({})) as (transport, server):
            request = ApiRequest("GET", URL(server.url), {"X-Name": "a\r\nX-Other: b"})
            error = await unavailable(transport, request)

        assert not error.surely_not_applied
        assert server.requests == []

    async def test_an_answer_that_is_no_http_shows_no_secret(self) -> None:
        async with asking(saying(b"no HTTP\r\n\r\n")) as (transport, server):
            secret = {"Qiscus-Secret-Key": "SECRET"}
            error = await unavailable(transport, ApiRequest("POST", URL(server.url), secret))

        assert "the answer is not HTTP" in str(error)
        assert not [each for each in chain(error) if "SECRET" in repr(each)]

    async def test_a_post_is_sent_once_and_a_get_once_more(self) -> None:
        async with asking(saying(then_hang_up=True)) as (transport, server):
            await unavailable(transport, a_request(server.url, "POST"))
            posts = len(server.requests)
            await unavailable(transport, a_request(server.url, "GET"))

        assert (posts, len(server.requests) - posts) == (1, 2)

    async def test_a_server_that_speaks_before_it_is_asked_was_sent_nothing(self) -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer({"data": {}}))
            await writer.drain()
            await reader.read()

        async with hanging_up(greet) as url, a_transport() as transport:
            errors = [await unavailable(transport, a_request(url, "POST")) for _ in range(3)]

        assert {error.fault for error in errors} <= {Fault.CONNECT, Fault.BROKEN}


class TestAProxy:
    """The way through an HTTP proxy: what it does before the tunnel stands was never sent on."""

    @pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
    async def test_is_asked_for_the_way_and_carries_the_call(self, is_secure: bool) -> None:
        async with (
            raw_server(answering({"a": 1}), a_server_context() if is_secure else None) as server,
            proxying(carrying) as proxy,
            a_transport(proxy=f"http://me:p%40ss@localhost:{proxy.port}") as transport,
        ):
            answers = [await ask(transport, server.url, "POST") for _ in range(3)]

        assert [told(each) for each in answers] == [{"a": 1}] * 3
        assert proxy.heard[0].startswith("CONNECT localhost:" if is_secure else "POST http://")
        assert "Proxy-Authorization: Basic bWU6cEBzcw==" in proxy.heard[0]
        if is_secure:
            assert (len(proxy.heard), server.connections) == (1, 1)
            assert "proxy-authorization" not in server.requests[0].headers

    @on_both_loops
    @pytest.mark.parametrize(
        ("refusal", "said"),
        [
            (
                b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                "way there with 407",
            ),
            (
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
                "way there with 502",
            ),
            (b"HTTP/1.1 403 \x1b[31mme:pw\r\n\r\n", "way there with 403"),
            (b"", "no connection"),
            (b"no HTTP\r\n\r\n", "no connection"),
            (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        ],
    )
    def test_that_does_not_make_the_way_was_sent_nothing_for_the_platform(
        self, run: Run[None], refusal: bytes, said: str
    ) -> None:
        async def refusing(
            head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(refusal)
            await writer.drain()

        async def scenario() -> None:
            async with (
                proxying(refusing) as proxy,
                a_transport(proxy=f"http://localhost:{proxy.port}") as transport,
            ):
                error = await unavailable(transport, a_request("https://platform.test", "POST"))

            assert error.fault is Fault.CONNECT
            assert said in str(error)
            assert "\x1b" not in str(error)
            assert "me:pw" not in str(error)
            assert len(proxy.heard) == 1

        run(scenario())

    async def test_never_shows_how_to_get_in(self) -> None:
        async with a_transport(proxy="http://me:hunter2@localhost:1") as transport:
            error = await unavailable(transport, a_request("https://platform.test", "POST"))

            assert "hunter2" not in f"{transport!r} {error!r} {error.__cause__!r}"

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_that_wants_a_login_has_said_nothing_of_the_chat(self, scheme: str) -> None:
        async def refusing(_: bytes, __: object, writer: asyncio.StreamWriter) -> None:
            writer.write(answer({"errors": "log in"}, 407))
            await writer.drain()

        async with (
            proxying(refusing) as proxy,
            a_transport(proxy=f"http://me:pw@localhost:{proxy.port}") as transport,
        ):
            with pytest.raises(PlatformUnavailable) as unavailable:
                await transport.exchange(
                    a_request(f"{scheme}://platform.test", "POST"),
                    lambda response: check_status(response, now=a_moment, secrets=()),
                )

        shown = [repr(each) + str(each) for each in chain(unavailable.value)]
        assert not [each for each in shown if "Proxy-Auth" in each or "bWU6cHc=" in each]

    async def test_that_is_not_there_was_sent_nothing(self) -> None:
        async with proxying(carrying) as proxy:
            pass
        async with a_transport(proxy=f"http://me:pw@localhost:{proxy.port}") as transport:
            error = await unavailable(transport, a_request("https://platform.test", "POST"))

        assert error.fault is Fault.CONNECT
        assert f"the proxy, port {proxy.port}: nothing listens there" in str(error)

    async def test_that_breaks_off_behind_the_request_leaves_open_what_became_of_it(self) -> None:
        async with (
            raw_server(saying(then_hang_up=True), a_server_context()) as server,
            proxying(carrying) as proxy,
            a_transport(proxy=f"http://localhost:{proxy.port}") as transport,
        ):
            error = await unavailable(transport, a_request(server.url, "POST"))

        assert error.fault is Fault.BROKEN
        assert len(server.requests) == 1


class TestHostileAnswers:
    @pytest.mark.parametrize(
        "encodings",
        [["gzip"], ["gzip, gzip"], ["identity", "gzip, gzip"], ["x" * 4000], []],
    )
    async def test_that_are_packed_stay_packed_and_are_unreadable(
        self, encodings: list[str]
    ) -> None:
        packed = gzip.compress(gzip.compress(b" " * 1_000_000))
        async with asking(saying(encoded(packed, encodings))) as (transport, server):
            response = await ask(transport, server.url)
            with pytest.raises(
                PlatformUnavailable, match="compressed, which nobody"
            ) as unavailable:
                await transport.exchange(a_request(server.url), parse_object)

        assert response.body == packed
        assert unavailable.value.fault is Fault.UNREADABLE

    @pytest.mark.parametrize("encodings", [["identity"], [""], ["identity, identity"], ["utf-8"]])
    async def test_that_only_say_so_are_read(self, encodings: list[str]) -> None:
        async with asking(saying(encoded(b'{"a": 1}', encodings))) as (transport, server):
            assert await transport.exchange(a_request(server.url), parse_object) == {"a": 1}

    async def test_cost_no_lane_whatever_is_made_of_them(self) -> None:
        def stumble(_: ApiResponse) -> None:
            raise RuntimeError("stumbled")

        async with asking(answering({"a": 1}), connect_seconds=0.2) as (transport, server):
            for _ in range(3):
                with pytest.raises(RuntimeError, match="stumbled"):
                    await transport.exchange(a_request(server.url), stumble)

            assert told(await ask(transport, server.url)) == {"a": 1}

    @pytest.mark.parametrize(
        "endless",
        [
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
            b"X-Name: value\r\n",
            b"x" * 1000,
        ],
    )
    async def test_whose_head_does_not_end_do_not_last(self, endless: bytes) -> None:
        async def flood(_: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"" if endless.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\nX: ")
            while not writer.is_closing():
                writer.write(endless * 100)
                await writer.drain()

        async with asking(flood) as (transport, server):
            began = time.process_time()
            error = await unavailable(transport, a_request(server.url, "POST"))

            assert not error.surely_not_applied
            assert time.process_time() - began < 1.0

    async def test_with_a_long_line_in_the_head_are_read(self) -> None:
        policy = "default-src " + "https://cdn.example " * 1000
        long = answering({"a": 1}, content_security_policy=policy)
        async with asking(long) as (transport, server):
            assert told(await ask(transport, server.url, "POST")) == {"a": 1}

    async def test_with_a_head_of_many_fields_are_not_http_to_us(self) -> None:
        fields = b"".join(b"X-%d: y\r\n" % number for number in range(1000))
        whole = b"HTTP/1.1 200 OK\r\n" + fields + b"content-length: 0\r\n\r\n"
        async with asking(saying(whole)) as (transport, server):
            error = await unavailable(transport, a_request(server.url, "POST"))

        assert error.fault is Fault.BROKEN


class TestSeveralAddresses:
    """A platform name with many addresses, of which some may be out of order."""

    async def test_that_are_all_far_away_are_connected_to(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        everywhere = [f"127.0.0.{number}" for number in range(1, 9)]
        async with (
            asking(answering({}), is_secure=True, connect_seconds=1.5) as (transport, server),
            far_away(everywhere, server.port, seconds=0.1) as port,
        ):
            resolving(monkeypatch, everywhere)
            response = await ask(transport, f"https://localhost:{port}")

        assert response.status == 200

    async def test_of_which_the_first_refuse_are_tried_one_after_the_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with asking(answering({})) as (transport, server):
            resolving(monkeypatch, ["127.0.0.7", "127.0.0.8", "127.0.0.1"])
            response = await ask(transport, server.url)

        assert response.status == 200

    async def test_of_which_one_never_speaks_tls_do_not_hide_the_next(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with (
            asking(answering({}), is_secure=True, connect_seconds=0.3) as (transport, server),
            hanging_up(never, host="127.0.0.2", port=server.port),
        ):
            resolving(monkeypatch, ["127.0.0.2", "127.0.0.1"])
            with suppress(PlatformUnavailable):
                await ask(transport, server.url, "POST")
            response = await ask(transport, server.url)

        assert response.status == 200


class TestLookingUpANameThatTakesTime:
    """The platform's name is looked up once for all lanes."""

    async def test_is_done_once_for_all_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with asking(answering({}, 400), in_flight=40, connect_seconds=1.0) as (
            transport,
            server,
        ):
            lookups = looking_up(monkeypatch, seconds=0.3)
            for _ in range(2):
                await asyncio.gather(*(ask(transport, server.url, "POST") for _ in range(40)))

        assert (len(lookups), server.connections) == (1, 80)

    async def test_goes_on_when_who_asked_first_gives_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with asking(answering({}), in_flight=2) as (transport, server):
            lookups = looking_up(monkeypatch, seconds=0.2)
            first = asyncio.create_task(ask(transport, server.url))
            await until(lambda: lookups)
            second = asyncio.create_task(ask(transport, server.url))
            first.cancel()

            assert (await second).status == 200
        assert len(lookups) == 1

    async def test_fails_nobody_whose_transport_is_closed_meanwhile(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with asking(answering({})) as (transport, server):
            lookups = looking_up(monkeypatch, seconds=0.2)
            call = asyncio.create_task(ask(transport, server.url))
            await until(lambda: lookups)
            await transport.aclose()

            assert (await call).status == 200

    async def test_is_tried_again_after_it_was_in_vain(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with asking(answering({})) as (transport, server):
            lookups = looking_up(monkeypatch, in_vain=1)
            error = await unavailable(transport, a_request(server.url, "POST"))
            response = await ask(transport, server.url)

        assert (error.fault, response.status, len(lookups)) == (Fault.CONNECT, 200, 2)


async def silence(_: RawRequest, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        await asyncio.sleep(0.005)


def slowly(seconds: float) -> Respond:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(answer({}))

    return respond


@asynccontextmanager
async def hanging_up(
    ending: Serve,
    goodbye: str = "fin",
    context: ssl.SSLContext | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[str]:
    """A server that hangs up on everybody, at that point and in that way; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ending(reader, writer)
        if goodbye == "reset":
            writer.transport.abort()

    async with serving(serve, context, host=host, port=port) as port:
        yield f"{'https' if context else 'http'}://localhost:{port}"


@asynccontextmanager
async def far_away(addresses: list[str], port: int, *, seconds: float) -> AsyncIterator[int]:
    """The server at that port, so many seconds away in each direction; the port it has there."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await carry(b"", reader, writer, port, seconds)

    async with AsyncExitStack() as stack:
        first, *others = addresses
        there = await stack.enter_async_context(serving(serve, host=first))
        for each in others:
            await stack.enter_async_context(serving(serve, host=each, port=there))
        yield there


def resolving(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    """`localhost` has these addresses, in this order."""
    looking_up(monkeypatch, addresses=addresses)


def looking_up(
    monkeypatch: pytest.MonkeyPatch,
    *,
    seconds: float = 0.0,
    in_vain: int = 0,
    addresses: Sequence[str] = ("127.0.0.1",),
) -> list[str]:
    """Look-ups take so long, and the first ones find nothing; the names that were looked up."""
    looked_up: list[str] = []

    async def found(_: object, host: str, port: int, __: object) -> list[ResolveResult]:
        looked_up.append(host)
        await asyncio.sleep(seconds)
        if len(looked_up) <= in_vain:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        family = socket.AF_INET
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=6, flags=0)
            for each in addresses
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", found)
    return looked_up


def encoded(body: bytes, encodings: list[str]) -> bytes:
    """An answer with a line `Content-Encoding` for each of them."""
    lines = "".join(f"Content-Encoding: {each}\r\n" for each in encodings)
    return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came from."""
    yield error
    for each in (error.__cause__, error.__context__):
        if each is not None:
            yield from chain(each)


async def unavailable(transport: AiohttpTransport, request: ApiRequest) -> PlatformUnavailable:
    with pytest.raises(PlatformUnavailable) as unavailable:
        await transport.exchange(request, unchanged)
    return unavailable.value
