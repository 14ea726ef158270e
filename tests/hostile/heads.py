"""What a stranger's head costs us: long values of the characters that parsers trip over."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import product

from attrs import frozen

from tests.hostile.stage import HOOK_TOKEN, Stage

CHARACTERS = '\\"%&;,=+'
PATHS = (
    "/floor",
    "/floor/events",
    "/floor/why",
    "/floor/floor.js",
    "/agents",
    "/metrics",
    "/healthz",
    "/schema",
    "/webhook-incoming-message/guess",
    f"/webhook-incoming-message/{HOOK_TOKEN}",
    "/nothing",
)
POSTED = ("/floor/login", "/floor/logout", "/floor/actions/pause", "/set-webhook")
SOME_PATHS = ("/floor", "/floor/login", f"/webhook-incoming-message/{HOOK_TOKEN}")
FIELDS = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Connection",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "Expect",
    "Forwarded",
    "Host",
    "If-None-Match",
    "Origin",
    "Range",
    "Referer",
    "TE",
    "Upgrade",
    "User-Agent",
    "X-Floor-Proof",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
)
_OPENINGS = {
    "Accept": "text/html;q=",
    "Authorization": "Bearer ",
    "Content-Disposition": 'form-data; name="',
    "Content-Type": 'multipart/form-data; boundary="',
    "Cookie": 'sebastian_floor="',
}
"""What a value must begin with for its parser to take it seriously."""


@frozen
class Head:
    """One request without a body, and what is long in it."""

    place: str
    character: str
    size: int
    path: str
    sent: bytes

    def __str__(self) -> str:
        return f"{self.size} x {self.character} in {self.place} of {self.path}"


@frozen
class Cost:
    """How much processor time the service took for it, in seconds."""

    head: Head
    seconds: float


def heads(sizes: Iterable[int], paths: Iterable[str] = (*PATHS, *POSTED)) -> Iterator[Head]:
    """Every path with every character, in the path, in the query and in every header."""
    for size, character, path in product(sizes, CHARACTERS, paths):
        method = "POST" if path in POSTED else "GET"
        long = character * size
        for place, target in (("the path", f"{path}/{long}"), ("the query", f"{path}?zone={long}")):
            yield Head(place, character, size, path, _sent(method, target))
        fields = "\r\n".join(f"{name}: {character}" for name in FIELDS[1:] * (size // 400))
        yield Head("many fields", character, size, path, _sent(method, path, "Accept", fields))
        for name in FIELDS:
            opening = _OPENINGS.get(name, "")
            value = opening + long + ('"' if opening.endswith('"') else "")
            yield Head(name, character, size, path, _sent(method, path, name, value))


def _sent(method: str, target: str, name: str = "", value: str = "") -> bytes:
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [] if name == "Host" else ["Host: sebastian.example"]
    lines += [f"{name}: {value}"] if name else []
    return "\r\n".join([*lines, "", ""]).encode()


async def costs(stage: Stage, sent: Iterable[Head], *, times: int = 1) -> AsyncIterator[Cost]:
    """The median of so many tries of each; every try has a connection of its own."""
    for head in sent:
        tries = [await _seconds(stage, head) for _ in range(times)]
        yield Cost(head, statistics.median(tries))


async def _seconds(stage: Stage, head: Head) -> float:
    port = int(stage.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = processor_seconds(stage.pid)
    writer.write(head.sent)
    async with asyncio.timeout(60):
        await reader.readline()
    took = processor_seconds(stage.pid) - began
    writer.transport.abort()
    return took


def processor_seconds(pid: int) -> float:
    """What this process has used so far; Linux keeps a clock of it for others to read."""
    return time.clock_gettime((~pid << 3) | 2)
