"""The servers that `sebastian dev` and the tests run on do what a real one does."""

import os
import pwd
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sebastian_apps.dev.servers import (
    EmbeddedPostgres,
    EmbeddedServer,
    EmbeddedValkey,
    ServerUnavailable,
)
from tests import servers
from tests.secured import CLERK, with_password
from tests.servers import RedisSpace

AnyServer = TypeVar("AnyServer", bound=EmbeddedServer)


class Start(Protocol):
    """Starts a server for as long as the block lasts."""

    def __call__(self, *, tcp: bool) -> AbstractContextManager[EmbeddedServer]: ...


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    with servers.embedded_postgres(tcp=False) as server:
        yield server


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with servers.embedded_valkey(tcp=False) as server:
        yield server


@pytest.fixture
def own_postgres(postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    return running(postgres)


@pytest.fixture
def own_valkey(valkey: EmbeddedValkey) -> EmbeddedValkey:
    return running(valkey)


@pytest.fixture(params=["own_postgres", "own_valkey"])
def server(request: pytest.FixtureRequest) -> EmbeddedServer:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, EmbeddedServer)
    return found


def test_a_started_server_answers_at_its_url(server: EmbeddedServer) -> None:
    assert answers(server.url)
    assert server.pid is not None


@pytest.mark.parametrize("start", [servers.embedded_postgres, servers.embedded_valkey])
def test_one_over_tcp_keeps_its_port_and_answers_on_its_socket_as_well(start: Start) -> None:
    with start(tcp=True) as server:
        url = server.url
        server.kill()
        assert not answers(url)

        server.start()

        assert server.url == url
        assert urlsplit(url).port == server.port
        assert answers(url)
        assert answers(url_of_socket(server))


def test_starting_a_running_server_changes_nothing(server: EmbeddedServer) -> None:
    before = server.pid

    server.start()

    assert server.pid == before


def test_a_stopped_server_answers_no_more(server: EmbeddedServer) -> None:
    server.stop()

    assert server.pid is None
    assert not answers(server.url)


def test_stopping_twice_is_stopping_once(server: EmbeddedServer) -> None:
    server.stop()

    server.stop()

    assert server.pid is None


def test_a_restarted_server_is_another_process_at_the_same_url(server: EmbeddedServer) -> None:
    url, pid = server.url, server.pid

    server.stop()
    server.start()

    assert server.url == url
    assert server.pid != pid
    assert answers(url)


def test_a_killed_server_starts_again(server: EmbeddedServer) -> None:
    server.kill()
    assert not answers(server.url)

    server.start()

    assert answers(server.url)


def test_a_server_that_died_by_itself_starts_again(server: EmbeddedServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.pid is None)

    server.start()

    assert answers(server.url)


def test_a_frozen_server_is_silent_until_it_thaws(server: EmbeddedServer) -> None:
    server.freeze()
    assert not answers(server.url)

    server.thaw()

    assert answers(server.url)


def test_a_frozen_server_can_be_killed_and_started_again(server: EmbeddedServer) -> None:
    server.freeze()
    server.kill()

    server.start()

    assert answers(server.url)


def test_a_frozen_server_stops_when_it_is_told_to(server: EmbeddedServer) -> None:
    server.freeze()

    server.stop()

    assert server.pid is None
    assert "shut" in server.log_text.lower()


def test_a_directory_serves_one_program_at_a_time(server: EmbeddedServer) -> None:
    second = type(server)(directory=server.directory)

    with pytest.raises(ServerUnavailable, match="another program already runs a server"):
        second.start()
    second.stop()

    assert answers(server.url)


def test_two_servers_do_not_meet(server: EmbeddedServer) -> None:
    with servers.temporary_directory() as directory, type(server)(directory=directory) as second:
        assert second.url != server.url
        assert second.pid != server.pid


def test_a_server_ends_with_the_program_that_started_it(server: EmbeddedServer) -> None:
    server.stop()
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        f"from sebastian_apps.dev.servers import {type(server).__name__} as Server\n"
        "server = Server(directory=Path(sys.argv[1])); server.start()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )

    done = subprocess.run([sys.executable, "-c", program, server.directory], check=False)

    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not answers(server.url))
    server.start()
    assert answers(server.url)


