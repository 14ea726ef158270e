"""What a request's head says: which host it asks for, for whose page, and with which token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

Headers = Mapping[str, str]
"""Fields by lower-case name."""


def headers_of(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The fields of a head by name; one that comes twice is joined, as RFC 9110, 5.2 has it.

    A Host or Authorization that comes twice is thus a text that nobody is called, and no token.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in headers:
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    return headers


def bearer(headers: Headers) -> str | None:
    """The bearer token that was sent, if one was."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None


def names_this_machine(host: str) -> bool:
    """Whether a Host field is a loopback name.

    A stranger's page can point a name of its own here (DNS rebinding), but never one of these.
    """
    name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def is_same_origin(headers: Headers) -> bool:
    """Whether the page that asks, if a browser names it, came from the host that it asks.

    Both schemes are ours: the browser may speak TLS with a proxy before us.
    """
    origin = headers.get("origin")
    host = headers.get("host", "")
    return origin is None or origin in (f"http://{host}", f"https://{host}")


def is_sent_by_another_site(headers: Headers) -> bool:
    """Whether a browser sent it for a page that is not ours; what is no browser says nothing."""
    site = headers.get("sec-fetch-site", "none")
    return site not in ("none", "same-origin") or not is_same_origin(headers)
