"""What one answer may cost, whatever the platform (or whoever answers in its place) sends.

The calls are made by a process of its own (`costly_answers`), which measures itself.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.raw_http import RawRequest, Respond, answer, raw_server

ROOT = Path(__file__).parents[2]
MEGABYTES = 64.0
SECONDS = 0.5
"""Measured alone it is 0.04 s at most; a busy machine counts several times that."""

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
TEN = 10 * 2**20
INSIDE = 2 * 2**20 - 4096
"""As long as an answer may be that is read at all."""


def endless(head: bytes, again: bytes) -> Respond:
    """An answer that goes on for as long as it is read."""

    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        part = again * (65536 // len(again) + 1)
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()

    return respond


def saying(whole: bytes) -> Respond:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(whole)

    return respond


def filled(before: bytes, again: bytes, after: bytes, size: int = INSIDE) -> bytes:
    """A body of about that size."""
    return before + again * ((size - len(before) - len(after)) // len(again)) + after


def packed(times: int) -> bytes:
    """Much in little: spaces, packed once or more often."""
    body = b" " * TEN
    for _ in range(times):
        body = gzip.compress(body)
    return body


def bodies() -> Iterator[tuple[str, bytes]]:
    """JSON that costs as much as it can."""
    agent = b'{"id":%d,"is_available":true},'
    rows = b"".join(agent % number for number in range(30_000))
    texts = b"".join(b'{"id":"%d","is_available":true},' % number for number in range(30_000))
    yield "many lists", filled(b'{"data":[', b"[],", b"[]]}")
    yield "as many lists as are read", filled(b'{"data":[', b"[]," + b" " * 38, b"[]]}")
    yield "many objects", filled(b'{"data":[', b'{"":0},', b"{}]}")
    yield "one list too long", filled(b'{"data":[', b'{"id":1},', b"{}]}", 2 * TEN)
    yield "many agents", b'{"data":[' + rows[:-1] + b"]}"
    yield "many agents by texts", b'{"data":[' + texts[:-1] + b"]}"
    yield "many keys", filled(b'{"a":{', b'"k":[0],', b'"z":0}}')
    yield "brackets", b"[" * INSIDE
    yield "objects in objects", b'{"a":' * (INSIDE // 5)
    yield "a long number", b'{"data":' + b"9" * INSIDE + b"}"
    yield "a long text", filled(b'{"data":{"added_agent":{"id":1,"name":"', rb"\u00e4", b'"}}}')
    yield "errors", filled(b'{"errors":[', b'"a@b ",', b'""]}')
    yield "broken characters", filled(b'{"data":"', b"\xff", b'"}')


HEADS = {
    "packed": answer(packed(1), content_encoding="gzip"),
    "packed twice": answer(packed(2), content_encoding="gzip, gzip"),
    "many codings": answer(b"{}", content_encoding=", ".join(["gzip"] * 1500)),
    "many fields": OK + b"x: y\r\n" * 100_000 + b"\r\n",
    "a long field": OK + b"x: " + b"y" * TEN + b"\r\n\r\n",
    "a long status": b"HTTP/1.1 200 " + b"y" * TEN + b"\r\n\r\n",
}
ENDLESS = {
    "interim answers": endless(b"", b"HTTP/1.1 100 C\r\n\r\n"),
    "interim answers with fields": endless(b"", b"HTTP/1.1 103 E\r\na: b\r\n\r\n"),
    "small chunks": endless(CHUNKED, b"1\r\n \r\n"),
    "big chunks": endless(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "chunk extensions": endless(CHUNKED + b"1;", b"a=b;"),
    "trailers": endless(CHUNKED + b"1\r\n \r\n0\r\n", b"a: b\r\n"),
    "one trailer": endless(CHUNKED + b"1\r\n \r\n0\r\na: ", b"b"),
    "a body": endless(OK + b"connection: close\r\n\r\n", b" "),
    "lines": endless(OK + b"connection: close\r\n\r\n", b"\n"),
    "no HTTP": endless(b"", b"220 mail "),
}
ANSWERS = (
    {name: saying(whole) for name, whole in HEADS.items()}
    | ENDLESS
    | {name: saying(answer(body)) for name, body in bodies()}
    | {f"{name}, refused": saying(answer(body, 400)) for name, body in bodies()}
)
USUAL = {
    "assign": answer({"data": {"added_agent": {"id": 1}}}),
    "agents": answer({"data": {"agents": [{"id": 1, "is_available": True}]}}),
    "rooms": answer({"data": {"customer_rooms": []}}),
}
_NUMBER = re.compile(r'(?:room_id=|user_ids": \[)(\d+)')


@pytest.mark.parametrize("asked", list(USUAL))
async def test_no_answer_costs_much(asked: str) -> None:
    costs = await costs_of(dict(ANSWERS), asked)

    dear = {name: cost for name, cost in costs.items() if cost[1] > MEGABYTES or cost[2] > SECONDS}
    assert dear == {}
    told = {cost[0] for cost in costs.values()}
    assert told <= {"unreadable", "broken", "timeout", "400", "read"}


@pytest.mark.parametrize("asked", list(USUAL))
async def test_the_usual_answer_is_read(asked: str) -> None:
    costs = await costs_of({"usual": saying(USUAL[asked])}, asked)

    assert costs["usual"][0] == "read"


async def costs_of(
    answers: Mapping[str, Respond], asked: str
) -> dict[str, tuple[str, float, float]]:
    """For each answer the outcome of its call, and the megabytes and seconds that it took."""
    responds = [saying(USUAL[asked]), *answers.values()]

    async def respond(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        number = _NUMBER.search(request.line + request.body.decode())
        assert number is not None
        await responds[int(number[1])](request, writer)

    program = ("-m", "tests.integration.costly_answers")
    async with raw_server(respond) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program, server.url, asked, str(len(answers))),
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        async with asyncio.timeout(100):
            said, _ = await process.communicate()
    assert process.returncode == 0
    told = [line.split() for line in said.decode().splitlines()]
    return {
        name: (outcome, float(megabytes), float(seconds))
        for name, (outcome, megabytes, seconds) in zip(answers, told, strict=True)
    }


def test_a_process_without_descriptors_says_so_and_blames_nobody_else() -> None:
    """Too many open files are our own trouble: nothing was sent, and the account is not down."""
    program = (
        "import asyncio, os, resource, sys\n"
        "from tests.integration.costly_answers import HttpxQiscusClient, InMemoryClock\n"
        "from sebastian_core.domain.errors import PlatformUnavailable\n"
        "async def main():\n"
        "    async with HttpxQiscusClient(base_url=sys.argv[1], app_id='a', secret_key='b',"
        " clock=InMemoryClock()) as client:\n"
        "        while True:\n"
        "            try: os.open(os.devnull, os.O_RDONLY)\n"
        "            except OSError: break\n"
        "        try: await client.account()\n"
        "        except PlatformUnavailable as error:\n"
        "            print(error.fault, error.surely_not_applied, error)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))\n"
        "asyncio.run(main())\n"
    )
    for url in ("http://127.0.0.1:9", "http://localhost:9", "https://omnichannel.invalid"):
        done = subprocess.run(
            [sys.executable, "-c", program, url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

        assert done.stdout.startswith(
            "crowded True Qiscus was not asked: this process has too many open files"
        )
