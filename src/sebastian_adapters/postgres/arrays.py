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
    column = list(values)
    if len(column) > 1 and column.count(column[0]) == len(column):
        elements = [_element(column[0])] * len(column)
    else:
        elements = [_element(value) for value in column]
    return f"{{{','.join(elements)}}}"


def _element(value: object) -> str:
    return _ELEMENT[type(value)](value)


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
