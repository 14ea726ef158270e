"""Texts that must not be seen."""

from __future__ import annotations

import re

_PASSWORD_IN_CONNINFO = re.compile(r"\b\w*password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)


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

    Holds a URL (`postgres://user:pw@host/db`) or libpq's `key=value` words. User, password and
    query never show: `postgres://***@host/db`.
    """

    __slots__ = ()

    def __str__(self) -> str:
        from urllib.parse import urlsplit

        try:
            parts = urlsplit(self._text)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return "***"
        if not parts.scheme or "://" not in self._text:
            return "***"
        user = "***@" if "@" in parts.netloc else ""
        host = parts.netloc.rpartition("@")[2].removesuffix(port)
        return f"{parts.scheme}://{user}{host}{port}{parts.path}"

    def hidden_parts(self) -> tuple[str, ...]:
        """The whole URL, and the passwords in it, as written and decoded."""
        return (self._text, *dict.fromkeys(part for part in self._passwords() if part))

    def _passwords(self) -> list[str]:
        if "://" not in self._text:
            return [_unquoted(found) for found in _PASSWORD_IN_CONNINFO.findall(self._text)]
        from urllib.parse import parse_qsl, unquote, urlsplit

        try:
            parts = urlsplit(self._text)
            written = parts.password or ""
        except ValueError:
            return []
        query = [value for name, value in parse_qsl(parts.query) if "password" in name.lower()]
        return [written, unquote(written), *query]


def _unquoted(word: str) -> str:
    if not word.startswith("'"):
        return word
    return re.sub(r"\\(.)", r"\1", word[1:-1])


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
