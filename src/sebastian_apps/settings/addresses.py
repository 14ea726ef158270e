"""Where things are: public URLs, the database, Redis and the broker."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit

from attrs import field, frozen

from sebastian_apps.settings.connections import PROXY_SCHEMES, read_address, scheme_of
from sebastian_apps.settings.kinds import ScalarKind, Schema
from sebastian_apps.settings.secret import ConnectionUrl

_KNOWN_SCHEMES = frozenset(
    {"file", "http", "https", "mysql", "postgres", "postgresql", "redis", "rediss"}
    | {"socks", "socks4", "socks4a", "socks5", "socks5h"}
)
_RABBITMQ = (
    "RabbitMQ is not supported any more: name a Redis, or take the key out and "
    "redis.url carries the doorbell"
)
_BARE_REDIS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z][\w.-]*|\d+(?:\.\d+){3})?(?::\d+)?")
_CONNINFO = re.compile(r"\w+\s*=")


class PublicUrl(ScalarKind[str]):
    """A URL to build others on, without a slash at its end; without a scheme, http is meant."""

    @property
    def expected(self) -> str:
        """What may stand in it."""
        return "an http or https URL without user, query or fragment"

    def parse(self, text: str) -> str:
        """The URL with its scheme; raises ValueError."""
        url = text if "://" in text else f"http://{text}"
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("not an http URL")
        if "@" in parts.netloc or parts.query or parts.fragment or not re.fullmatch("[!-~]+", url):
            raise ValueError("more than a URL to build on")
        return url.rstrip("/")

    def found(self, text: str) -> str:
        """The text, unless a password or a token may be in it."""
        if "@" in text or "?" in text:
            return "more than that (not shown: it may hold a secret)"
        return super().found(text)

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string"}


@frozen(eq=False, repr=False)
class ServerUrl(ScalarKind[ConnectionUrl]):
    """What names a server, perhaps with a password, and so never repeated; its driver reads it."""

    secret: ClassVar[bool] = True

    schemes: tuple[str, ...]
    expected: str = field(kw_only=True)

    def parse(self, text: str) -> ConnectionUrl:
        """The URL; raises Unfit, or ValueError for one of another scheme."""
        if scheme_of(text) not in self.schemes:
            raise ValueError("another scheme")
        read_address(text)
        return ConnectionUrl(text)

    def found(self, text: str) -> str:
        """The scheme, if it is a usual one, and nothing else."""
        scheme = scheme_of(text)
        if scheme in ("amqp", "amqps"):
            return f"an {scheme}:// URL; {_RABBITMQ}"
        if scheme in _KNOWN_SCHEMES:
            return f"a {scheme}:// URL"
        return "something else (not shown: it may hold a password)"

    def schema(self) -> Schema:
        """A string that editors need not show."""
        return {"type": "string", "writeOnly": True}


class DatabaseUrl(ServerUrl):
    """A PostgreSQL URL, or the `key=value` words that libpq takes as well."""

    def parse(self, text: str) -> ConnectionUrl:
        """The URL or the words; raises Unfit, or ValueError for one of another scheme."""
        if _CONNINFO.match(text):
            read_address(text)
            return ConnectionUrl(text)
        return ServerUrl.parse(self, text)


class RedisUrl(ServerUrl):
    """A Redis URL, or `host:port` alone as the original took it."""

    def parse(self, text: str) -> ConnectionUrl:
        """The URL, completed where only host and port were given; raises Unfit or ValueError."""
        bare = _BARE_REDIS.fullmatch(text)
        if not bare or not text:
            return ServerUrl.parse(self, text)
        url = f"redis://{text}" if bare["host"] else f"redis://localhost{text}"
        return ServerUrl.parse(self, url)


class ProxyUrl(ServerUrl):
    """The URL of an HTTP proxy, or `host:port` alone as HTTPS_PROXY may hold it."""

    def parse(self, text: str) -> ConnectionUrl:
        """The URL with its scheme; raises Unfit, or ValueError for one of another scheme."""
        return ServerUrl.parse(self, text if "://" in text else f"http://{text}")


PROXY = ProxyUrl(PROXY_SCHEMES, expected="the http:// or https:// URL of a proxy without SOCKS")
