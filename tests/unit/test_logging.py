"""Log lines: one shape for all, with ids, without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from sebastian_apps.observability.logging import (
    SHORTEST_HIDDEN,
    Redactor,
    configure_logging,
    current_trace,
    get_logger,
    log_context,
    new_trace,
)
from sebastian_apps.settings import ConnectionUrl, Secret, Settings
from sebastian_apps.settings.model import (
    AdminSettings,
    DbSettings,
    LogSettings,
    QiscusSettings,
    RedisSettings,
    WebhookSettings,
)

THEIR_LOGGERS = (
    *("httpx", "httpcore", "asyncio", "uvicorn.access", "uvicorn", "dramatiq", "psycopg.pool"),
)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in THEIR_LOGGERS}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, its_level in levels.items():
        logging.getLogger(name).setLevel(its_level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        return True


def some_settings(level: str = "info", form: str = "json") -> Settings:
    return Settings(
        log=LogSettings(level=level, format=form),
        db=DbSettings(connection_string=ConnectionUrl("postgres://me:db-pass%21@h/d")),
        webhook=WebhookSettings(token=(Secret("hook-token-1"), Secret("hook-token-2"))),
        admin=AdminSettings(token=Secret("admin-token")),
        qiscus=QiscusSettings(secret_key=Secret("qiscus-key"), password=Secret('pass "word\\')),
    )


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class TestShape:
    def test_a_line_says_when_how_grave_what_and_by_whom(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), process="worker", stream=stream)

        get_logger("sebastian.dispatch").info("reserved", chats=3)

        (line,) = lines_of(stream)
        assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
        assert line == {
            "event": "reserved",
            "level": "info",
            "logger": "sebastian.dispatch",
            "process": "worker",
            "chats": 3,
        }

    def test_the_standard_library_speaks_the_same_shape(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), process="webhook", stream=stream)

        logging.getLogger("uvicorn.error").info(
            "listening on %s", "port 1", extra={"room": "r1", "color_message": "\x1b[1m"}
        )

        (line,) = lines_of(stream)
        assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
        assert line == {
            "event": "listening on port 1",
            "level": "info",
            "logger": "uvicorn.error",
            "process": "webhook",
            "room": "r1",
        }

    @pytest.mark.parametrize("form", ["json", "console"])
    def test_no_text_of_others_moves_the_cursor_of_who_reads_the_log(self, form: str) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(form=form), stream=stream)
        evil = "\x1b[31mtold\x07\x9b2J\u202e\x7f"

        get_logger("x").info("one", error=evil, deep=[evil], **{evil: 1})
        logging.getLogger("uvicorn.error").warning("refused: %s", evil)
        _log_a_failure_with(evil)

        lines = stream.getvalue().split("\n")
        assert stream.getvalue().count("told") >= 5
        assert [line for line in lines if not line.isprintable()] == []
        if form == "json":
            assert lines_of(stream)[0]["error"] == evil

    def test_a_logger_made_before_logging_is_configured_follows_the_configuration(self) -> None:
        stream = io.StringIO()
        log = get_logger("early")

        configure_logging(some_settings(), stream=stream)
        log.info("hello")

        assert lines_of(stream)[0]["logger"] == "early"

    def test_values_that_json_does_not_know_are_written_readably(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), stream=stream)

        get_logger("x").info(
            "all sorts",
            at=datetime(2025, 1, 2, tzinfo=UTC),
            took=timedelta(milliseconds=1500),
            id=UUID(int=0),
            path=Path("/a"),
            secret=Secret("s"),
            some={"a": (1, 2)},
            nothing=None,
            error=ValueError("why"),
            half="\udc80",
        )

        (line,) = lines_of(stream)
        assert line["at"] == "2025-01-02T00:00:00+00:00"
        assert line["took"] == "1.5s"
        assert line["id"] == "00000000-0000-0000-0000-000000000000"
        assert line["path"] == "/a"
        assert line["secret"] == "***"
        assert line["some"] == {"a": [1, 2]}
        assert line["nothing"] is None
        assert line["error"] == "why"
        assert line["half"] == "\\udc80"

    def test_something_that_contains_itself_is_written_too(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), stream=stream)
        loop: list[object] = []
        loop.append(loop)

        get_logger("x").info("round", loop=loop)

        assert lines_of(stream)[0]["event"] == "round"

    @pytest.mark.parametrize(
        ("form", "stream", "is_json"),
        [
            ("auto", io.StringIO, True),
            ("auto", Terminal, False),
            ("json", Terminal, True),
            ("console", io.StringIO, False),
        ],
    )
    def test_a_terminal_gets_text_and_a_file_gets_json_unless_told(
        self, form: str, stream: type[io.StringIO], is_json: bool
    ) -> None:
        written = stream()
        configure_logging(some_settings(form=form), stream=written)

        get_logger("x").info("hello")

        assert written.getvalue().startswith("{") is is_json
        assert "hello" in written.getvalue()

    def test_text_for_no_terminal_has_no_colours(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(form="console"), stream=stream)

        get_logger("x").info("hello", room="r1")
        logging.getLogger("y").warning("there")

        assert "\x1b" not in stream.getvalue()
        assert re.search(r"hello .*room=r1", stream.getvalue())


class TestLevel:
    @pytest.mark.parametrize(
        ("level", "told"),
        [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
    )
    def test_only_what_is_grave_enough_is_told(self, level: str, told: int) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(level), stream=stream)
        ours, theirs = get_logger("ours"), logging.getLogger("theirs")

        for log in (ours, theirs):
            log.debug("d")
            log.info("i")
            log.warning("w")
            log.error("e")

        assert len(lines_of(stream)) == 2 * told

    def test_the_http_client_tells_only_what_went_wrong(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings("debug"), stream=stream)

        logging.getLogger("httpx").info("HTTP Request: POST https://example.com")
        logging.getLogger("httpx").warning("odd")

        assert [line["event"] for line in lines_of(stream)] == ["odd"]

    def test_configuring_twice_writes_each_line_once(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), stream=io.StringIO())
        configure_logging(some_settings(), stream=stream)

        logging.getLogger("x").info("once")

        assert len(lines_of(stream)) == 1

    def test_warnings_of_python_become_lines(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), stream=stream)

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=False)
            logging.captureWarnings(capture=True)
            warnings.warn("old ways", DeprecationWarning, stacklevel=1)

        assert "old ways" in lines_of(stream)[0]["event"]


class TestContext:
    def test_ids_stand_in_every_line_of_the_block_and_only_there(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), stream=stream)
        log = get_logger("x")

        with log_context(trace="t1", room="r1"):
            with log_context(chat=7, reservation=9):
                log.info("inner")
                logging.getLogger("theirs").info("theirs")
            log.info("outer")
        log.info("after")

        inner, theirs, outer, after = lines_of(stream)
        ids = {"chat": 7, "room": "r1", "reservation": 9, "trace": "t1"}
        assert ids.items() <= inner.items()
        assert ids.items() <= theirs.items()
        assert outer["room"] == "r1"
        assert "chat" not in outer
        assert not ids.keys() & after.keys()

    async def test_tasks_started_in_a_block_keep_its_ids_and_do_not_mix_them(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), stream=stream)
        both = asyncio.Barrier(2)

        async def assign(room: str) -> None:
            with log_context(room=room, trace=f"trace-{room}"):
                await both.wait()
                await asyncio.create_task(_say("assigned", of=room))

        await asyncio.gather(assign("r1"), assign("r2"))

        lines = lines_of(stream)
        assert len(lines) == 2
        assert all(line["room"] == line["of"] for line in lines)
        assert all(line["trace"] == f"trace-{line['of']}" for line in lines)

    def test_the_trace_of_the_moment_can_be_passed_on(self) -> None:
        trace = new_trace()

        with log_context(trace=trace):
            inside = current_trace()

        assert inside == trace
        assert current_trace() is None
        assert re.fullmatch(r"[0-9a-f]{32}", trace)
        assert new_trace() != trace


class TestSecrets:
    @pytest.mark.parametrize("form", ["json", "console"])
    @pytest.mark.parametrize(
        "secret",
        ["db-pass%21", "db-pass!", "hook-token-1", "hook-token-2", "admin-token", "qiscus-key"],
    )
    def test_a_known_secret_is_masked_wherever_it_occurs(self, secret: str, form: str) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(form=form), stream=stream)
        log = get_logger("l")

        event = f"a {secret}!"
        log.info(event, url=f"https://h/{secret}", nested=[{"a": (secret,), secret: 1}])
        log.info("object", thing=ValueError(secret), raw=secret.encode())
        logging.getLogger("uvicorn.access").warning('"POST /webhook/%s HTTP/1.1" 200', secret)
        with log_context(room=secret):
            _log_a_failure_with(secret)

        assert secret not in stream.getvalue()
        assert "***" in stream.getvalue()

    @pytest.mark.parametrize(
        "told",
        [
            "failed to resolve host 'SEKRET2@db'",
            "host 'aZ@SEKRET2@db'",
            'invalid percent-encoded token: "aZ%40SEKRET2%23"',
            "postgresql://me:aZ%40SEKRET2%23@db/x",
            "redis://:p@cache",
            "http://:q@proxy",
            "wrong pass phrase: SEKRET3",
        ],
    )
    def test_no_piece_of_a_connection_s_password_is_written(self, told: str) -> None:
        stream = io.StringIO()
        database = ConnectionUrl("postgresql://me:aZ%40SEKRET2%23@db/x?sslpassword=SEKRET3")
        cache = ConnectionUrl("redis://:p@cache")
        qiscus = QiscusSettings(proxy=ConnectionUrl("http://:q@proxy:1"))
        settings = Settings(
            db=DbSettings(connection_string=database), redis=RedisSettings(url=cache), qiscus=qiscus
        )
        configure_logging(settings, stream=stream)

        logging.getLogger("psycopg").error(told)

        assert "SEKRET" not in stream.getvalue()
        assert not re.search(":[pq]@", stream.getvalue())
        assert "***" in stream.getvalue()

    def test_numbers_in_a_password_do_not_blot_out_moments(self) -> None:
        stream = io.StringIO()
        year = str(datetime.now(UTC).year)
        database = ConnectionUrl(f"postgresql://me:a%40{year}@db/x")
        configure_logging(Settings(db=DbSettings(connection_string=database)), stream=stream)

        get_logger("x").info("hello")

        assert lines_of(stream)[0]["timestamp"].startswith(year)

    @pytest.mark.parametrize("password", ["sebastian", "worker", "event", "info", "{year}"])
    def test_a_password_that_is_a_word_of_ours_is_not_told_by_what_is_masked(
        self, password: str
    ) -> None:
        stream = io.StringIO()
        year = str(datetime.now(UTC).year)
        password = password.format(year=year)
        database = ConnectionUrl(f"postgresql://me:{password}@db/x")
        settings = Settings(db=DbSettings(connection_string=database))
        configure_logging(settings, process="worker", stream=stream)

        get_logger("sebastian.worker").info(f"told {password}", password_was=password)

        (line,) = lines_of(stream)
        assert line.pop("timestamp").startswith(year)
        assert line == {
            "event": "told ***",
            "password_was": "***",
            "level": "info",
            "logger": "sebastian.worker",
            "process": "worker",
        }

    def test_libpq_s_password_variable_is_a_secret_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", "SEKRET/4#")
        stream = io.StringIO()
        configure_logging(some_settings(), stream=stream)

        get_logger("x").info("told SEKRET/4#")

        assert lines_of(stream)[0]["event"] == "told ***"

    def test_a_secret_is_found_in_its_escaped_forms(self) -> None:
        stream = io.StringIO()
        configure_logging(some_settings(), stream=stream)
        password = 'pass "word\\'

        get_logger("x").info("e", a=quote_plus(password), b=repr({"x": password}), c=password)

        (line,) = lines_of(stream)
        assert (line["a"], line["c"]) == ("***", "***")
        assert "word" not in line["b"]

    @pytest.mark.parametrize(
        "name",
        [
            "token",
            "Authorization",
            "secret_key",
            "Qiscus-Secret-Key",
            "password",
            "authentication_token",
            "direct_login_token",
            "set-cookie",
            "sdk_key",
        ],
    )
    def test_what_is_named_like_a_secret_is_masked_whatever_it_is(self, name: str) -> None:
        redact = Redactor([])

        event = redact(None, "info", {"event": "e", name: "s3cr3t", "deep": [{name: ["s3cr3t"]}]})

        assert event == {"event": "e", name: "***", "deep": [{name: "***"}]}

    @pytest.mark.parametrize("name", ["tokens_left", "passed", "secretary", "key", "fence"])
    def test_other_names_are_left_alone(self, name: str) -> None:
        assert Redactor([])(None, "info", {name: "seen"}) == {name: "seen"}

    def test_an_absent_token_is_seen_to_be_absent(self) -> None:
        assert Redactor([])(None, "info", {"token": None}) == {"token": None}

    @given(
        secret=st.text(min_size=SHORTEST_HIDDEN),
        before=st.text(),
        after=st.text(),
        name=st.text(st.characters(categories=["Ll"]), max_size=5),
    )
    def test_no_secret_survives_in_any_text(
        self, secret: str, before: str, after: str, name: str
    ) -> None:
        mark = secret.encode("utf-8", "backslashreplace").decode()
        redact = Redactor([secret])

        event = redact(
            None, "info", {"event": before + secret + after, name: {secret: [secret, (secret,)]}}
        )

        assert mark in "***" or all(mark not in text for text in _texts(_without_masks(event)))

    def test_a_secret_too_short_to_search_for_does_not_blot_out_the_rest(self) -> None:
        assert Redactor(["abc", ""]).text("abcdef") == "abcdef"

    def test_a_longer_secret_wins_over_one_that_it_contains(self) -> None:
        assert Redactor(["abcd", "abcdef"]).text("x abcdef y abcd") == "x *** y ***"


def _texts(value: object) -> Iterator[str]:
    """All texts in nested lists."""
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    else:
        yield str(value)


async def _say(event: str, **fields: object) -> None:
    get_logger("task").info(event, **fields)


def _log_a_failure_with(secret: str) -> None:
    try:
        raise RuntimeError(f"cannot use {secret}")
    except RuntimeError:
        get_logger("x").exception("failed")
        logging.getLogger("theirs").exception("failed")


def _without_masks(event: object) -> object:
    """The values of an event, without the stars that stand for secrets."""
    if isinstance(event, dict):
        return [_without_masks(part) for pair in event.items() for part in pair]
    if isinstance(event, list):
        return [_without_masks(part) for part in event]
    return str(event).split("***")
