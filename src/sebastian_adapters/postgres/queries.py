"""The statements of queries.sql by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from attrs import frozen

from sebastian_adapters.postgres.rows import CHAT_COLUMNS, READABLE

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_ASKED = re.compile(r"%\((\w+)\)s")


@frozen
class Query:
    """A statement as it is sent, and the names of what is asked, in the order of their numbers."""

    text: bytes
    asks: tuple[str, ...]

    def values(
        self, asked: Mapping[str, Any] | None, codec: str | None = None
    ) -> list[bytes | None]:
        """What is asked as the texts that the server reads.

        With a codec, what that one cannot express becomes a question mark: the ids and words on
        which decisions rest are ASCII, and for the sake of other text nothing is refused.

        Raises psycopg.DataError for a text with NUL, UnicodeError for one that is not Unicode.
        """
        return [_as_text(asked[name], codec) for name in self.asks] if asked else []


def query(name: str) -> Query:
    """The statement of that name; raises KeyError for a name that is not there."""
    return _queries()[name]


@cache
def _queries() -> Mapping[str, Query]:
    text = files("sebastian_adapters.postgres").joinpath("queries.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    return {name: _query(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _query(body: str) -> Query:
    lines = (line for line in body.splitlines() if not line.startswith("--"))
    text = "\n".join(lines).strip().replace("{chat}", CHAT_COLUMNS).replace("{readable}", READABLE)
    asks = tuple(dict.fromkeys(_ASKED.findall(text)))
    numbered = _ASKED.sub(lambda found: f"${asks.index(found[1]) + 1}", text)
    return Query(numbered.encode(), asks)


def _as_text(value: object, codec: str | None) -> bytes | None:
    if value is None:
        return None
    text = _TEXT[type(value)](value)
    if "\0" in text:
        raise psycopg.DataError("text with NUL cannot be stored")
    if codec is not None and not text.isascii():
        text = text.encode(codec, "replace").decode(codec)
    return text.encode()


_TEXT: dict[type, Callable[[Any], str]] = {
    str: str,
    int: str,
    bool: str,
    datetime: datetime.isoformat,
    timedelta: lambda value: f"{value // timedelta(microseconds=1)} microseconds",
}
