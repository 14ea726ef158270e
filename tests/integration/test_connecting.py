"""Ways to the database that operators take: libpq's variables and files, several hosts, TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from urllib.parse import quote

import certifi
import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import conninfo_to_dict

from sebastian_apps.cli.main import main
from sebastian_apps.dev.servers import EmbeddedPostgres
from sebastian_apps.settings import load_settings
from sebastian_apps.status.probes.webhook import probe_webhook
from tests import canaries
from tests.secured import CLERK, postgres_login, with_password

CERTIFICATE = Path(__file__).parents[1] / "certificates" / "localhost.pem"
NOT_ACCEPTED = "Error: PostgreSQL is unavailable: it does not accept this user or password\n"


@pytest.fixture
def server(own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> EmbeddedPostgres:
    """One that wants a password of the role `clerk`."""
    with_password(own_postgres)
    for name in ("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    return own_postgres


def words(server: EmbeddedPostgres, **others: str) -> str:
    """Where it is, in words without a password."""
    where = conninfo_to_dict(server.url) | {"user": CLERK} | others
    return " ".join(f"{name}={value}" for name, value in where.items())


def migrated(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    """What `sebastian migrate` says with this connection string."""
    monkeypatch.setenv("QT_DB_CONNECTION_STRING", conninfo)
    return CliRunner().invoke(main, ["migrate"])


def test_libpq_s_variable_holds_the_password_as_it_is(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", canaries.DATABASE_PASSWORD)

    assert migrated(words(server), monkeypatch).exit_code == 0

    monkeypatch.setenv("PGPASSWORD", canaries.REDIS_PASSWORD)
    refused = migrated(words(server), monkeypatch)

    assert refused.output == NOT_ACCEPTED


def test_libpq_s_password_file_holds_it(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    escaped = canaries.DATABASE_PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    file = tmp_path / "passwords"
    file.write_text(f"*:*:*:{CLERK}:{escaped}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))

    assert migrated(words(server), monkeypatch).exit_code == 0


def test_libpq_s_service_file_says_all_of_it(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entries = {**conninfo_to_dict(server.url), "user": CLERK}
    lines = [f"{name}={value}" for name, value in entries.items()]
    lines.append(f"password={canaries.DATABASE_PASSWORD}")
    file = tmp_path / "services"
    file.write_text("[line]\n" + "\n".join(lines) + "\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))

    assert migrated("service=line", monkeypatch).exit_code == 0
    assert "definition of service … not found" in migrated("service=another", monkeypatch).output


def test_a_password_that_is_missing_is_told(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = migrated(words(server), monkeypatch).output

    assert told == "Error: PostgreSQL is unavailable: it wants a password, and none is given\n"


def test_of_several_hosts_one_that_answers_is_enough(
    own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = conninfo_to_dict(with_password(own_postgres))
    host = quote(str(where["host"]), safe="")
    url = f"postgresql://{postgres_login()}127.0.0.1:1,{host}:{where.get('port', 5432)}/postgres"

    done = migrated(f"{url}?target_session_attrs=read-write", monkeypatch)

    assert done.exit_code == 0, done.output


def test_of_several_hosts_each_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = f"127.0.0.1:1,{quote('/nowhere', safe='')}:2"

    told = migrated(f"postgresql://{postgres_login()}{hosts}/x", monkeypatch).output

    assert "its socket is not there" in told
    assert "nothing listens there (connection refused)" in told


@contextmanager
def tls_server(*, of_postgres: bool) -> Iterator[int]:
    """The port of a server that shows our certificate, and hangs up on whoever takes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    class Handshake(BaseRequestHandler):
        def handle(self) -> None:
            if of_postgres:
                self.request.recv(8)
                self.request.sendall(b"S")
            with suppress(OSError):
                context.wrap_socket(self.request, server_side=True).close()

    with ThreadingTCPServer(("127.0.0.1", 0), Handshake) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_why_tls_to_the_database_fails_is_told(
    own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(port: object, **options: str) -> str:
        where = f"hostaddr=127.0.0.1 port={port} user={CLERK} connect_timeout=5"
        chosen = " ".join(f"{name}={value}" for name, value in options.items())
        return migrated(f"{where} {chosen}", monkeypatch).output

    full = {"sslmode": "verify-full", "sslrootcert": str(CERTIFICATE)}
    with tls_server(of_postgres=True) as port:
        stranger = told(port, host="localhost", sslmode="verify-full", sslrootcert=certifi.where())
        elsewhere = told(port, host="db.example.com", **full)
        accepted = told(port, host="localhost", **full)

    assert "its certificate is not accepted (nobody whom sslrootcert trusts" in stranger
    assert "its certificate is not accepted (it is for another name)" in elsewhere
    assert "the connection was cut off" in accepted
    if own_postgres.port:
        plain = told(own_postgres.port, host="localhost", sslmode="require")
        assert "server does not support SSL, but SSL was required" in plain


async def test_why_the_webhook_address_does_not_answer_is_told_in_plain_words() -> None:
    async def told(base_url: str) -> str:
        (found,) = await probe_webhook(load_settings(None, {"QT_WEBHOOK_BASE_URL": base_url}))
        return found.text.partition("does not answer: ")[2]

    with tls_server(of_postgres=False) as port:
        assert "its certificate is not accepted (self" in await told(f"https://127.0.0.1:{port}")
    assert await told("http://127.0.0.1:1") == "nothing listens there (connection refused)."
    assert await told("http://nowhere.invalid") == "the name of its host is not found."
