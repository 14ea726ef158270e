"""Secrets do not show: not in a repr, not in an error."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq

from sebastian_apps.settings import (
    ConnectionUrl,
    SettingsError,
    all_keys,
    load_settings,
)
from sebastian_apps.settings.secret import Secret

SECRET_PATHS = [key.path for key in all_keys() if key.parser.secret]
MARK = "Zq7Xw9Kv"


def test_a_secret_shows_as_stars_however_it_is_printed() -> None:
    secret = Secret("hunter2")

    shown = f"{secret} {secret!r} {secret!s} {secret:>5} {[secret]} {(secret,)}"

    assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"


def test_secrets_with_the_same_text_are_equal_and_an_empty_one_is_false() -> None:
    assert Secret("ä") == Secret("ä")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert not Secret("")


@pytest.mark.parametrize(
    ("url", "shown", "hidden"),
    [
        ("postgres://user:pw%21@db:5432/x?a=1", "***", ["pw%21"]),
        ("postgres://user:pw%21@db:5432/x", "postgres://***@db:5432/x", ["pw%21", "pw!"]),
        ("postgres://me@db/x?sslpassword=pw", "postgres://***@db/x", ["pw"]),
        ("postgres://u:pw@a:1,b:2/x", "postgres://***@a:1,b:2/x", ["pw"]),
        ("postgres://u:12]34#5@[::1]/x", "postgres://***@[::1]/x", ["12]34#5", "34#5@"]),
        ("redis://:pw@cache/0", "redis://***@cache/0", ["pw"]),
        ("redis://:p@w@cache/0", "redis://***@cache/0", ["p@w"]),
        ("redis://localhost:6379", "redis://localhost:6379", []),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0", []),
        ("redis://cache?password=p%40w", "redis://cache", ["p%40w", "p@w"]),
        ("unix://:pw@/run/redis.sock", "unix://***@/run/redis.sock", ["pw"]),
        ("http://u:pw@proxy:1", "http://***@proxy:1", ["pw"]),
        ("postgres://db/x?password=pw", "postgres://***@db/x", ["pw"]),
        ("host=db password=pw user=x", "postgresql://***@db", ["pw"]),
        ("host=db password='p w\\'s'", "postgresql://***@db", ["p w's"]),
        ("host=a,b port=1 dbname='x://y'", "postgresql://a:1,b:1/***", []),
        (f"postgres:///x?host=/{'a' * 70}", f"postgres://%2F{'a' * 70}/x", []),
        ("redis://host:nan", "***", []),
        ("redis://[broken", "***", []),
        ("postgres://u:hunter@SEKRET@db/x", "***", ["hunter", "SEKRET", "SEKRET@"]),
        ("host=db pasword=hunter2 x", "***", ["hunter2"]),
    ],
)
def test_a_connection_shows_where_but_not_how(url: str, shown: str, hidden: list[str]) -> None:
    connection = ConnectionUrl(url)

    assert str(connection) == shown
    assert connection.hidden_parts()[0] == url
    assert set(hidden) <= set(connection.hidden_parts())


def test_every_option_that_libpq_calls_a_password_is_hidden() -> None:
    passwords = [each.keyword for each in pq.Conninfo.get_defaults() if each.dispchar == b"*"]

    shown = [
        name for name in passwords if "SEKRET" in str(ConnectionUrl(f"{name.decode()}=SEKRET"))
    ]
    hidden = [
        name
        for name in passwords
        if "SEKRET" in ConnectionUrl(f"{name.decode()}=SEKRET").hidden_parts()
    ]

    assert not shown
    assert hidden == passwords


@given(password=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_any_password_that_is_percent_encoded_is_read_as_it_is_and_hidden(password: str) -> None:
    written = quote(password, safe="")
    environ = {
        "QT_DB_CONNECTION_STRING": f"postgresql://u:{written}@a:1,[::1]:2/x",
        "QT_REDIS_URL": f"rediss://u:{written}@h:1/2",
        "QT_QUEUE_BROKER_URL": f"unix://:{written}@/run/redis.sock",
    }

    settings = load_settings(None, environ)

    assert str(settings.db.connection_string) == "postgresql://***@a:1,[::1]:2/x"
    assert str(settings.redis.url) == "rediss://***@h:1/2"
    assert str(settings.queue.broker_url) == "unix://***@/run/redis.sock"
    assert {password, written} <= set(settings.db.connection_string.hidden_parts())  # type: ignore[union-attr]
    assert {password, written} <= set(settings.redis.url.hidden_parts())  # type: ignore[union-attr]


@given(
    password=st.text("aZ059@#/?:%[] ", min_size=1).map(lambda text: f"{text}SEKRET{text}"),
    url=st.sampled_from(["postgresql://u:{}@h:5/x", "redis://:{}@h:5/0", "http://u:{}@h"]),
)
def test_a_password_that_is_not_encoded_is_hidden_or_refused_and_never_shown(
    password: str, url: str
) -> None:
    written = url.format(password)
    variable = {"p": "QT_DB_CONNECTION_STRING", "r": "QT_REDIS_URL", "h": "QT_QISCUS_PROXY"}
    try:
        settings = load_settings(None, {variable[url[0]]: written})
    except SettingsError as error:
        told = f"{error}"
    else:
        (secret,) = settings.secrets()
        told = str(secret)
        assert any("SEKRET" in part for part in secret.hidden_parts()[1:])

    assert "SEKRET" not in told
    assert "SEKRET" not in str(ConnectionUrl(written))


def test_the_settings_show_no_secret() -> None:
    environ = {key.variables[0]: _secret_value(key.path) for key in all_keys() if key.parser.secret}

    settings = load_settings(None, environ)

    assert len(settings.secrets()) == len(SECRET_PATHS)
    assert MARK not in repr(settings)
    assert MARK not in str(settings)


@pytest.mark.parametrize("path", SECRET_PATHS)
@given(around=st.tuples(st.text(max_size=6), st.text(max_size=6)), quoted=st.booleans())
def test_whatever_is_written_as_a_secret_in_a_file_no_error_repeats_it(
    tmp_path_factory: pytest.TempPathFactory, path: str, around: tuple[str, str], quoted: bool
) -> None:
    section, _, key = path.partition(".")
    written = f"{around[0]}{MARK}{around[1]}"
    value = f'"{written}"' if quoted else written
    file = tmp_path_factory.getbasetemp() / "secret.yml"
    file.write_bytes(f"{section}:\n  {key}: {value}\n".encode("utf-8", "surrogatepass"))

    assert MARK not in _what_is_wrong(file)


@pytest.mark.parametrize("path", SECRET_PATHS)
@pytest.mark.parametrize(
    "line",
    [
        "{key}:{mark}",
        "{key} {mark}",
        "{key}: [{mark} x, {{{mark}: 1}}]",
        "{key}: {{{mark}: 1}}",
        "{key}: ? {mark}",
        "{key}: |\n    {mark}\n   x",
        "? {key}\n  : {mark} !",
        "{key}: '{mark}",
        "{key}: %{mark}",
        "{key}: {mark}: x",
        "{key}_: {mark}",
    ],
)
def test_a_slip_of_the_pen_beside_a_secret_does_not_give_it_away(
    tmp_path: Path, path: str, line: str
) -> None:
    section, _, key = path.partition(".")
    file = tmp_path / "config.yml"
    file.write_text(f"{section}:\n  {line.format(key=key, mark=MARK)}\n")

    assert MARK not in _what_is_wrong(file)


@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_text_is_read_or_refused_in_order(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_bytes(text.encode())

    _what_is_wrong(file)


@given(
    text=st.recursive(
        st.sampled_from(["listen", "port", "capacity", "agents", "12", "&a 1", "*a", "''", "~"]),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda v: f"[{', '.join(v)}]"),
            st.lists(st.tuples(inner, inner), max_size=3).map(
                lambda v: "{" + ", ".join(f"{a}: {b}" for a, b in v) + "}"
            ),
        ),
        max_leaves=12,
    )
)
def test_any_shape_is_read_or_refused_in_order(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "shape.yml"
    file.write_text(text)

    _what_is_wrong(file)


def _what_is_wrong(file: Path) -> str:
    """What is printed of the problems with a file, if it has any."""
    try:
        load_settings(file, {})
    except SettingsError as error:
        return f"{error}\n{error!r}\n{error.problems!r}"
    return ""


def _secret_value(path: str) -> str:
    urls = {
        "db.connection_string": f"postgres://{MARK}:{MARK}@h/d?password={MARK}",
        "db.migrate_connection_string": f"postgres://{MARK}:{MARK}@h/d?password={MARK}",
        "redis.url": f"redis://:{MARK}@h",
        "queue.broker_url": f"redis://u:{MARK}@h/1",
        "admin.tokens": f"sari={MARK}2",
        "adapters.options": f"path={MARK}3",
    }
    return urls.get(path, MARK)
