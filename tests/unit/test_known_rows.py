"""Reading rows quickly changes nothing about what is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sebastian_adapters.qiscus.answers import Answered, parse_object
from sebastian_adapters.qiscus.known_rows import KnownRows
from sebastian_adapters.qiscus.wire import agents_page
from sebastian_core.domain.errors import Fault, PlatformUnavailable

NOON = datetime(2025, 6, 22, 12, tzinfo=UTC)
ADA = {"id": 7, "name": "Ada", "is_available": True, "user_channels": [{"id": 3}]}
BOB = {"id": "8", "name": "Bob \ud800", "is_available": "false", "current_customer_count": 2}
ADMIN = {"id": 9, "name": "Eve", "type": 1, "is_available": True}


def answered(body: object) -> Answered:
    return Answered(200, httpx.Headers(), json.dumps(body).encode())


BODIES = [
    {"data": {"agents": [ADA, BOB, ADMIN]}, "meta": {"after": "xyz", "per_page": 3}},
    {"data": [ADA, BOB], "meta": {"total_count": 2}},
    {"data": {"agents": [ADA], "meta": {"cursor_after": 5}, "total": 9}},
    {"data": {"agents": []}},
    {"status": 200, "extra": [{"deep": None}], "data": [ADA, ADA]},
]


@pytest.mark.parametrize("body", BODIES)
def test_a_page_is_read_as_without_knowing_rows_and_so_is_the_next(body: dict[str, Any]) -> None:
    rows = KnownRows()

    for read_at in (NOON, NOON + timedelta(seconds=1)):
        expected = agents_page(parse_object(answered(body)), read_at)
        assert rows.page(answered(body), read_at) == expected


def test_an_agent_who_went_away_is_seen_at_once() -> None:
    rows = KnownRows()
    rows.page(answered({"data": [ADA]}), NOON)

    page = rows.page(answered({"data": [{**ADA, "is_available": False}]}), NOON)

    presence = page.items["7"]
    assert presence is not None
    assert not presence.online


def test_rows_beyond_those_kept_are_read_all_the_same() -> None:
    rows = KnownRows(kept=2)
    body = answered({"data": [{**ADA, "id": number} for number in range(1, 6)]})

    pages = [rows.page(body, NOON) for _ in range(2)]

    assert pages[0] == pages[1]
    assert len(pages[0].items) == 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"not JSON",
        b'{"data": 5}',
        b'{"data": {"agents": {}}}',
        b'{"data": [5]}',
        b'{"data": [{"id": 7}]}',
        b'{"data": [{"id": true, "is_available": true}]}',
        b'{"data": [{"id": 7, "is_available": true}',
        b'{"data": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_listing_is_unreadable(body: bytes) -> None:
    with pytest.raises(PlatformUnavailable) as unavailable:
        KnownRows().page(Answered(200, httpx.Headers(), body), NOON)

    assert unavailable.value.fault is Fault.UNREADABLE
