"""What a key takes: how its value is read from what somebody wrote, and how that is described.

A parser reads the same from a file and from a variable, where everything is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from attrs import field, frozen

from sebastian_apps.settings.connection_url import (
    PROXY_SCHEMES,
    REDIS_SCHEMES,
    ConnectionUrl,
    read_server,
    scheme_of,
)
from sebastian_apps.settings.problems import ConfigPlace, ConfigProblem, SettingsError, Unfit
from sebastian_apps.settings.secret import Secret
from sebastian_core.domain.ids import AgentId

T = TypeVar("T")
P = TypeVar("P")
Schema = dict[str, Any]

_LONGEST_SHOWN = 40
_HIDDEN = "something else (not shown: it is a secret)"
_TOLD_SCHEMES = frozenset(
    {"file", "http", "https", "mysql", "postgres", "postgresql", "redis", "rediss"}
    | {"socks", "socks4", "socks4a", "socks5", "socks5h"}
)
_RABBITMQ = (
    "RabbitMQ is not supported any more: name a Redis, or take the key out and "
    "redis.url carries the doorbell"
)
_LIBPQ_WORDS = re.compile(r"\w+\s*=")
_BARE_REDIS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z][\w.-]*|\d+(?:\.\d+){3})?(?::\d+)?")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


@frozen(eq=False)
class Raw:
    """What somebody wrote, before it means anything: a text, a list, names with values, nothing."""

    content: str | list[Raw] | dict[Raw, Raw] | None = field(repr=False)
    place: ConfigPlace

    @property
    def text(self) -> str:
        """The text that was written; empty where it is something else."""
        return self.content if isinstance(self.content, str) else ""

    @property
    def shape(self) -> str:
        """What kind of thing was written, in words that show nothing of it."""
        words = {"str": "text", "list": "a list", "dict": "keys and values"}
        return words.get(type(self.content).__name__, "nothing")

    def wrong(self, key: str, message: str) -> SettingsError:
        """The error that says what is wrong with this value of a key."""
        return SettingsError([ConfigProblem(self.place, key, message)])


@frozen(eq=False)
class Parser(Generic[T]):
    """What a key takes; `expected` says it and completes "expected …".

    `read` gives the value of what was written for a key, or raises SettingsError. `schema` is the
    JSON Schema of what may stand in a file. What a `secret` one reads is never repeated. `holds`
    says whether a value that was made in code is in range.
    """

    expected: str
    read: Callable[[Raw, str], T]
    schema: Schema
    secret: bool = False
    holds: Callable[[T], bool] = lambda _: True


def quoted(text: str) -> str:
    """A text for a message: numbers as they are, the rest in quotes, printable and short."""
    if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", text):
        return text
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…")


def one_text(
    expected: str,
    parse: Callable[[str], T],
    schema: Schema,
    *,
    found: Callable[[str], str] = quoted,
    holds: Callable[[T], bool] = lambda _: True,
    strip: str | None = None,
    secret: bool = False,
) -> Parser[T]:
    """What is written as one text. `parse` raises ValueError, or Unfit to say what was found.

    Otherwise `found` says of a text what may be repeated. `strip` are the signs around a text that
    are no part of it: all white space, unless they are named.
    """

    def read(raw: Raw, key: str) -> T:
        if not isinstance(raw.content, str):
            raise raw.wrong(key, f"expected {expected}, found {raw.shape}")
        try:
            value = parse(raw.content.strip(strip))
            if holds(value):
                return value
            what = found(raw.content)
        except ValueError as error:
            what = str(error) if isinstance(error, Unfit) else found(raw.content)
        raise raw.wrong(key, f"expected {expected}, found {what}")

    return Parser(expected, read, schema, secret, holds)


def text(expected: str, pattern: str) -> Parser[str]:
    """A text that matches a pattern as a whole."""
    schema = {"type": "string", "pattern": f"^(?:{pattern})$"}
    return one_text(expected, lambda written: _matching(pattern, written), schema)


def secret_text(expected: str, pattern: str = "[!-~]+") -> Parser[Secret]:
    """A text that must not be seen; spaces may belong to it, the end of its line does not."""
    return one_text(
        expected,
        lambda written: Secret(_matching(pattern, written)),
        {"type": ["string", "number"], "writeOnly": True},
        found=lambda _: _HIDDEN,
        strip="\r\n",
        secret=True,
    )


def whole(least: int, most: int) -> Parser[int]:
    """A whole number in a range, in plain decimal digits."""
    return one_text(
        f"a whole number from {least} to {most}",
        lambda written: int(_matching(r"-?(?:0|[1-9][0-9]{0,17})", written)),
        {"type": "integer", "minimum": least, "maximum": most},
        holds=lambda number: least <= number <= most,
    )


def rate(least: float, most: float) -> Parser[float]:
    """How many times a second, in a range: `20`, `0.5`, `20/s`."""
    number = {"type": "number", "minimum": least, "maximum": most}
    return one_text(
        f"a number per second from {least:g} to {most:g}",
        lambda written: float(_matching(r"\d{1,9}(?:\.\d{1,9})?", written.removesuffix("/s"))),
        {"anyOf": [number, {"type": "string", "pattern": r"^\d+(\.\d+)?(/s)?$"}]},
        holds=lambda value: least <= value <= most,
    )


def duration(least: str, most: str) -> Parser[timedelta]:
    """A span of time in a range; a bare number counts seconds."""
    shortest, longest = parse_duration(least), parse_duration(most)
    with_unit = {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$|^\d+(\.\d+)?$"}
    return one_text(
        f"a duration from {least} to {most}, like 500ms, 10s, 5m, 24h or 90d",
        parse_duration,
        {"anyOf": [{"type": "number", "minimum": 0}, with_unit]},
        holds=lambda value: shortest <= value <= longest,
    )


def one_of(*words: str) -> Parser[str]:
    """One of a few words, in any case of letters."""
    pattern = "|".join(words)
    return one_text(
        f"{', '.join(words[:-1])} or {words[-1]}",
        lambda written: _matching(pattern, written.lower()),
        {"enum": list(words)},
    )


def server_url(
    expected: str, schemes: Iterable[str], complete: Callable[[str], str] = str
) -> Parser[ConnectionUrl]:
    """What names a server, perhaps with a password, and so is never repeated; its driver reads it.

    `complete` makes a URL of a shorter form. `key=value` in `schemes` stands for libpq's words.
    """

    def parse(written: str) -> ConnectionUrl:
        url = complete(written)
        form = "key=value" if _LIBPQ_WORDS.match(url) else scheme_of(url)
        if form not in schemes:
            raise ValueError("another scheme")
        read_server(url)
        return ConnectionUrl(url)

    def found(written: str) -> str:
        scheme = scheme_of(written)
        if scheme in ("amqp", "amqps"):
            return f"an {scheme}:// URL; {_RABBITMQ}"
        if scheme in _TOLD_SCHEMES:
            return f"a {scheme}:// URL"
        return "something else (not shown: it may hold a password)"

    schema = {"type": "string", "writeOnly": True}
    return one_text(expected, parse, schema, found=found, secret=True)


def _capacities(raw: Raw, key: str) -> Mapping[AgentId, int]:
    """The capacity of each agent; in a variable `12=3,15=5`."""
    expected, hint = CAPACITIES.expected, f"like 12=3,15=5, found {quoted(raw.text)}"
    pairs = _pairs(raw, key, f"expected {expected}", hint, ",", r"([^=:]*?)\s*[=:]\s*(.*)")

    def one(pair: tuple[Raw, Raw]) -> tuple[AgentId, int]:
        name, value = pair
        return _AGENT_ID.read(name, key), CAPACITY.read(value, f"{key}.{name.text}")

    return dict(_each(one, pairs.items()))


def _tokens(raw: Raw, key: str) -> tuple[Secret, ...]:
    """The tokens of a text or a list, each once, in the order given."""
    words = raw.content
    if isinstance(words, str):
        words = [Raw(word, raw.place) for word in re.split(r"[,\s]+", words) if word] or [raw]
    if not isinstance(words, list):
        raise raw.wrong(key, f"expected {TOKENS.expected}, found {raw.shape}")

    def token(word: Raw) -> Secret:
        if not re.fullmatch(r"[A-Za-z0-9._~-]*[A-Za-z0-9][A-Za-z0-9._~-]*", word.text):
            raise word.wrong(key, f"expected {TOKENS.expected}, found {_HIDDEN}")
        return Secret(word.text)

    return tuple(dict.fromkeys(_each(token, words)))


def _named_tokens(raw: Raw, key: str) -> Mapping[str, Secret]:
    """The token of each name; in a variable or its file `sari=TOKEN,budi=TOKEN`."""
    expected, hint = NAMED_TOKENS.expected, f"like sari=TOKEN,budi=TOKEN, found {_HIDDEN}"
    pairs = _pairs(raw, key, f"expected {expected}", hint, r"[,\s]+", "([^=]*)=(.+)")
    tokens: dict[str, Secret] = {}

    def take(pair: tuple[Raw, Raw]) -> None:
        name, token = pair
        if not re.fullmatch(_TOKEN_NAME, name.text):
            what = "a name of at most 32 letters, digits, '-', '_' and '.'"
            raise name.wrong(key, f"expected {what}, found {_HIDDEN}")
        if name.text in tokens:
            raise name.wrong(key, "given twice; a name has one token")
        if not re.fullmatch(r"[!-+\--~]+", token.text):
            raise token.wrong(key, f"expected a token without spaces and commas, found {_HIDDEN}")
        tokens[name.text] = Secret(token.text)

    _each(take, pairs.items())
    return tokens


def _pairs(raw: Raw, key: str, expected: str, hint: str, apart: str, pair: str) -> dict[Raw, Raw]:
    """Names with values, as a file has them; a variable has each `pair` `apart` from the others."""
    if isinstance(raw.content, str):
        words = [word.strip() for word in re.split(apart, raw.content) if word.strip()]
        found = [re.fullmatch(pair, word, re.DOTALL) for word in words]
        if not all(found):
            raise raw.wrong(key, f"{expected} {hint}")
        return {Raw(each[1], raw.place): Raw(each[2], raw.place) for each in found if each}
    if not isinstance(raw.content, dict):
        raise raw.wrong(key, f"{expected}, found {raw.shape}")
    return raw.content


def _each(read: Callable[[P], T], parts: Iterable[P]) -> list[T]:
    """Read every part; raises SettingsError with everything that does not fit."""
    values: list[T] = []
    problems: list[ConfigProblem] = []
    for part in parts:
        try:
            values.append(read(part))
        except SettingsError as error:
            problems.extend(error.problems)
    if problems:
        raise SettingsError(problems)
    return values


def _object_schema(name: str, value: Schema) -> Schema:
    names = {f"^{name}$": value}
    return {"type": "object", "patternProperties": names, "additionalProperties": False}


def _matching(pattern: str, written: str) -> str:
    if not re.fullmatch(pattern, written):
        raise ValueError("does not match")
    return written


def _flag(written: str) -> bool:
    word = _matching("true|yes|on|1|false|no|off|0", written.lower())
    return word in ("true", "yes", "on", "1")


def _public_url(written: str) -> str:
    """A URL to build others on, without a slash at its end; without a scheme, http is meant."""
    url = written if "://" in written else f"http://{written}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("not an http URL")
    if "@" in parts.netloc or parts.query or parts.fragment or not re.fullmatch("[!-~]+", url):
        raise ValueError("more than a URL to build on")
    return url.rstrip("/")


def _found_url(written: str) -> str:
    is_more = "@" in written or "?" in written
    return "more than that (not shown: it may hold a secret)" if is_more else quoted(written)


def _redis_url(written: str) -> str:
    """The URL that the original's `host:port` stands for."""
    bare = _BARE_REDIS.fullmatch(written)
    if not bare or not written:
        return written
    return f"redis://{written}" if bare["host"] else f"redis://localhost{written}"


