"""A text that names a server, as its driver reads it: libpq for PostgreSQL, redis-py for Redis.

The drivers decide what a text means, so that nothing of ours can read it otherwise. What they
cannot read is refused, and so is what leaves something over that nobody means: a password whose
`@`, `/`, `?` or `#` moved the end of the URL. No reason repeats a part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import SplitResult, quote, unquote, urlsplit

from attrs import field, frozen

from sebastian_apps.settings.problems import Unfit
from sebastian_apps.settings.secret import Secret

REDIS_SCHEMES = ("redis", "rediss", "unix")
PROXY_SCHEMES = ("http", "https")

_ENCODE = (
    "; in a user or a password write %25 for %, %40 for @, %3A for :, %2F for /, %3F for ?, "
    "%23 for #, %5B for [, %5D for ] and %20 for a space"
)
_QUOTE = r"; put a value with spaces in single quotes, and \ before each ' and \ in a value"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

#: libpq's and redis-py's options that hold a secret itself, not the name of a file.
_SECRET_OPTIONS = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
    | {"ssl_password"}
)
#: Parameters that other libraries' URLs have: these names may be told, they are no secrets.
_OF_OTHERS = ("schema", "pgbouncer", "connection_limit", "pool_timeout", "sslaccept", "charset")
#: libpq's words, which may repeat what was written, and ours, which never do.
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
#: A folder that cannot hold a socket: a connection to it ends at once, without any network.
_NOWHERE = "/dev/null"

_SIGN = re.compile(r"%[0-9A-Fa-f]{2}|[^\w.~-]")
_SHORTEST_PIECE = 6


class ConnectionUrl(Secret):
    """Where a server is and how to get in; shows where it is, hides how to get in.

    Holds a URL (`postgres://user:pw@host/db`) or libpq's `key=value` words, as the driver reads
    them. User, password and parameters never show: `postgres://***@host/db`. One that the driver
    cannot read shows nothing.
    """

    __slots__ = ()

    def __str__(self) -> str:
        try:
            return read_server(self._text).shown
        except Unfit:
            return "***"

    def hidden_parts(self) -> tuple[str, ...]:
        """The whole URL, the passwords in it as written and as meant, and pieces of these.

        Somebody who reads a URL otherwise than its driver takes a piece of the password for a host
        or a path, and tells it: with the `@` behind it, or alone.
        """
        try:
            passwords = read_server(self._text).secrets
        except Unfit:
            before, at, _ = self._text.partition("://")[2].rpartition("@")
            words = re.findall(r"=\s*('[^']*'|\S+)", self._text)
            passwords = (before.partition(":")[2],) if at else tuple(words)
        pieces = [piece for each in passwords for piece in _pieces(each)]
        return tuple(dict.fromkeys((self._text, *passwords, *pieces)))


@frozen
class ServerAddress:
    """A server as its driver understands it: where it is, and what must never be seen of it.

    `shown` has the form of a URL. `secrets` are the passwords as they are written and as they are
    meant.
    """

    shown: str
    secrets: tuple[str, ...] = field(repr=False)


def scheme_of(text: str) -> str:
    """What stands before `://`, in small letters; nothing where there is no URL."""
    found = _URL.fullmatch(text.strip())
    return found[1].lower() if found else ""


def read_server(text: str) -> ServerAddress:
    """What a driver reads in a URL, or in libpq's `key=value` words; raises Unfit."""
    scheme = scheme_of(text)
    try:
        if _NOT_TEXT.search(text):
            raise Unfit("with a control character in it")
        is_url = scheme in (*REDIS_SCHEMES, *PROXY_SCHEMES)
        return _read_url(text, scheme) if is_url else _read_postgres(text, scheme)
    except Unfit as unfit:
        what = f"a {scheme}:// URL" if scheme else "key=value words"
        advice = _QUOTE if not scheme else _ENCODE if "@" in text else ""
        told = f"{what} {unfit} (not shown: it may hold a secret){advice}"
    raise Unfit(told)


def _read_postgres(text: str, scheme: str) -> ServerAddress:
    """What libpq reads, in a URL of one or several hosts or in words."""
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    if not text.startswith(scheme):
        raise Unfit("whose scheme is not in small letters")
    try:
        read = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except Error as error:
        raise Unfit(_reason(str(error))) from None
    except UnicodeDecodeError:
        raise Unfit("whose percent-encoding is not UTF-8") from None
    user, behind = _around_at(text, "[^/@]*")
    if "@" in behind:
        raise Unfit("with an @ where none belongs")
    if scheme and "port" in read and not read.keys() & {"host", "hostaddr"}:
        raise Unfit("with a port and no host")
    _refuse_impossible_hosts(read.get("host", "").split(","))
    _let_libpq_check(read)
    return ServerAddress(_shown_postgres(scheme, read), _secrets(read, user, behind))


