"""What every test may ask for: real servers, and a corner in them that is its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.workermanage import WorkerController

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from tests import servers
from tests.canaries import SUITE, Search
from tests.servers import PostgresServer, RedisServer, RedisSpace
from tests.side_by_side import OneDeploymentAtATime, turn

hypothesis.settings.register_profile("laptop", deadline=None)
hypothesis.settings.register_profile(
    "ci", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "laptop")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneDeploymentAtATime:
    """Spread the tests over the processes of `-n`."""
    return OneDeploymentAtATime(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole deployments first, the simulation last."""
    items.sort(key=lambda item: turn(item.nodeid))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Search what a test printed and logged, where it ran."""
    if hasattr(report, "node"):
        return
    for name, content in report.sections:
        SUITE.look("output of a test", f"{report.nodeid} ({name})", content)


@pytest.fixture(autouse=True, scope="session")
def _canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Search the log files that the tests leave behind."""
    yield
    SUITE.look_at_logs(tmp_path_factory.getbasetemp())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take over what a process of `-n` has searched and found."""
    if found := getattr(node, "workeroutput", {}).get("canaries"):
        SUITE.add(Search.from_message(found))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A secret that came out fails the run, whichever test it was."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["canaries"] = SUITE.message
    if SUITE.hits and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests have recorded as `told`, how much was searched, and what was found."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == "told":
                terminalreporter.write_line(str(value))
    for line in SUITE.told():
        terminalreporter.write_line(line)


@pytest.fixture
def by_socket() -> bool:
    """Whether this test reaches its servers by their Unix sockets; as a rule it is TCP."""
    return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run: leave it running."""
    with servers.postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, by_socket: bool) -> Iterator[str]:
    """An empty database of this test's own, dropped afterwards."""
    with servers.fresh_database(postgres_server) as url:
        yield servers.over_socket(postgres_server, url) if by_socket else url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for the whole run: leave it running, and never flush it."""
    with servers.redis_server() as server:
        yield server


@pytest.fixture
def redis_space(redis_server: RedisServer, by_socket: bool) -> Iterator[RedisSpace]:
    """Where this test's keys live."""
    with servers.fresh_redis_space(redis_server, by_socket=by_socket) as space:
        yield space


@pytest.fixture
def redis_url(redis_space: RedisSpace) -> str:
    """The Redis for this test; every key must begin with `redis_prefix`."""
    return redis_space.url


@pytest.fixture
def redis_prefix(redis_space: RedisSpace) -> str:
    """What this test's keys in Redis begin with."""
    return redis_space.prefix


@pytest.fixture(scope="session")
def postgres_original() -> Iterator[Path]:
    """The directory of a new PostgreSQL that was stopped: there to be copied."""
    with servers.embedded_postgres() as server:
        server.stop()
        yield server.directory


@pytest.fixture
def own_postgres(postgres_original: Path, by_socket: bool) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that this test may kill, freeze and start again."""
    with servers.copied_postgres(postgres_original, tcp=not by_socket) as server:
        yield server


@pytest.fixture
def own_valkey(by_socket: bool) -> Iterator[EmbeddedValkey]:
    """A Valkey that this test may kill, freeze, flush and start again."""
    with servers.embedded_valkey(tcp=not by_socket) as server:
        yield server
