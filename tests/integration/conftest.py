"""As in production: servers over TCP, on uvloop. A database for each module, emptied each time.

What is marked `both_ways` runs by Unix sockets on asyncio's own loop as well: the two tell a lost
connection differently.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import uvloop

from sebastian_adapters.postgres.agent_settings import PostgresAgentSettings
from sebastian_adapters.postgres.journal import PostgresJournal
from sebastian_adapters.postgres.leadership import PostgresLeadership
from sebastian_adapters.postgres.pool import Pool, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from tests.integration.postgres import emptied, migrated_database, opened
from tests.servers import PostgresServer, over_socket

MakeLoop = Callable[[], asyncio.AbstractEventLoop]
TCP: dict[str, MakeLoop] = {"tcp-uvloop": uvloop.new_event_loop}
SOCKET: dict[str, MakeLoop] = {"socket-asyncio": asyncio.new_event_loop}


@pytest.hookimpl(tryfirst=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, MakeLoop]:
    """On which loops a test runs."""
    return TCP | SOCKET if item.get_closest_marker("both_ways") else TCP


@pytest.fixture
def by_socket(request: pytest.FixtureRequest) -> bool:
    """Whether this test reaches its servers by their Unix sockets."""
    parameters = getattr(request.node, "callspec", None)
    return parameters is not None and SOCKET["socket-asyncio"] in parameters.params.values()


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database that the tests of one module share."""
    with migrated_database(postgres_server) as url:
        yield url


@pytest.fixture
def url(postgres_server: PostgresServer, database: str, by_socket: bool) -> str:
    """The same with nothing in it."""
    emptied(database)
    return over_socket(postgres_server, database) if by_socket else database


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    """A worker's pool there."""
    async with opened(worker_pool(url)) as pool:
        yield pool


@pytest.fixture
def repo(pool: Pool) -> PostgresRoomRepo:
    """A room repo there."""
    return PostgresRoomRepo(pool)


@pytest.fixture
def agent_settings(pool: Pool) -> PostgresAgentSettings:
    """The agent settings there."""
    return PostgresAgentSettings(pool)


@pytest.fixture
def journal(pool: Pool) -> PostgresJournal:
    """The journal there."""
    return PostgresJournal(pool)


@pytest.fixture
def leadership(pool: Pool) -> PostgresLeadership:
    """The leadership there."""
    return PostgresLeadership(pool)


@pytest.fixture
async def other_pool(url: str) -> AsyncIterator[Pool]:
    """The pool of another process there."""
    async with opened(worker_pool(url)) as pool:
        yield pool


@pytest.fixture
def another(other_pool: Pool) -> PostgresRoomRepo:
    """The room repo of another process."""
    return PostgresRoomRepo(other_pool)
