"""Servers that want a password, with one that no URL holds as it is."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import psycopg

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from tests import canaries

CLERK = "clerk"
_SECONDS = 20.0
_PAUSE_SECONDS = 0.02
_RULES = (f"local all {CLERK} scram-sha-256", f"host all {CLERK} 127.0.0.1/32 scram-sha-256")


def with_password(server: EmbeddedPostgres) -> str:
    """The server's database for a role that must log in by a password, which is a canary."""
    server.rules = _RULES
    server.write_rules()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"create role {CLERK} superuser login".encode())
        password = canaries.DATABASE_PASSWORD
        connection.execute(f"alter role {CLERK} password '{password}'".encode())
        connection.execute("select pg_reload_conf()")
    _wait_until_refused(server.url.replace("://postgres@", f"://{CLERK}:wrong@"))
    return server.url.replace("postgres@", postgres_login(), 1)


def postgres_login() -> str:
    """What stands before the host in that role's URL."""
    return f"{CLERK}:{quote(canaries.DATABASE_PASSWORD, safe='')}@"


def redis_users(folder: Path) -> dict[str, str]:
    """Settings of a Valkey that has a user with a password, which is a canary, beside its default.

    Only its hash stands in the file.
    """
    hashed = sha256(canaries.REDIS_PASSWORD.encode()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    users = folder / "users.acl"
    users.write_text(f"user default on nopass ~* &* +@all\nuser {CLERK} on #{hashed} ~* &* +@all\n")
    return {"aclfile": str(users)}


def redis_login() -> str:
    """What stands before the host in that user's URL."""
    return f"{CLERK}:{quote(canaries.REDIS_PASSWORD, safe='')}@"


def redis_url(server: EmbeddedValkey) -> str:
    """The server's first database for that user."""
    return server.url.replace("://", f"://{redis_login()}", 1)


def _wait_until_refused(url: str) -> None:
    """The server has read its rules again: nobody comes in by any password."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return
        assert time.monotonic() < deadline, "the server does not ask for a password"
        time.sleep(_PAUSE_SECONDS)