def _read_url(text: str, scheme: str) -> ServerAddress:
    """What redis-py reads, or, of a proxy, what the rules for all URLs say."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unfit("that cannot be read") from None
    if port == 0:
        raise Unfit("that cannot be read")
    read = _redis_options(text) if scheme in REDIS_SCHEMES else {}
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise Unfit("with an @ where none belongs")
    if "#" in text:
        raise Unfit("with a # in it")
    if parts.netloc and not parts.hostname and scheme != "unix":
        raise Unfit("with a port or a password and no host")
    _refuse_impossible_hosts([parts.hostname or ""])
    if scheme in REDIS_SCHEMES:
        _refuse_what_redis_passes_over(parts)
    at = "***@" if "@" in parts.netloc else ""
    where = f"{at}{_host(parts.hostname or '')}{f':{port}' if port else ''}"
    secrets = _secrets(read, *_around_at(text, "[^/?#]*"))
    return ServerAddress(f"{scheme}://{where}{parts.path}", secrets)


def _redis_options(text: str) -> Mapping[str, object]:
    """What both of redis-py's clients take from a URL."""
    from redis import ConnectionPool, RedisError
    from redis.asyncio import ConnectionPool as AsyncConnectionPool

    try:
        read: Mapping[str, object] = AsyncConnectionPool.from_url(text).connection_kwargs
        AsyncConnectionPool.from_url(text).make_connection()  # type: ignore[no-untyped-call]
        ConnectionPool.from_url(text).make_connection()
    except (RedisError, TypeError, ValueError):
        raise Unfit("with a parameter that redis-py does not take") from None
    return read


def _refuse_what_redis_passes_over(parts: SplitResult) -> None:
    where = parts.netloc.rpartition("@")[2]
    if not re.fullmatch(r"([^=&]+=[^&]+(&|$))*", parts.query):
        raise Unfit("with a parameter that is not name=value")
    if parts.scheme == "unix":
        if where or not parts.path:
            raise Unfit("without a path like unix:///run/redis.sock")
    elif "," in where:
        raise Unfit("with several hosts, of which Redis takes one")
    elif not re.fullmatch(r"/*\d*/*", parts.path):
        raise Unfit("whose path is not the number of a database")


def _around_at(text: str, user: str) -> tuple[str, str]:
    """The user's part of a URL as it is written, and what stands behind its `@`.

    libpq ends it at the first `@`, redis-py at the last one before the path.
    """
    url = _URL.fullmatch(text)
    rest = url[2] if url else ""
    found = re.fullmatch(f"({user})@(.*)", rest, re.DOTALL)
    return (found[1], found[2]) if found else ("", rest)


def _secrets(read: Mapping[str, object], user: str, behind: str) -> tuple[str, ...]:
    """The passwords: as they are written, in the user's part and in parameters, and as meant."""
    parameters = (pair.partition("=") for pair in behind.partition("?")[2].split("&"))
    written = [user.partition(":")[2]]
    written += [value for name, _, value in parameters if name in _SECRET_OPTIONS]
    meant = [str(value) for name, value in read.items() if name in _SECRET_OPTIONS]
    return tuple(filter(None, dict.fromkeys([*written, *map(unquote, written), *meant])))


def _pieces(password: str) -> Iterator[str]:
    """What is left of a password behind each sign, and its longer pieces.

    Numbers are no pieces: they would blot out moments and the ids of rooms.
    """
    yield f":{password}@"
    yield from (f"{password[sign.end() :]}@" for sign in _SIGN.finditer(password))
    for piece in _SIGN.split(password):
        if len(piece) >= _SHORTEST_PIECE and not piece.isdigit():
            yield piece


def _refuse_impossible_hosts(hosts: Iterable[str]) -> None:
    """Python's look-up of a name raises for these what no driver expects; sockets have paths."""
    try:
        for host in hosts:
            if not host.startswith(("/", "@")):
                host.encode("idna")
    except UnicodeError:
        raise Unfit("with a host that cannot be a name") from None


def _let_libpq_check(read: Mapping[str, str]) -> None:
    """Let libpq check all values, as it does before it looks for the server.

    It is sent to a socket that cannot be there, once for each host, so that nothing is connected.
    """
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    hosts = (read.get("hostaddr") or read.get("host") or "").count(",") + 1
    left_out = ("host", "hostaddr", "service", "passfile", "gssencmode")
    probed = {name: value for name, value in read.items() if name not in left_out}
    probed |= {"user": "x", "password": "x", "dbname": "x", "hostaddr": ""}
    probed["host"] = ",".join([_NOWHERE] * hosts)
    connection = pq.PGconn.connect_start(make_conninfo("", **probed).encode())
    said = connection.get_error_message()
    connection.finish()
    if said.count(f"{_NOWHERE}/") < hosts:
        raise Unfit(_reason(said))


def _reason(said: str) -> str:
    """libpq's reason in words of ours: its own repeat what was written."""
    if wrong := re.search(r"^invalid (?:integer value .* option \"(\w+)\"|(\w+) value)", said):
        return f"whose {wrong[1] or wrong[2]} libpq does not take"
    reason = next((reason for words, reason in _LIBPQ_SAYS if words in said), "")
    foreign = next((name for name in _OF_OTHERS if f'URI query parameter: "{name}"' in said), "")
    return f"{reason or 'that libpq cannot read'}{f': {foreign}' if foreign else ''}"


def _shown_postgres(scheme: str, read: Mapping[str, str]) -> str:
    hosts, ports = read.get("host") or read.get("hostaddr") or "", read.get("port", "")
    each_port = ports.split(",") if "," in ports else [ports] * (hosts.count(",") + 1)
    pairs = zip(hosts.split(","), each_port, strict=False)
    where = ",".join(f"{_host(host)}{f':{port}' if port else ''}" for host, port in pairs)
    database = read.get("dbname", "")
    shown = database if re.fullmatch(r"[\w.-]{0,63}", database) else "***"
    user = "***@" if read.keys() & {"user", "password"} else ""
    return f"{scheme or 'postgresql'}://{user}{where}{f'/{shown}' if shown else ''}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")
