"""Where the driver's errors end: what comes out is one of ours, from its cause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from sebastian_core.domain.errors import InvalidInput, SchemaMismatch, StoreUnavailable
from sebastian_core.domain.reaching import (
    CUT_OFF,
    NAME_SERVER_SILENT,
    NAME_UNKNOWN,
    NO_ANSWER,
    NO_SOCKET,
    NO_TLS,
    NO_WAY,
    NOBODY_LISTENS,
    SOCKET_CLOSED_TO_US,
    why_certificate,
    why_unreached,
)

STORE = "PostgreSQL"

CONTENDED = (pg.DeadlockDetected, pg.SerializationFailure)
"""The server chose us to give way; the same again will do."""

UNSTORABLE = (psycopg.DataError, psycopg.IntegrityError, UnicodeError)
"""Something that was to be written cannot be: text with NUL, a number that is too large."""

_CONDEMNING = (
    pg.ReadOnlySqlTransaction,  # a primary that was demoted, or locked by whoever runs it
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.FeatureNotSupported,  # a prepared plan whose tables have changed
    pg.InvalidSqlStatementName,  # what we prepared is gone: discarded, or another session's
)

_UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, OSError)
_NO_TABLES = (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.InvalidSchemaName)

_AS_OWNER = (
    "run `sebastian migrate` as the owner of the tables (db.migrate_connection_string), "
    "with --grant-to for the role of the services"
)


_OF_CONNECTIONS = (
    ("Temporary failure in name resolution", NAME_SERVER_SILENT),
    ("failed to resolve host|could not translate host name", NAME_UNKNOWN),
    ("Connection refused", NOBODY_LISTENS),
    ("on socket .*No such file or directory", NO_SOCKET),
    ("on socket .*Permission denied", SOCKET_CLOSED_TO_US),
    ("timeout expired|timed out", NO_ANSWER),
    ("unreachable", NO_WAY),
    ("Connection reset|server closed the connection|unexpected eof", CUT_OFF),
    ("SSL error: wrong version number", NO_TLS),
    ("certificate verify failed", why_certificate("nobody whom sslrootcert trusts has signed it")),
    ("does not match host name", why_certificate("mismatch")),
    ("password authentication failed", "it does not accept this user or password"),
    ("no password supplied", "it wants a password, and none is given"),
    ("percent-encoded", "a % in its connection string begins no percent-encoding"),
)
"""Patterns of what libpq and psycopg say of a connection, and what we say instead."""


def condemns(error: psycopg.Error) -> bool:
    """Whether the session in which it was raised will not do better next time, but a new one may.

    What was asked there has not been done, unless the session ended while it was committed.
    """
    return isinstance(error, _CONDEMNING) or is_farewell(error)


def is_farewell(error: psycopg.Error) -> bool:
    """Whether the server has ended the session with it."""
    return (error.diag.severity_nonlocalized or error.diag.severity) in {"FATAL", "PANIC"}


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable, SchemaMismatch or InvalidInput for what the driver raises."""
    try:
        yield
    except TimeoutError as error:
        raise StoreUnavailable(STORE, NO_ANSWER) from error
    except _UNAVAILABLE as error:
        raise StoreUnavailable(STORE, summary(error)) from error
    except _NO_TABLES as error:
        raise SchemaMismatch(f"{summary(error)}: run `sebastian migrate`") from error
    except pg.InsufficientPrivilege as error:
        raise SchemaMismatch(f"{summary(error)}: {_AS_OWNER}") from error
    except UNSTORABLE as error:
        raise InvalidInput("a field", f"holds what cannot be stored: {summary(error)}") from error
    except psycopg.Error as error:
        raise SchemaMismatch(f"the database does not take a statement: {summary(error)}") from error


def summary(error: Exception) -> str:
    """One line without the values of any row, and without anything of the connection string.

    What the server says of a statement is told as it is. What the driver and libpq say of a
    connection repeats parts of its string, which may be parts of a password if it was misread.
    """
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    if isinstance(error, UnicodeError):
        return "text that is not Unicode"
    said = str(error).strip()
    reasons = [words for pattern, words in _OF_CONNECTIONS if re.search(pattern, said)]
    if reasons:
        return "; ".join(dict.fromkeys(reasons))
    return why_unreached(error) or _without_quotes(said) or type(error).__name__


def _without_quotes(said: str) -> str:
    """The first line, behind what libpq says of where it tried, with nothing that it quotes."""
    first, *_ = said.splitlines() or [""]
    last = re.split(r"failed: |FATAL: +|connection is bad: ", first)[-1]
    return re.sub(r"""["'].*["']""", "…", last)
