"""Raw bytes against the port: what no HTTP client would send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from sebastian_apps.webhook import body as reading
from sebastian_apps.webhook import bounded_http
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
    ],
    ids=range(12),
)
async def test_what_is_not_http_is_a_bad_request(service: WebhookService, sent: bytes) -> None:
    answer = await service.send_raw(sent)

    assert 400 <= answer.status < 500
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_endless_head_is_refused(service: WebhookService) -> None:
    answer = await service.send_raw(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)

    assert (answer.status, slug_of(answer.body)) == (431, "head-too-large")


async def test_a_body_announced_as_endless_is_refused_before_it_is_sent(
    service: WebhookService,
) -> None:
    head = f"POST {ARRIVAL} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"

    answer = await service.send_raw(head.encode())

    assert (answer.status, slug_of(answer.body)) == (413, "too-large")
    assert answer.headers["connection"] == "close"


async def test_a_large_body_is_not_asked_for(service: WebhookService) -> None:
    fields = "Host: x\r\nExpect: 100-continue\r\nContent-Length: 70000"

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


async def test_a_body_in_another_protocol_is_not_taken(service: WebhookService) -> None:
    sent = raw_post(ARRIVAL, SMALL, "Connection: Upgrade", "Upgrade: websocket")

    assert (await service.send_raw(sent)).status == 400
    assert await service.rows() == 0


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
