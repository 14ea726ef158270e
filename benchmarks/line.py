"""Chats that wait, written straight into a database: a million of them in seconds."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

_ROOMS = "insert into sebastian.room (room_id) select unnest(%s::text[])"
_CHATS = """
insert into sebastian.chat (room_id, state, version, arrived_at, changed_at, ready_at)
select room_id, 'waiting', 1, at, at, at
from (
    select room_id, clock_timestamp() - interval '1 hour' + number * interval '1 ms' as at
    from unnest(%s::text[]) with ordinality as given (room_id, number)
) as arrived
"""


def fill_line(database_url: str, room_ids: Sequence[str]) -> None:
    """Let these rooms wait, in their order, as if each had been admitted an hour ago."""
    with psycopg.connect(database_url) as connection:
        connection.execute(_ROOMS, [list(room_ids)])
        connection.execute(_CHATS, [list(room_ids)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("vacuum analyze")


def invented_rooms(count: int, first: int = 0) -> list[str]:
    """Room ids that no platform knows."""
    return [f"bench-{number}" for number in range(first, first + count)]
