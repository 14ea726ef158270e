"""Why a server could not be reached, told without anything of its address."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import pytest

from sebastian_core.domain import reaching
from sebastian_core.domain.reaching import why_unreached


def a_certificate_error(reason: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {reason}")
    error.verify_message = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), "nothing listens"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name of its host"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "name server"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "socket is not there"),
        (PermissionError(errno.EACCES, "Permission denied"), "may not be used"),
        (TimeoutError(), "no answer in time"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "cut off"),
        (BrokenPipeError(errno.EPIPE, "pipe"), "cut off"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no way leads there"),
        (OSError(errno.ENOSPC, "full"), "No space left on device"),
        (a_certificate_error("certificate has expired"), "not accepted (certificate has expired)"),
        (a_certificate_error("Hostname mismatch, ... 'SEKRET'."), "(it is for another name)"),
        (ssl.SSLError(1, "wrong version number"), "TLS could not be agreed on"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1)"), "refused"),
        (ValueError("SEKRET"), ""),
        (OSError("SEKRET"), ""),
    ],
)
def test_the_system_s_error_is_told_in_plain_words(error: Exception, words: str) -> None:
    told = why_unreached(error)

    assert words in told
    assert bool(told) is bool(words)
    assert "SEKRET" not in told


def test_the_cause_is_found_behind_what_libraries_make_of_it() -> None:
    refused = ExceptionGroup("several", [ConnectionRefusedError(errno.ECONNREFUSED, "no")])
    error = RuntimeError("SEKRET")
    error.__context__ = OSError("All connection attempts failed")
    error.__context__.__cause__ = refused

    assert why_unreached(error) == reaching.NOBODY_LISTENS


def test_causes_that_go_round_in_a_circle_end() -> None:
    first, second = ValueError(), ValueError()
    first.__context__, second.__context__ = second, first

    assert why_unreached(first) == ""


async def test_a_port_where_nothing_listens_is_told_so() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - what asyncio raises here varies
        await asyncio.open_connection("127.0.0.1", 1)

    assert why_unreached(caught.value) == reaching.NOBODY_LISTENS
