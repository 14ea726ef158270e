"""Turns each error of Redis, or of the way to it, into *unavailable* or *refused*.

Of an error's text only the name of a command is repeated: Redis's texts hold arguments, and the
driver's texts hold parts of the URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as rd

from sebastian_core.domain.errors import StoreRefused, StoreUnavailable
from sebastian_core.domain.reaching import CUT_OFF, NO_ANSWER, causes, why_unreached

STORE = "Redis"

_NOT_ACCEPTED = "it does not accept this user or password, or wants one"

_REFUSALS: tuple[tuple[type[rd.RedisError], str], ...] = (
    (rd.AuthenticationError, _NOT_ACCEPTED),
    (rd.AuthenticationWrongNumberOfArgsError, _NOT_ACCEPTED),
    (rd.OutOfMemoryError, "its memory is full (maxmemory), so it takes no writes"),
    (rd.ReadOnlyError, "it is a replica and takes no writes"),
)
_FAILURES: tuple[tuple[type[rd.RedisError], str], ...] = (
    (rd.BusyLoadingError, "it is still loading its data"),
    (rd.TimeoutError, NO_ANSWER),
    (rd.ConnectionError, CUT_OFF),
)
_ANSWERS = {
    "MISCONF": "it cannot save to its disk, so it takes no writes",
    "NOREPLICAS": "it has too few replicas, so it takes no writes",
    "MASTERDOWN": "it is a replica that has lost its primary",
}
_NOT_ALLOWED = re.compile(r"no permissions|ACL failure", re.IGNORECASE)
_COMMAND = re.compile(r"run the '([a-z|-]{2,40})' command")


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn whatever Redis or the way to it does wrong into StoreUnavailable, from its cause.

    It is StoreRefused if Redis answers and says no.
    """
    try:
        yield
    except (rd.RedisError, OSError) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> StoreUnavailable:
    said = str(error)
    if _NOT_ALLOWED.search(said):
        command = _COMMAND.search(said)
        what = f"run the command {command[1].upper()}" if command else "touch keys that we need"
        return StoreRefused(STORE, f"this user may not {what}")
    if refusal := _words(error, _REFUSALS):
        return StoreRefused(STORE, refusal)
    if "max number of clients" in said:
        return StoreUnavailable(STORE, "it has as many clients as it takes (maxclients)")
    if reason := why_unreached(error) or _words(error, _FAILURES):
        return StoreUnavailable(STORE, reason)
    code = said.partition(" ")[0]
    return StoreRefused(STORE, _ANSWERS.get(code, "it answers with an error"))


def _words(error: Exception, table: tuple[tuple[type[rd.RedisError], str], ...]) -> str:
    """The words for an error, or for a cause: the driver wraps what Redis answers to a connect."""
    each = ((cause, kind, words) for kind, words in table for cause in causes(error))
    return next((words for cause, kind, words in each if isinstance(cause, kind)), "")
