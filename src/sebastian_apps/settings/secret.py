"""Texts that must not be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SIGN = re.compile(r"%[0-9A-Fa-f]{2}|[^\w.~-]")
_WORD = re.compile(r"=\s*('[^']*'|\S+)")
_SHORTEST_PIECE = 6


class Secret:
    """A text that shows itself as `***` wherever it is printed, logged or formatted.

    Only `reveal()` gives the text. Two secrets with the same text are equal.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    def hidden_parts(self) -> tuple[str, ...]:
        """Every text that must not appear in a log because of this secret."""
        return (self._text,)

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"'{self}'"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        from hmac import compare_digest

        return compare_digest(_as_bytes(self._text), _as_bytes(other._text))

    def __hash__(self) -> int:
        return hash((Secret, self._text))


class ConnectionUrl(Secret):
    """Where a server is and how to get in; shows where it is, hides how to get in.

    Holds a URL (`postgres://user:pw@host/db`) or libpq's `key=value` words, as the driver reads
    them. User, password and parameters never show: `postgres://***@host/db`. One that the driver
    cannot read shows nothing.
    """

    __slots__ = ()

    def __str__(self) -> str:
        from sebastian_apps.settings.connections import read_address
        from sebastian_apps.settings.kinds import Unfit

        try:
            return read_address(self._text).shown
        except Unfit:
            return "***"

    def hidden_parts(self) -> tuple[str, ...]:
        """The whole URL, the passwords in it as written and as meant, and pieces of these.

        Somebody who reads a URL otherwise than its driver takes a piece of the password for a host
        or a path, and tells it: with the `@` behind it, or alone.
        """
        passwords = self._passwords()
        pieces = [piece for each in passwords for piece in _pieces(each)]
        return tuple(dict.fromkeys((self._text, *passwords, *pieces)))

    def _passwords(self) -> tuple[str, ...]:
        from sebastian_apps.settings.connections import read_address
        from sebastian_apps.settings.kinds import Unfit

        try:
            return read_address(self._text).secrets
        except Unfit:
            before, at, _ = self._text.partition("://")[2].rpartition("@")
            return (before.partition(":")[2],) if at else tuple(_WORD.findall(self._text))


def _pieces(password: str) -> Iterator[str]:
    """What is left of a password behind each sign, and its longer pieces.

    Numbers are no pieces: they would blot out moments and the ids of rooms.
    """
    yield f":{password}@"
    yield from (f"{password[sign.end() :]}@" for sign in _SIGN.finditer(password))
    for piece in _SIGN.split(password):
        if len(piece) >= _SHORTEST_PIECE and not piece.isdigit():
            yield piece


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
