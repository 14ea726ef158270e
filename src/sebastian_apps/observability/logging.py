"""Structured logs: one line per event, with the ids of what it is about and without secrets.

`configure_logging` is called once, by an entry point. Everybody else asks structlog or the standard
library for a logger; both end in the same lines.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from functools import lru_cache, partial
from pathlib import PurePath
from typing import Any, Final, TextIO
from urllib.parse import quote, quote_plus
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars, get_contextvars, merge_contextvars
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from sebastian_apps.observability.log_queue import (
    LineHandler,
    LineLogger,
    Lines,
    LogQueue,
    StreamLines,
)
from sebastian_apps.printable import escaped, printable, printable_lines
from sebastian_apps.settings import Secret, Settings
from sebastian_apps.settings.model import LogSettings

MASK: Final = "***"
SHORTEST_HIDDEN: Final = 4
"""Secrets shorter than this are not searched for in texts: they would blot out half of them.

Those of a connection URL are still hidden between the `:` and the `@` of that URL.
"""

_OWN_FIELDS = frozenset({"level", "logger", "process", "timestamp"})
_OWN_NAMES = _OWN_FIELDS | {"event", "exception", "stack"}
"""What stands in lines whoever writes them, and is never masked.

A password that is a word of ours, or a year, would be told by the place that is masked, and no
program could read the line.
"""

_SECRET_NAMES = frozenset(
    {
        "authorization",
        "cookie",
        "password",
        "secret",
        "secret_key",
        "sdk_key",
        "set_cookie",
        "token",
    }
)
_SECRET_ENDINGS = ("_token", "_password", "_secret", "_secret_key", "_authorization")
_SIMPLE = frozenset({str, int, float, bool, type(None)})
_TOO_DEEP = 8
_CHATTY = ("httpcore", "httpx", "asyncio", "uvicorn.access")
"""Quiet below a warning; a line for each access would hold the webhooks' token, too."""

_REPETITIVE = ("psycopg.pool",)
"""Warns several times a second while the database is away; we say once what waits for it."""

_SERVERS = ("uvicorn", "uvicorn.access", "uvicorn.error", "litestar", "dramatiq")


def configure_logging(
    settings: Settings, *, process: str = "", stream: TextIO | None = None
) -> None:
    """Send every log line of this process to a stream (stderr by default), readable and redacted.

    `process` ("webhook", "worker") stands in every line. Lines go through a bounded queue: nobody
    waits for their reader. May be called again; the last call counts for loggers that have not been
    used yet.
    """
    stream = stream or sys.stderr
    lines = _lines_to(stream)
    redact = Redactor.for_settings(settings)
    level = logging.getLevelNamesMapping()[settings.log.level.upper()]
    shared = _shared_processors(process)
    ending: list[Processor] = [redact, *_rendering(settings.log, stream)]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=partial(LineLogger, lines),
        cache_logger_on_first_use=True,
    )
    _route_standard_library(level, lines, shared, ending)


def dropped_lines() -> int:
    """How many lines this process has dropped since logging was configured."""
    return sum(
        handler.lines.dropped
        for handler in logging.getLogger().handlers
        if isinstance(handler, LineHandler)
    )


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose lines carry this name; may be made before logging is configured."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


@contextmanager
def log_context(
    *,
    chat: int | None = None,
    room: str | None = None,
    reservation: int | None = None,
    trace: str | None = None,
) -> Iterator[None]:
    """Put ids into every line of the block, also in what it awaits and in tasks that it starts."""
    ids = {"chat": chat, "room": room, "reservation": reservation, "trace": trace}
    with bound_contextvars(**{name: value for name, value in ids.items() if value is not None}):
        yield


def new_trace() -> str:
    """A fresh trace id: 32 hexadecimal digits, as W3C's traceparent has them."""
    return secrets.token_hex(16)


def current_trace() -> str | None:
    """The trace id of what is being done right now, if there is one."""
    trace = get_contextvars().get("trace")
    return trace if isinstance(trace, str) else None


