"""The real servers that the tests run on: embedded ones, or those that the environment names.

Embedded ones are reached over TCP, as in production; `over_socket` gives the other way.

`SEBASTIAN_TEST_POSTGRES_URL` and `SEBASTIAN_TEST_REDIS_URL` name servers that are not ours. There
the tests only touch databases that they created and keys under a prefix of their own.
"""

import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
import redis
from attrs import field, frozen
from psycopg import sql

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from tests.canaries import SUITE

POSTGRES_VARIABLE = "SEBASTIAN_TEST_POSTGRES_URL"
REDIS_VARIABLE = "SEBASTIAN_TEST_REDIS_URL"


class PostgresServer(Protocol):
    """A PostgreSQL server in which we may create databases."""

    @property
    def url(self) -> str:
        """A database to connect to; not one to write into."""

    def database_url(self, database: str) -> str:
        """The URL of another database of this server."""


class RedisServer(Protocol):
    """A server that speaks Redis's protocol."""

    @property
    def url(self) -> str:
        """Where it is; what is there besides our own keys is not ours."""


@frozen
class ExternalPostgres:
    """A PostgreSQL server that the environment names."""

    url: str

    def database_url(self, database: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path="/" + quote(database)))


@frozen
class RedisSpace:
    """One test's own corner of a Redis server: its keys begin with `prefix`, and only its keys."""

    url: str
    prefix: str = field(factory=lambda: f"sebastian-test-{uuid4().hex[:12]}:")

    def delete_keys(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            for key in client.scan_iter(match=f"{self.prefix}*", count=1000):
                client.delete(key)


@contextmanager
def postgres_server(settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """The server that the environment names, else an embedded one for as long as this lasts."""
    if url := os.environ.get(POSTGRES_VARIABLE):
        yield ExternalPostgres(url)
    else:
        with embedded_postgres(settings) as server:
            yield server


@contextmanager
def redis_server() -> Iterator[RedisServer | EmbeddedValkey]:
    """The server that the environment names, else an embedded one for as long as this lasts."""
    if url := os.environ.get(REDIS_VARIABLE):
        yield ExternalRedis(url)
    else:
        with embedded_valkey() as server:
            yield server


@frozen
class ExternalRedis:
    """A Redis server that the environment names."""

    url: str


@contextmanager
def embedded_postgres(
    settings: Mapping[str, str] | None = None, *, tcp: bool = True
) -> Iterator[EmbeddedPostgres]:
    """An embedded PostgreSQL in a temporary directory, with these run-time parameters."""
    require_wheel(EmbeddedPostgres)
    with (
        temporary_directory() as directory,
        EmbeddedPostgres(directory=directory, settings=settings or {}, tcp=tcp) as server,
    ):
        yield server


@contextmanager
def copied_postgres(original: Path, *, tcp: bool = True) -> Iterator[EmbeddedPostgres]:
    """An embedded PostgreSQL on a copy of a stopped one's directory: quicker than a new one."""
    with temporary_directory() as directory:
        copy = ["cp", "-Rp", str(original / "postgres"), str(directory)]
        subprocess.run(copy, check=True)
        with EmbeddedPostgres(directory=directory, tcp=tcp) as server:
            yield server


@contextmanager
def embedded_valkey(*, persists: bool = False, tcp: bool = True) -> Iterator[EmbeddedValkey]:
    """An embedded Valkey in a temporary directory."""
    require_wheel(EmbeddedValkey)
    with (
        temporary_directory() as directory,
        EmbeddedValkey(directory=directory, persists=persists, tcp=tcp) as server,
    ):
        yield server


@contextmanager
def fresh_database(server: PostgresServer, encoding: str = "UTF8") -> Iterator[str]:
    """The URL of an empty database that exists as long as this lasts."""
    name = f"sebastian_test_{uuid4().hex[:12]}"
    kept = f"template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"
    _administer(server, sql.SQL(f"create database {{}} {kept}"), name)
    try:
        yield server.database_url(name)
    finally:
        SUITE.look_at_database(server.database_url(name))
        _administer(server, sql.SQL("drop database {} with (force)"), name)


def over_socket(server: PostgresServer, url: str) -> str:
    """The URL of the same database by the server's Unix socket; unchanged if it is not ours."""
    if not isinstance(server, EmbeddedPostgres):
        return url
    return server.socket_url(urlsplit(url).path.removeprefix("/"))


_numbers = itertools.count(1)


@contextmanager
def fresh_redis_space(
    server: RedisServer | EmbeddedValkey, *, by_socket: bool = False
) -> Iterator[RedisSpace]:
    """A corner without keys; in an embedded server it is a database of its own."""
    space = RedisSpace(server.url)
    if isinstance(server, EmbeddedValkey):
        number = next(_numbers) % server.databases
        url = server.socket_url(number) if by_socket else server.database_url(number)
        yield RedisSpace(url, space.prefix)
        SUITE.look_at_redis(url)
        return
    try:
        yield space
    finally:
        space.delete_keys()


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory with a short path, gone afterwards, whoever owns what is in it."""
    with tempfile.TemporaryDirectory(prefix="sebastian-", ignore_cleanup_errors=True) as path:
        yield Path(path)
        SUITE.look_at_logs(Path(path))


def require_wheel(server: type[EmbeddedServer]) -> None:
    """Skip where the server's wheel is missing; fail in continuous integration."""
    if not server.is_installed():
        skip_or_fail(f"{server.__name__} needs the package {server.wheel}")


def skip_or_fail(reason: str) -> NoReturn:
    if os.environ.get("CI") in {"true", "1"}:
        pytest.fail(f"{reason}, and CI must not skip it")
    pytest.skip(reason)


def _administer(server: PostgresServer, statement: sql.SQL, database: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(database)))