def test_a_server_left_behind_is_ended_before_the_next_one_starts(server: EmbeddedServer) -> None:
    left_behind = server.pid
    abandon(server)
    successor = type(server)(directory=server.directory)

    with successor:
        assert successor.pid != left_behind
        assert server.pid is None
        assert answers(successor.url)


def test_a_server_that_cannot_start_says_what_its_log_says(server: EmbeddedServer) -> None:
    assert isinstance(server, EmbeddedPostgres | EmbeddedValkey)
    server.stop()
    server.settings = {"unheard-of": "1"}

    with pytest.raises(ServerUnavailable, match=r"unheard.of"):
        server.start()

    server.settings = {}
    server.start()
    assert answers(server.url)


def test_postgres_keeps_what_was_committed_through_stop_and_kill(
    own_postgres: EmbeddedPostgres,
) -> None:
    with psycopg.connect(own_postgres.url) as connection:
        connection.execute("create table kept as select 42 as answer")

    own_postgres.stop()
    own_postgres.start()
    own_postgres.kill()
    own_postgres.start()

    assert value(own_postgres.url, "select answer from kept") == 42


def test_postgres_is_durable_unless_told_otherwise(own_postgres: EmbeddedPostgres) -> None:
    assert value(own_postgres.url, "show fsync") == "on"
    assert value(own_postgres.url, "show synchronous_commit") == "on"
    own_postgres.stop()

    own_postgres.settings = {"fsync": "off"}
    own_postgres.start()

    assert value(own_postgres.url, "show fsync") == "off"
    own_postgres.stop()
    own_postgres.settings = {}


def test_postgres_is_a_current_version(own_postgres: EmbeddedPostgres) -> None:
    assert str(value(own_postgres.url, "show server_version")).startswith("18.")


def test_a_cluster_half_made_is_made_anew(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.stop()
    (own_postgres.directory / "postgres").rename(own_postgres.directory / "postgres.draft")

    own_postgres.start()

    assert answers(own_postgres.url)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="where we are not root, it runs as us")


@pytest.fixture
def beyond_reach(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of root's in a folder that is closed to everybody else."""
    servers.require_wheel(EmbeddedPostgres)
    tmp_path.chmod(0o700)
    with EmbeddedPostgres(directory=tmp_path / "data") as server:
        yield server


@as_root
def test_postgres_keeps_its_data_in_a_folder_of_root_s_that_is_closed_to_its_account(
    beyond_reach: EmbeddedPostgres,
) -> None:
    with psycopg.connect(beyond_reach.url) as connection:
        connection.execute("create table kept as select 42 as answer")

    beyond_reach.stop()
    beyond_reach.start()

    assert value(beyond_reach.url, "select answer from kept") == 42


@as_root
def test_another_process_of_postgres_s_account_is_not_let_in(
    beyond_reach: EmbeddedPostgres,
) -> None:
    psql = ["psql", "--no-psqlrc", "--command=select 'in'", beyond_reach.url]

    ours = run_as(os.geteuid(), psql, beyond_reach)
    nobodys = run_as(pwd.getpwnam("nobody").pw_uid, psql, beyond_reach)

    assert (ours.returncode, nobodys.returncode) == (0, 2)
    assert "Peer authentication failed" in nobodys.stderr


@as_root
def test_postgres_has_no_privilege_and_its_programs_write_nothing_of_root_s(
    beyond_reach: EmbeddedPostgres, tmp_path: Path
) -> None:
    status = Path(f"/proc/{beyond_reach.pid}/status").read_text()
    with psycopg.connect(beyond_reach.url) as connection, pytest.raises(psycopg.Error):
        connection.execute(f"copy (select 1) to program 'cat > {tmp_path}/written'".encode())

    capabilities = re.findall(r"^Cap(Inh|Prm|Eff|Amb):\s*(\w+)$", status, re.MULTILINE)
    assert {int(mask, 16) for _, mask in capabilities} == {0}
    assert not (tmp_path / "written").exists()


@as_root
def test_what_root_writes_stands_in_folders_of_root_s(beyond_reach: EmbeddedPostgres) -> None:
    written = [beyond_reach._log, *beyond_reach._runtime.glob("pg_*.conf")]

    assert len(written) == 3
    assert {folder.stat().st_uid for each in written for folder in (each, each.parent)} == {0}


def test_what_a_server_keeps_and_logs_is_for_our_account_alone(tmp_path: Path) -> None:
    with EmbeddedValkey(directory=tmp_path, persists=True) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("agent", "Ayu")
        files = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]

    assert {path.name for path in files} >= {"log"}
    assert len(files) > 2
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []


