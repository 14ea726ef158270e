"""The statements of queries.sql by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from sebastian_adapters.postgres.rows import CHAT_COLUMNS

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def query(name: str) -> bytes:
    """The statement of that name, as it is sent; raises KeyError for a name that is not there."""
    return _queries()[name]


@cache
def _queries() -> Mapping[str, bytes]:
    text = files("sebastian_adapters.postgres").joinpath("queries.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    return {name: _statement(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _statement(body: str) -> bytes:
    lines = (line for line in body.splitlines() if not line.startswith("--"))
    return "\n".join(lines).strip().replace("{chat}", CHAT_COLUMNS).encode()