def parse_duration(written: str) -> timedelta:
    """Read a duration, exact to the microsecond; raises ValueError for anything else."""
    if re.fullmatch(r"\d{1,12}(?:\.\d{1,9})?", written):
        written += "s"
    parts = re.findall(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d|w)", written)
    if not parts or "".join(number + unit for number, unit in parts) != written:
        raise ValueError("not a duration")
    try:
        return sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta())
    except OverflowError as error:
        raise ValueError("longer than can be counted") from error


def format_duration(span: timedelta) -> str:
    """Write a duration so that `parse_duration` reads the same one: `1h30m`, `24h`, `500ms`."""
    words, rest = "", span
    for unit in ("d", "h", "m", "s") if span >= timedelta(days=2) else ("h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        words += f"{count}{unit}" if count else ""
    milliseconds = rest / _UNITS["ms"]
    words += f"{milliseconds:.3f}".rstrip("0").rstrip(".") + "ms" if milliseconds else ""
    return words or "0s"


_TOKEN: Schema = {"type": ["string", "number"], "writeOnly": True}
_TOKEN_NAME = "[A-Za-z0-9._-]{1,32}"

_AGENT_ID = one_text(
    "an agent's id (a whole number)",
    lambda written: AgentId(int(_matching("[1-9][0-9]{0,17}", written))),
    {},
    strip="",
)

FLAG = one_text("true or false", _flag, {"type": "boolean"})
PUBLIC_URL = one_text(
    "an http or https URL without user, query or fragment",
    _public_url,
    {"type": "string"},
    found=_found_url,
)
DATABASE_URL = server_url(
    "a postgresql:// URL or libpq's key=value words", ("postgres", "postgresql", "key=value")
)
REDIS_URL = server_url("a redis:// URL or host:port", REDIS_SCHEMES, complete=_redis_url)
BROKER_URL = server_url("a redis:// URL", REDIS_SCHEMES)
PROXY_URL = server_url(
    "the http:// or https:// URL of a proxy without SOCKS",
    PROXY_SCHEMES,
    complete=lambda written: written if "://" in written else f"http://{written}",
)
TOKENS = Parser(
    "a token of letters, digits, '-', '_', '.' and '~', or a list of them",
    _tokens,
    {"anyOf": [_TOKEN, {"type": "array", "items": _TOKEN}], "writeOnly": True},
    secret=True,
)
NAMED_TOKENS = Parser(
    "names with a token each (without spaces and commas)",
    _named_tokens,
    _object_schema(_TOKEN_NAME, _TOKEN),
    secret=True,
)
CAPACITY = whole(0, 1000)
CAPACITIES: Parser[Mapping[AgentId, int]] = Parser(
    f"agent ids with a capacity each ({CAPACITY.expected})",
    _capacities,
    _object_schema("[1-9][0-9]*", CAPACITY.schema),
    holds=lambda value: all(map(CAPACITY.holds, value.values())),
)
IGNORED: Parser[None] = Parser("anything (it has no effect)", lambda _raw, _key: None, {})
