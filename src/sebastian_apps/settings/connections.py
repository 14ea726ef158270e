"""What the drivers read in a text that names a server: libpq for PostgreSQL, redis-py for Redis.

They decide what a text means, so that nothing of ours can read it otherwise. What they cannot read
is refused, and so is what leaves something over that nobody means: a password whose `@`, `/`, `?`
or `#` moved the end of the URL. No reason repeats a part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import SplitResult, quote, unquote, urlsplit

from attrs import field, frozen

from sebastian_apps.settings.kinds import Unfit

POSTGRES_SCHEMES = ("postgres", "postgresql")
REDIS_SCHEMES = ("redis", "rediss", "unix")
PROXY_SCHEMES = ("http", "https")

_ENCODE = (
    "; in a user or a password write %25 for %, %40 for @, %3A for :, %2F for /, %3F for ?, "
    "%23 for #, %5B for [, %5D for ] and %20 for a space"
)
_QUOTE = r"; put a value with spaces in single quotes, and \ before each ' and \ in a value"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_PLAIN = re.compile(r"[\w.-]{1,63}")

_SECRET_OPTIONS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
    | {"ssl_password"}
)
"""libpq's and redis-py's options that hold a secret itself, not the name of a file."""

_ELSEWHERE = ("schema", "pgbouncer", "connection_limit", "pool_timeout", "sslaccept", "charset")
"""Parameters that other libraries' URLs have: these names may be told, they are no secrets."""

_LIBPQ_SAYS = (
    ("unexpected spaces", "with a space in it"),
    ("percent-encoded", "in which a % begins no percent-encoding"),
    ("key/value separator", "with a parameter that is not name=value"),
    ("URI query parameter:", "with a parameter that libpq does not know"),
    ("IPv6", "in which [ or ] is no part of an IPv6 address"),
    ("unexpected character", "in which [ or ] is no part of an IPv6 address"),
    ("invalid connection option", "with a word that libpq does not know"),
    ('missing "="', "in which a word has no ="),
    ("unterminated quoted string", "in which a quote is opened and never closed"),
    ("invalid port number", "with a port that is no number from 1 to 65535"),
    ("could not match", "whose hosts and ports differ in number"),
)
_NOWHERE = "/dev/null"
"""A folder that cannot hold a socket: a connection to it ends at once, without any network."""

_NOT_PROBED = frozenset({"host", "hostaddr", "service", "passfile", "gssencmode"})


@frozen
class ServerAddress:
    """A server as its driver understands it: where it is, and what must never be seen of it.

    `shown` has the form of a URL. `secrets` are the passwords as they are written and as they are
    meant.
    """

    shown: str
    secrets: tuple[str, ...] = field(repr=False)


def read_address(text: str) -> ServerAddress:
    """What a driver reads in a URL, or in libpq's `key=value` words; raises Unfit."""
    scheme = scheme_of(text)
    if scheme in REDIS_SCHEMES:
        return _read_redis(text)
    return _read_plain(text) if scheme in PROXY_SCHEMES else _read_postgres(text)


def scheme_of(text: str) -> str:
    """What stands before `://`, in small letters; nothing where there is no URL."""
    found = _URL.fullmatch(text.strip())
    return found[1].lower() if found else ""


def _read_postgres(text: str) -> ServerAddress:
    """What libpq reads, in a URL of one or several hosts or in words; raises Unfit."""
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    _refuse_control_characters(text)
    if not text.startswith(scheme_of(text)):
        raise _unfit(text, "whose scheme is not in small letters")
    try:
        read = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except Error as error:
        raise _unfit(text, _reason(str(error))) from None
    except UnicodeDecodeError:
        raise _unfit(text, "whose percent-encoding is not UTF-8") from None
    written = _Written.of(text, ends_at_first=True)
    if written is not None:
        _refuse_another_at(text, written.behind)
        if "port" in read and not read.keys() & {"host", "hostaddr"}:
            raise _unfit(text, "with a port and no host")
    _refuse_impossible_hosts(text, read.get("host", "").split(","))
    _let_libpq_check(text, read)
    return ServerAddress(_shown_postgres(text, read), _secrets(read, written))


def _read_redis(text: str) -> ServerAddress:
    """What redis-py reads, for both of its clients; raises Unfit."""
    from redis import ConnectionPool, RedisError
    from redis.asyncio import ConnectionPool as AsyncConnectionPool

    _refuse_control_characters(text)
    parts = _split(text)
    read: Mapping[str, object]
    try:
        read = AsyncConnectionPool.from_url(text).connection_kwargs
        AsyncConnectionPool.from_url(text).make_connection()  # type: ignore[no-untyped-call]
        ConnectionPool.from_url(text).make_connection()
    except (RedisError, TypeError, ValueError):
        raise _unfit(text, "with a parameter that redis-py does not take") from None
    _refuse_what_redis_passes_over(text, parts)
    written = _Written.of(text, ends_at_first=False)
    known = {name: str(value) for name, value in read.items()}
    return ServerAddress(_shown_url(parts), _secrets(known, written))


def _read_plain(text: str) -> ServerAddress:
    """The URL of a proxy, by the rules for all URLs; raises Unfit."""
    _refuse_control_characters(text)
    parts = _split(text)
    _refuse_leftovers(text, parts)
    return ServerAddress(_shown_url(parts), _secrets({}, _Written.of(text, ends_at_first=False)))


