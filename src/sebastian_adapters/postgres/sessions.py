"""What every session of ours is told first, so that it rests on nobody's defaults."""

from __future__ import annotations

import asyncio
import codecs
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import ReadOnlySqlTransaction

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]

#: How each connection is opened: in some other encodings the driver answers bytes, not text.
ENCODING = "utf8"

#: Names are looked up in PostgreSQL's own schema only: elsewhere any role that may create there
#: could put a function of the same name, and we would run it. How values are written as text is
#: ours to say as well. The server's keepalives end the session of a vanished host, and with it its
#: locks, within half a minute; left alone they keep it for two hours.
SESSION = """
set search_path = pg_catalog, pg_temp;
set time zone 'UTC';
set datestyle = 'ISO';
set intervalstyle = 'postgres';
set bytea_output = 'hex';
set extra_float_digits = 1;
set standard_conforming_strings = on;
set array_nulls = on;
set tcp_keepalives_idle = 10;
set tcp_keepalives_interval = 5;
set tcp_keepalives_count = 3;
set tcp_user_timeout = 25000
"""

SILENCE_SECONDS = 2.0
"""How long a server may take to answer what is said beside the exchanges."""

READ_ONLY = "the server takes no writes: it is a standby, or read-only"

_KEEPALIVES: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25000,
}


def codec_of(server_encoding: str) -> str | None:
    """Python's codec for the text that a database of this encoding can keep; None: all text.

    A database in SQL_ASCII keeps whatever bytes it is sent.
    """
    if server_encoding in ("UTF8", "SQL_ASCII"):
        return None
    try:
        return codecs.lookup(server_encoding.replace("WIN", "cp")).name
    except LookupError:
        return "ascii"


async def connect(conninfo: str, *, name: str, connect_seconds: int) -> Connection:
    """A connection beside the pools, in autocommit, for a command; raises psycopg.Error."""
    connection = await AsyncConnection.connect(
        conninfo,
        autocommit=True,
        connect_timeout=connect_seconds,
        application_name=f"sebastian-{name}",
        prepare_threshold=None,
        client_encoding=ENCODING,
        **_KEEPALIVES,
    )
    try:
        await connection.execute(SESSION)
    except BaseException:
        await connection.close()
        raise
    return connection


async def value(connection: Connection, question: str, *asked: object) -> Any:
    """The one value that the database answers."""
    row = await (await connection.execute(question.encode(), asked or None)).fetchone()
    return row[0] if row else None


async def check_writes(connection: AsyncConnection[Any]) -> None:
    """Raise ReadOnlySqlTransaction if the session may not write."""
    if await value(connection, "show transaction_read_only") != "off":
        raise ReadOnlySqlTransaction(READ_ONLY)


@contextmanager
def hanging_up_in_time(connection: AsyncConnection[Any]) -> Iterator[None]:
    """Cut the line to a server that stays silent.

    Cancelling the statement instead would make psycopg ask the server to cancel it, and wait.
    """
    timer = asyncio.get_running_loop().call_later(SILENCE_SECONDS, hang_up, connection)
    try:
        yield
    finally:
        timer.cancel()


def hang_up(connection: AsyncConnection[Any]) -> None:
    """Cut the line; whoever waits for an answer hears of it as of a server that has gone."""
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
