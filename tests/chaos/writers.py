"""Which process wrote a history row: a column of this run's own database, and no part of ours.

Each process is given a connection string that names it; the column's default asks for that name.
"""

from __future__ import annotations

import psycopg

WRITER = "chaos.process"
_COLUMN = f"""
alter table sebastian.history
add column written_by text default current_setting('{WRITER}', true)
"""
_WRITERS = "select id, written_by from sebastian.history where written_by is not null"


def note_writers(url: str) -> None:
    """From now on every history row tells who wrote it."""
    with psycopg.connect(url) as connection:
        connection.execute(_COLUMN)


def read_writers(url: str) -> dict[int, str]:
    """The process that wrote each row, by the row's number."""
    with psycopg.connect(url) as connection:
        return {seq: writer.replace("-", " ") for seq, writer in connection.execute(_WRITERS)}