class Redactor:
    """A structlog processor that leaves no known secret in an event, however deep.

    Values under names like `token`, `password` or `Authorization` are masked whatever they are;
    the given texts (also percent-encoded or escaped) are masked wherever they occur.
    """

    def __init__(self, hidden: Iterable[str]) -> None:
        forms = {form for text in hidden if _is_searched_for(text) for form in _forms(text)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._hidden = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    @classmethod
    def for_settings(cls, settings: Settings) -> Redactor:
        """A redactor that knows every secret of the settings, and libpq's password variable."""
        parts = [part for secret in settings.secrets() for part in secret.hidden_parts()]
        return cls([*parts, os.environ.get("PGPASSWORD", "")])

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The event with every secret masked, and only plain values in it."""
        if self._is_harmless(event):
            return event
        return {self._own_name(name): self._own_value(name, event[name]) for name in event}

    def text(self, text: str) -> str:
        """A text with every known secret masked, and fit to be written as UTF-8."""
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return self._hidden.sub(MASK, text) if self._hidden else text

    def _is_harmless(self, event: EventDict) -> bool:
        """Whether there is surely nothing to mask; true of most lines, and found in one look."""
        if not _SIMPLE.issuperset(map(type, event.values())) or any(map(_is_secret_name, event)):
            return False
        texts = "\n".join([*event, *filter(_is_text, event.values())])
        return texts.isascii() and not (self._hidden and self._hidden.search(texts))

    def _own_name(self, name: str) -> str:
        return name if name in _OWN_NAMES else self.text(str(name))

    def _own_value(self, name: str, value: object) -> object:
        return value if name in _OWN_FIELDS else self._value(str(name), value, 0)

    def _value(self, name: str, value: object, depth: int) -> object:
        if value is not None and _is_secret_name(name):
            return MASK
        return self._plain(value, depth)

    def _plain(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping | list | tuple | set | frozenset) and depth < _TOO_DEEP:
            return self._collection(value, depth + 1)
        return self.text(_as_text(value))

    def _collection(
        self, value: Mapping[object, object] | Iterable[object], depth: int
    ) -> dict[str, object] | list[object]:
        if isinstance(value, Mapping):
            named = ((str(name), inner) for name, inner in value.items())
            return {self.text(name): self._value(name, inner, depth) for name, inner in named}
        return [self._plain(inner, depth) for inner in value]


def _is_searched_for(text: str) -> bool:
    is_between_signs = len(text) > 2 and text.startswith(":") and text.endswith("@")
    return is_between_signs or len(text) >= SHORTEST_HIDDEN


def _forms(text: str) -> set[str]:
    """The ways in which a text appears in URLs, in JSON and in a repr."""
    escaped = json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
    return {text, quote(text, safe=""), quote(text), quote_plus(text), repr(text)[1:-1], *escaped}


def _is_text(value: object) -> bool:
    return type(value) is str


@lru_cache(maxsize=1024)
def _is_secret_name(name: str) -> bool:
    word = name.lower().replace("-", "_")
    return word in _SECRET_NAMES or word.endswith(_SECRET_ENDINGS)


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID | PurePath | Secret | BaseException):
        return str(value)
    return repr(value)


def _lines_to(stream: TextIO) -> Lines:
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError):
        return StreamLines(stream)
    return LogQueue(
        descriptor,
        encoding=stream.encoding or "utf-8",
        on_dropped=lambda lines: get_logger("sebastian.log").warning(
            "log lines were dropped: nobody read them in time", lines=lines
        ),
    )


def _shared_processors(process: str) -> list[Processor]:
    return [
        merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_process(process),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _name_process(process: str) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if process:
            event["process"] = process
        return event

    return add_process


def _drop_colours(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Uvicorn says everything twice, the second time in colours."""
    event.pop("color_message", None)
    return event


def _make_printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Let no text move the cursor: what is no text is shown by its repr, which escapes."""
    return {
        printable(name): printable_lines(value) if isinstance(value, str) else value
        for name, value in event.items()
    }


def _as_json(event: EventDict, **options: Any) -> str:
    return escaped(json.dumps(event, **options))


def _rendering(log: LogSettings, stream: TextIO) -> list[Processor]:
    wants_console = log.format == "console" or (log.format == "auto" and stream.isatty())
    if not wants_console:
        return [structlog.processors.JSONRenderer(_as_json, ensure_ascii=False)]
    console = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [_make_printable, console]


def _route_standard_library(
    level: int, lines: Lines, shared: list[Processor], ending: list[Processor]
) -> None:
    handler = LineHandler(lines)
    handler.setFormatter(_formatter(shared, ending))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in _REPETITIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in _SERVERS:
        theirs = logging.getLogger(name)
        theirs.handlers[:] = []
        theirs.propagate = True


def _formatter(
    shared: list[Processor], ending: list[Processor]
) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(),
            _drop_colours,
            *shared,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
