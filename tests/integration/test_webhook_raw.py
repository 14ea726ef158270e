"""Raw bytes against the port: what no HTTP client would send."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from sebastian_adapters.testing.waiting import until
from sebastian_apps.http import bounded_http
from sebastian_apps.http import parts as reading
from tests.webhook_service import (
    ARRIVAL,
    WebhookService,
    parts_in_memory,
    raw_post,
    read_answer,
    webhook_service,
)

SMALL = b'{"room_id": "1"}'


@pytest.fixture
async def service() -> AsyncIterator[WebhookService]:
    async with webhook_service(parts_in_memory()) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All limits of patience, cut short."""
    monkeypatch.setattr(bounded_http, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(bounded_http, "DISCARD_SECONDS", 0.2)
    monkeypatch.setattr(bounded_http, "SEND_SECONDS", 0.2)
    monkeypatch.setattr(reading, "READ_SECONDS", 0.2)


def slug_of(body: bytes) -> str:
    document = json.loads(body)
    return str(document["type"]).rpartition(":")[2]


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n\r\n",
        b"GET /healthz?" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=range(18),
)
async def test_what_is_not_http_is_a_bad_request(service: WebhookService, sent: bytes) -> None:
    answer = await service.send_raw(sent)

    assert 400 <= answer.status < 500
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_head_of_too_many_fields_is_refused(service: WebhookService) -> None:
    fields = b"a:\r\n" * bounded_http.FIELD_LIMIT

    answer = await service.send_raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")

    assert (answer.status, slug_of(answer.body)) == (431, "head-too-large")


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["endless", "ended"])
async def test_a_head_that_is_too_long_is_refused(service: WebhookService, end: bytes) -> None:
    long = b"x" * bounded_http.HEAD_LIMIT

    answer = await service.send_raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + long + end)

    assert (answer.status, slug_of(answer.body)) == (431, "head-too-large")


async def test_a_body_announced_as_endless_is_refused_before_it_is_sent(
    service: WebhookService,
) -> None:
    head = f"POST {ARRIVAL} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"

    answer = await service.send_raw(head.encode())

    assert (answer.status, slug_of(answer.body)) == (413, "too-large")
    assert answer.headers["connection"] == "close"


async def test_a_large_body_is_not_asked_for(service: WebhookService) -> None:
    fields = "Host: x\r\nExpect: 100-continue\r\nContent-Length: 300000"

    answer = await service.send_raw(f"POST {ARRIVAL} HTTP/1.1\r\n{fields}\r\n\r\n".encode())

    assert answer.status == 413


async def test_a_chunked_body_beyond_the_limit_is_refused_and_the_connection_goes_on(
    service: WebhookService,
) -> None:
    reader, writer = await service.connect()
    head = f"POST {ARRIVAL} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + b"2710\r\n" + b"x" * 10_000 + b"\r\n")
    for _ in range(99):
        writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
    writer.write(b"0\r\n\r\n" + raw_post(ARRIVAL, SMALL))

    first, second = await read_answer(reader), await read_answer(reader)

    writer.close()
    assert (first.status, second.status) == (413, 200)


async def test_a_chunked_body_is_read(service: WebhookService) -> None:
    head = f"POST {ARRIVAL} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b'8\r\n{"room_i\r\n8\r\nd": "1"}\r\n0\r\n\r\n'

    assert (await service.send_raw(head.encode() + chunks)).status == 200
    assert await service.rows() == 1


CHUNKED = f"POST {ARRIVAL} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode()


@pytest.mark.parametrize("trailed", [b"x: y\r\n", b"x"], ids=["fields", "one field"])
async def test_trailers_that_never_end_end_the_connection(
    service: WebhookService, trailed: bytes
) -> None:
    reader, writer = await service.connect()
    writer.write(CHUNKED + b"\r\n10\r\n" + SMALL + b"\r\n0\r\nx: ")
    writer.write(trailed * (40 * bounded_http.HEAD_LIMIT // len(trailed)))

    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    assert await service.rows() == 0


async def test_trailers_are_not_taken_for_headers() -> None:
    head = b"GET /floor HTTP/1.1\r\nHost: elsewhere\r\nTransfer-Encoding: chunked\r\n\r\n"

    async with webhook_service(parts_in_memory(floor_is_open=True)) as service:
        answer = await service.send_raw(head + b"0\r\nHost: 127.0.0.1\r\n\r\n")

    assert (answer.status, slug_of(answer.body)) == (404, "not-found")


async def test_requests_in_one_packet_are_answered_in_their_order(service: WebhookService) -> None:
    reader, writer = await service.connect()
    bodies = [SMALL, b"", b'{"room_id": "2"}']
    writer.write(b"".join(raw_post(ARRIVAL, body) for body in bodies))

    answers = [await read_answer(reader) for _ in bodies]

    writer.close()
    assert [answer.status for answer in answers] == [200, 400, 200]


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "foo"])
@pytest.mark.parametrize("name", ["Upgrade", "uPGRADE", "Connection: upgrade\r\nupgrade"])
async def test_an_upgrade_is_ignored_and_the_webhook_is_taken(
    service: WebhookService, name: str, protocol: str
) -> None:
    fields = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEA", f"{name}: {protocol}")

    answer = await service.send_raw(raw_post(ARRIVAL, SMALL, *fields))

    assert answer.status == 200
    assert await service.rows() == 1


