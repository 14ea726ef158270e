"""Secrets and personal text that must never come out, and the search for them in what did.

The stand-in platform and the builders of the tests carry them wherever a real deployment has a
secret or what a customer wrote. Whatever the suite writes is searched: what tests print and log,
log files, every row, every key in Redis, every answer of a service. The search ends the run.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis
from attrs import define, field

WEBHOOK_TOKEN = "canary-webhook-token-4711-abcdefgh"
ADMIN_TOKEN = "canary-admin-token-0815-abcdefgh"
NAMED_ADMIN_TOKEN = "canary-named-admin-token-2342-abcdefgh"
SECRET_KEY = "canary-secret-key-4711"
PASSWORD = "canary-password-4711"
DATABASE_PASSWORD = (
    "57%canary-db@canary-at#canary-hash/canary-slash?canary-ask:canary-colon]canary-end"
)
REDIS_PASSWORD = "2024/canary-redis#canary-hash@canary-at?canary-ask%canary-percent:canary-colon]"
"""Each piece of them is a canary, since a URL that is misread shows pieces."""

AGENT_TOKEN = "canary-agent-token-a1b2c3d4e5f6"
CUSTOMER = "canary-customer Ada"
MAIL = "canary-mail@example.test"
MESSAGE = "canary-message my number is 4711"
PROPERTY = "canary-property"


def _in_base64(word: bytes) -> Iterator[bytes]:
    """The letters that a word has in base64, wherever in a text it stands."""
    for offset in range(3):
        coded = b64encode(b"\0" * offset + word + b"\0\0\0")
        yield coded[-(-offset * 4 // 3) : (offset + len(word)) * 4 // 3]


_WORDS = (b"canary-", b"FAKE_")
_QUICK = (*_WORDS, b"@example.", *(each for word in _WORDS for each in _in_base64(word)))
_CANARY = re.compile(
    rb"canary-[a-z]+|FAKE_(?:SECRET|PASSWORD|TOKEN|KEY|MESSAGE)"
    rb"|(?:agent\.|cust|canary-mail)\d*@example\.(?:test|com)|"
    + b"|".join(re.escape(each) for word in _WORDS for each in _in_base64(word))
)
_CONTEXT = 60
_SHOWN = 20


@define
class Search:
    """What was searched, by kind of place, and what was found there."""

    places: Counter[str] = field(factory=Counter)
    hits: list[str] = field(factory=list)

    def look(self, kind: str, where: str, content: bytes | str) -> None:
        """Search one thing that came out."""
        self.places[kind] += 1
        raw = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        if any(word in raw for word in _QUICK):
            self.hits += [f"{kind} {where}: {shown}" for shown in _found(raw)]

    def look_at_logs(self, folder: Path) -> None:
        """Search every log file below a folder, the servers' too."""
        for file in sorted(folder.rglob("*log")):
            if file.is_file():
                self.look("log file", f"{file.parent.name}/{file.name}", file.read_bytes())

    def look_at_database(self, url: str) -> None:
        """Search every row of every table that is ours."""
        try:
            self._look_at_tables(url)
        except psycopg.Error as error:
            self.places[f"database not searched ({type(error).__name__})"] += 1

    def _look_at_tables(self, url: str) -> None:
        limits = "-c lock_timeout=2s -c statement_timeout=20s"
        with psycopg.connect(
            url, connect_timeout=5, options=limits, client_encoding="utf8"
        ) as connection:
            tables = connection.execute(
                "select format('%I.%I', schemaname, tablename) from pg_tables"
                " where schemaname not in ('pg_catalog', 'information_schema')"
            ).fetchall()
            for (table,) in tables:
                rows = connection.execute(f"select t::text from {table} t".encode())
                for (row,) in rows:
                    self.look("row", table, row)

    def look_at_redis(self, url: str) -> None:
        """Search every key with its value."""
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter(count=1000):
                self.look("key in Redis", repr(key), key + b" " + _value(client, key))

    def add(self, other: Search) -> None:
        """Take over what another search has searched and found."""
        self.places += other.places
        self.hits += other.hits

    @property
    def message(self) -> dict[str, Any]:
        """The same for another process; see `from_message`."""
        return {"places": dict(self.places), "hits": self.hits}

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Search:
        """What another process searched and found."""
        return cls(Counter(message["places"]), message["hits"])

    @property
    def summary(self) -> str:
        """How many places of each kind, and how many hits."""
        kinds = ", ".join(f"{number} × {kind}" for kind, number in sorted(self.places.items()))
        return f"canaries: {len(self.hits)} hits in {self.places.total()} places ({kinds})"

    def told(self) -> Iterator[str]:
        """The summary, and the hits."""
        yield self.summary
        yield from dict.fromkeys(self.hits[:_SHOWN])


SUITE = Search()
"""Of the whole run; a test that plants a leak brings a search of its own."""


def _found(raw: bytes) -> Iterable[str]:
    for hit in _CANARY.finditer(raw):
        start, end = max(0, hit.start() - _CONTEXT), hit.end() + _CONTEXT
        yield raw[start:end].decode(errors="replace")


def _value(client: Any, key: bytes) -> bytes:
    commands = {
        "string": ("GET", key),
        "hash": ("HGETALL", key),
        "list": ("LRANGE", key, 0, -1),
        "set": ("SMEMBERS", key),
        "zset": ("ZRANGE", key, 0, -1),
    }
    kind = bytes(client.execute_command("TYPE", key)).decode()
    return repr(client.execute_command(*commands[kind])).encode() if kind in commands else b""