def run_as(
    uid: int, command: list[str], server: EmbeddedPostgres
) -> subprocess.CompletedProcess[str]:
    """Run a program of PostgreSQL's that this user reaches."""
    programs = Path(psutil.Process(server.pid).exe()).parent
    return subprocess.run(
        [programs / command[0], *command[1:]],
        user=uid,
        extra_groups=[],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_role_that_needs_a_password_is_asked_for_it(own_postgres: EmbeddedPostgres) -> None:
    url = with_password(own_postgres)

    assert answers(url)
    assert answers(own_postgres.url)
    assert not answers(own_postgres.url.replace("postgres@", f"{CLERK}:wrong@", 1))


def test_valkey_forgets_with_its_end_unless_it_persists(own_valkey: EmbeddedValkey) -> None:
    write(own_valkey.url, "key", "value")

    own_valkey.stop()
    own_valkey.start()

    assert read(own_valkey.url, "key") is None


def test_a_persistent_valkey_remembers() -> None:
    with servers.embedded_valkey(persists=True) as server:
        write(server.url, "key", "value")

        server.stop()
        server.start()

        assert read(server.url, "key") == b"value"


def test_nothing_is_left_in_the_file_system() -> None:
    with (
        servers.embedded_valkey() as valkey,
        servers.embedded_postgres() as postgres,
    ):
        places = [valkey.directory, postgres.directory, valkey._runtime, postgres._runtime]
        assert all(place.exists() for place in places)

    assert [place for place in places if place.exists()] == []


def test_each_test_has_an_empty_database_of_its_own(postgres_url: str) -> None:
    assert value(postgres_url, "select count(*) from pg_tables where schemaname = 'public'") == 0
    assert str(value(postgres_url, "select current_database()")).startswith("sebastian_test_")


def test_each_test_has_a_redis_space_without_keys(redis_space: RedisSpace) -> None:
    with client(redis_space.url) as connection:
        assert list(connection.scan_iter(match=f"{redis_space.prefix}*")) == []


def test_only_a_space_s_own_keys_are_deleted(redis_url: str) -> None:
    ours, theirs = RedisSpace(redis_url), RedisSpace(redis_url)
    write(redis_url, f"{ours.prefix}key", "ours")
    write(redis_url, f"{theirs.prefix}key", "theirs")

    ours.delete_keys()

    assert read(redis_url, f"{ours.prefix}key") is None
    assert read(redis_url, f"{theirs.prefix}key") == b"theirs"
    theirs.delete_keys()


def test_a_missing_wheel_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmbeddedPostgres, "wheel", "no_such_package")

    assert not EmbeddedPostgres.is_installed()
    with pytest.raises(ServerUnavailable, match=r"pip install 'sebastian-allocator\[dev\]'"):
        EmbeddedPostgres(directory=tmp_path).start()


def test_a_missing_wheel_skips_on_a_laptop_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception):
        servers.skip_or_fail("no wheel")

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        servers.skip_or_fail("no wheel")


def running(server: AnyServer) -> AnyServer:
    """The same server, whatever the test before has done to it."""
    server.thaw()
    server.start()
    return server


def abandon(server: EmbeddedServer) -> None:
    """Let go of a running server as a dead program would, except that it is not asked to stop."""
    assert server._process is not None
    server._process._dismiss_watchdog()
    server._drop_claim()


def answers(url: str) -> bool:
    try:
        if url.startswith("postgresql:"):
            return value(url, "select 1") == 1
        with client(url) as connection:
            return bool(connection.ping())
    except (psycopg.OperationalError, redis.RedisError):
        return False


def url_of_socket(server: EmbeddedServer) -> str:
    if isinstance(server, EmbeddedPostgres):
        return server.socket_url("postgres")
    assert isinstance(server, EmbeddedValkey)
    return server.socket_url(0)


def value(url: str, query: str) -> object:
    with psycopg.connect(url, connect_timeout=2) as connection:
        row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=1, retry=Retry(NoBackoff(), 0))


def read(url: str, key: str) -> object:
    with client(url) as connection:
        return connection.get(key)


def write(url: str, key: str, text: str) -> None:
    with client(url) as connection:
        connection.set(key, text)


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
