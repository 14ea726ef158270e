"""Why a server could not be reached, in plain words.

The words show nothing of what was asked, and nothing of the address: a driver that misread an
address tells a piece of a password as the name of a host.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator

NAME_UNKNOWN = "the name of its host is not found"
NAME_SERVER_SILENT = "the name of its host cannot be looked up now (the name server does not help)"
NOBODY_LISTENS = "nothing listens there (connection refused)"
NO_SOCKET = "its socket is not there"
SOCKET_CLOSED_TO_US = "its socket may not be used by this user"
NO_ANSWER = "no answer in time"
CUT_OFF = "the connection was cut off"
NO_WAY = "no way leads there through the network"
NO_TLS = "TLS could not be agreed on with it (does it speak TLS on this port?)"

_BY_KIND: tuple[tuple[type[OSError], str], ...] = (
    (ConnectionRefusedError, NOBODY_LISTENS),
    (FileNotFoundError, NO_SOCKET),
    (PermissionError, SOCKET_CLOSED_TO_US),
    (TimeoutError, NO_ANSWER),
    (ConnectionError, CUT_OFF),
)
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
_NUMBER = re.compile(r"\[Errno (\d+)\]")


def why_unreached(error: BaseException) -> str:
    """What the operating system or TLS says of a failed connection, wherever in its causes.

    Empty where nothing in them tells.
    """
    return next((words for cause in causes(error) if (words := _told(cause))), "")


def why_certificate(verify_message: str) -> str:
    """Why a certificate is not accepted, from what OpenSSL says of it."""
    is_about_name = "mismatch" in verify_message.lower()
    reason = "it is for another name" if is_about_name else verify_message
    return f"its certificate is not accepted ({reason})"


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that led to it, each once."""
    todo, seen = [error], set[int]()
    while todo:
        cause = todo.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            todo += cause.exceptions
        todo += [each for each in (cause.__cause__, cause.__context__) if each is not None]


def _told(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return why_certificate(cause.verify_message)
    if isinstance(cause, ssl.SSLError):
        return NO_TLS
    if isinstance(cause, socket.gaierror):
        return NAME_SERVER_SILENT if cause.errno == socket.EAI_AGAIN else NAME_UNKNOWN
    return _told_by_system(cause) if isinstance(cause, OSError) else ""


def _told_by_system(error: OSError) -> str:
    number = error.errno
    if number is None and (found := _NUMBER.search(str(error))):
        number = int(found[1])  # asyncio gathers the errors of several addresses in one text
    kind = OSError(number, "") if number is not None else error
    if number in _NO_WAY:
        return NO_WAY
    by_kind = next((words for type_, words in _BY_KIND if isinstance(kind, type_)), "")
    return by_kind or (os.strerror(number) if number is not None else "")
