"""Columns of values as array literals: many rows travel as a few texts.

The driver's own array dumper takes some microseconds per element; a group of a hundred chats has
two thousand of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any


def array(values: Iterable[object]) -> str:
    """The literal of an array of texts, numbers, truths or moments, with NULL for None."""
    return f"{{{','.join([_ELEMENT[type(value)](value) for value in values])}}}"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_ELEMENT: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    str: _text,
    int: str,
    bool: str,
    datetime: datetime.isoformat,
}
