"""Where the driver's errors end: what comes out is one of ours, from its cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from sebastian_core.domain.errors import InvalidInput, SchemaMismatch, StoreUnavailable

STORE = "PostgreSQL"

CONTENDED = (pg.DeadlockDetected, pg.SerializationFailure)
"""The server chose us to give way; the same again will do."""

UNSTORABLE = (psycopg.DataError, psycopg.IntegrityError, UnicodeError)
"""Something that was to be written cannot be: text with NUL, a number that is too large."""

_UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, OSError)
_NO_TABLES = (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.InvalidSchemaName)

_AS_OWNER = (
    "run `sebastian migrate` as the owner of the tables (db.migrate_connection_string), "
    "with --grant-to for the role of the services"
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable, SchemaMismatch or InvalidInput for what the driver raises."""
    try:
        yield
    except TimeoutError as error:
        raise StoreUnavailable(STORE, "no answer in time") from error
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
    """One line without the values of any row."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    if isinstance(error, UnicodeError):
        return "text that is not Unicode"
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return first