@frozen
class _Written:
    """The user's part of a URL as it is written, and what stands behind its `@`."""

    userinfo: str = field(repr=False)
    behind: str = field(repr=False)

    @classmethod
    def of(cls, text: str, *, ends_at_first: bool) -> _Written | None:
        """libpq ends it at the first `@`, redis-py at the last one before the path."""
        url = _URL.fullmatch(text)
        if url is None:
            return None
        rest = url[2]
        pattern = r"([^/@]*)@(.*)" if ends_at_first else r"([^/?#]*)@(.*)"
        found = re.fullmatch(pattern, rest, re.DOTALL)
        return cls(found[1], found[2]) if found else cls("", rest)

    @property
    def secrets(self) -> Iterator[str]:
        """The passwords: in the user's part, and among the parameters."""
        yield self.userinfo.partition(":")[2]
        for pair in self.behind.partition("?")[2].split("&"):
            name, _, value = pair.partition("=")
            if name in _SECRET_OPTIONS:
                yield value


def _secrets(read: Mapping[str, str], written: _Written | None) -> tuple[str, ...]:
    meant = [value for name, value in read.items() if name in _SECRET_OPTIONS]
    as_written = list(written.secrets) if written else []
    every = [*as_written, *map(unquote, as_written), *meant]
    return tuple(dict.fromkeys(secret for secret in every if secret))


def _let_libpq_check(text: str, read: Mapping[str, str]) -> None:
    """Let libpq check all values, as it does before it looks for the server.

    It is sent to a socket that cannot be there, once for each host, so that nothing is connected.
    """
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    hosts = (read.get("hostaddr") or read.get("host") or "").count(",") + 1
    probed = {name: value for name, value in read.items() if name not in _NOT_PROBED}
    probed |= {"user": "x", "password": "x", "dbname": "x", "hostaddr": ""}
    probed["host"] = ",".join([_NOWHERE] * hosts)
    connection = pq.PGconn.connect_start(make_conninfo("", **probed).encode())
    said = connection.get_error_message()
    connection.finish()
    if said.count(f"{_NOWHERE}/") < hosts:
        raise _unfit(text, _reason(said))


def _reason(said: str) -> str:
    """libpq's reason in words of ours: its own repeat what was written."""
    if wrong := re.search(r"^invalid (?:integer value .* option \"(\w+)\"|(\w+) value)", said):
        return f"whose {wrong[1] or wrong[2]} libpq does not take"
    reason = next((reason for words, reason in _LIBPQ_SAYS if words in said), "")
    foreign = next((name for name in _ELSEWHERE if f'URI query parameter: "{name}"' in said), "")
    return f"{reason or 'that libpq cannot read'}{f': {foreign}' if foreign else ''}"


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        is_readable = parts.port != 0
    except ValueError:
        is_readable = False
    if not is_readable:
        raise _unfit(text, "that cannot be read")
    return parts


def _refuse_control_characters(text: str) -> None:
    if _NOT_TEXT.search(text):
        raise _unfit(text, "with a control character in it")


def _refuse_another_at(text: str, behind: str) -> None:
    if "@" in behind:
        raise _unfit(text, "with an @ where none belongs")


def _refuse_impossible_hosts(text: str, hosts: Iterable[str]) -> None:
    """Python's look-up of a name raises for these what no driver expects; sockets have paths."""
    try:
        for host in hosts:
            if not host.startswith(("/", "@")):
                host.encode("idna")
    except UnicodeError:
        raise _unfit(text, "with a host that cannot be a name") from None


def _refuse_leftovers(text: str, parts: SplitResult) -> None:
    _refuse_another_at(text, f"{parts.path}{parts.query}{parts.fragment}")
    if "#" in text:
        raise _unfit(text, "with a # in it")
    if parts.netloc and not parts.hostname and parts.scheme != "unix":
        raise _unfit(text, "with a port or a password and no host")
    _refuse_impossible_hosts(text, [parts.hostname or ""])


def _refuse_what_redis_passes_over(text: str, parts: SplitResult) -> None:
    _refuse_leftovers(text, parts)
    if not re.fullmatch(r"([^=&]+=[^&]+(&|$))*", parts.query):
        raise _unfit(text, "with a parameter that is not name=value")
    if parts.scheme == "unix":
        if parts.netloc.rpartition("@")[2] or not parts.path:
            raise _unfit(text, "without a path like unix:///run/redis.sock")
    elif "," in parts.netloc.rpartition("@")[2]:
        raise _unfit(text, "with several hosts, of which Redis takes one")
    elif not re.fullmatch(r"/*\d*/*", parts.path):
        raise _unfit(text, "whose path is not the number of a database")


def _unfit(text: str, reason: str) -> Unfit:
    scheme = scheme_of(text)
    what = f"a {scheme}:// URL" if scheme else "key=value words"
    encode = _ENCODE if "@" in text else ""
    return Unfit(f"{what} {reason} (not shown: it may hold a secret){encode if scheme else _QUOTE}")


def _shown_postgres(text: str, read: Mapping[str, str]) -> str:
    hosts, ports = read.get("host") or read.get("hostaddr") or "", read.get("port", "")
    each_port = ports.split(",") if "," in ports else [ports] * (hosts.count(",") + 1)
    pairs = zip(hosts.split(","), each_port, strict=False)
    where = ",".join(f"{_host(host)}{f':{port}' if port else ''}" for host, port in pairs)
    database = read.get("dbname", "")
    shown = database if _PLAIN.fullmatch(database) or not database else "***"
    user = "***@" if read.keys() & {"user", "password"} else ""
    return f"{scheme_of(text) or 'postgresql'}://{user}{where}{f'/{shown}' if shown else ''}"


def _shown_url(parts: SplitResult) -> str:
    user = "***@" if "@" in parts.netloc else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{_host(parts.hostname or '')}{port}{parts.path}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")