async def test_the_body_of_a_request_with_an_upgrade_is_not_the_next_request(
    service: WebhookService,
) -> None:
    reader, writer = await service.connect()
    request = raw_post("/nothing", raw_post(ARRIVAL, SMALL), "Connection: upgrade", "Upgrade: foo")
    head, _, body = request.partition(b"\r\n\r\n")

    writer.write(head + b"\r\n\r\n")
    assert (await read_answer(reader)).status == 404
    writer.write(body + raw_post(ARRIVAL, b"{}"))

    assert (await read_answer(reader)).status == 422
    writer.close()
    assert await service.rows() == 0


async def test_what_follows_a_request_is_not_answered_before_it(service: WebhookService) -> None:
    reader, writer = await service.connect()
    writer.write(raw_post(ARRIVAL, SMALL) + b"\x16\x03\x01")

    answers = [await read_answer(reader) for _ in range(2)]

    writer.close()
    assert [answer.status for answer in answers] == [200, 400]
    assert service.parts.counts.connections_ended == {"not-http": 1}


async def test_of_many_requests_in_one_packet_one_at_a_time_is_under_way() -> None:
    check = CountedCheck()
    async with webhook_service(parts_in_memory(checks={"slow": check})) as service:
        reader, writer = await service.connect()
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n" * 200)

        answers = [await read_answer(reader) for _ in range(200)]

        writer.close()
    assert {answer.status for answer in answers} == {200}
    assert check.most_at_once == 1


class CountedCheck:
    """A check that takes a moment, and knows how often it was under way at once."""

    def __init__(self) -> None:
        self.most_at_once = self._now = 0

    async def __call__(self) -> None:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(0)
        self._now -= 1


@pytest.mark.usefixtures("impatient")
async def test_who_does_not_read_is_cut_off() -> None:
    async with webhook_service(parts_in_memory(floor_is_open=True)) as service:
        with deaf_socket(service.port) as deaf:
            await sent_whole(deaf, b"GET /floor/floor.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 300)

            await until(lambda: service.parts.counts.connections_ended["unread"])


def deaf_socket(port: int) -> socket.socket:
    """A connection that has hardly any room for answers."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.connect(("127.0.0.1", port))
    deaf.setblocking(False)
    return deaf


async def sent_whole(deaf: socket.socket, sent: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(deaf, sent)


async def test_a_body_cut_off_leaves_no_row(service: WebhookService) -> None:
    _, writer = await service.connect()
    writer.write(raw_post(ARRIVAL, SMALL + b" " * 10)[:-10])
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    async with asyncio.timeout(5):
        while not service.parts.counts.of(ARRIVAL, "incomplete"):
            await asyncio.sleep(0.01)
    assert await service.rows() == 0


@pytest.mark.usefixtures("impatient")
async def test_a_slow_body_is_given_up(service: WebhookService) -> None:
    answer = await service.send_raw(raw_post(ARRIVAL, SMALL)[:-5])

    assert (answer.status, slug_of(answer.body)) == (408, "too-slow")
    assert await service.rows() == 0


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sent", [b"", b"POST", b"\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_slow_head_is_given_up(service: WebhookService, sent: bytes) -> None:
    reader, writer = await service.connect()
    writer.write(sent)

    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("beginning", [b"P", b"\r\n"])
async def test_a_slow_second_head_is_given_up(service: WebhookService, beginning: bytes) -> None:
    reader, writer = await service.connect()
    writer.write(raw_post(ARRIVAL, SMALL))
    assert (await read_answer(reader)).status == 200
    writer.write(beginning)

    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_nobody_wants_is_not_read_for_ever(service: WebhookService) -> None:
    reader, writer = await service.connect()
    writer.write(raw_post("/nowhere", b"x" * 100)[:-1])

    assert (await read_answer(reader)).status == 404
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_slow_connections_do_not_hold_the_others(service: WebhookService) -> None:
    slow = [await service.connect() for _ in range(100)]
    for number, (_, writer) in enumerate(slow):
        writer.write(raw_post(ARRIVAL, SMALL)[: 10 + number])

    answer = await service.post(ARRIVAL, {"room_id": "1"})

    assert answer.status_code == 200
    for _, writer in slow:
        writer.close()
