"""What is left of a conversation when the network between two hosts is gone."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from attrs import define, field
from yarl import URL

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool, webhook_pool
from sebastian_adapters.qiscus.api import ApiRequest
from sebastian_adapters.qiscus.http import AiohttpTransport
from sebastian_adapters.qiscus.lane import LaneOptions
from sebastian_adapters.testing.waiting import until
from sebastian_core.domain.errors import StoreUnavailable
from tests.hosts.deployment import POSTGRES_PORT, database_url, postgres_on
from tests.hosts.network import Cut, Network, NoNamespaces, network
from tests.servers import skip_or_fail, temporary_directory

SERVERS, OURS = "servers", "ours"
CERTIFICATE = Path(__file__).parents[1] / "certificates" / "localhost.pem"
PLATFORM_PORT = 4000
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
PATIENCE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


@pytest.fixture(scope="module")
def hosts() -> Iterator[Network]:
    """Two hosts on a switch; the tests themselves run on ours."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(network(SERVERS, OURS))
        except NoNamespaces as error:
            (skip_or_fail if os.geteuid() == 0 else pytest.skip)(f"no other hosts: {error}")
        with made[OURS].entered():
            yield made


@pytest.fixture(scope="module")
def database(hosts: Network, postgres_original: Path) -> Iterator[str]:
    """A PostgreSQL on the servers' host."""
    with temporary_directory() as directory:
        directory.chmod(0o755)
        subprocess.run(["cp", "-Rp", str(postgres_original), str(directory)], check=True)
        server = postgres_on(hosts[SERVERS], directory)
        with hosts[SERVERS].entered():
            server.start()
        try:
            yield database_url(hosts[SERVERS])
        finally:
            server.stop()


@contextmanager
def cut_off(hosts: Network, how: Cut = Cut.SWALLOWED) -> Iterator[None]:
    """We are cut off meanwhile."""
    hosts.cut(OURS, how)
    try:
        yield
    finally:
        hosts.heal(OURS, how)


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("how", list(Cut))
async def test_a_call_that_was_given_up_is_not_delivered_when_the_network_is_back(
    hosts: Network, how: Cut, is_secure: bool
) -> None:
    async with platform_on(hosts, is_secure=is_secure) as (transport, platform):
        await transport.exchange(platform.a_call(), lambda response: response)
        with cut_off(hosts, how):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await transport.exchange(platform.a_call(), lambda response: response)

            await until(lambda: not undelivered_to(PLATFORM_PORT))

        await transport.exchange(platform.a_call(), lambda response: response)
        assert platform.heard == 2


async def test_a_database_behind_a_cut_is_given_up_and_found_again(
    hosts: Network, database: str
) -> None:
    pool = webhook_pool(database)
    async with pool.connections:
        await answered(pool)
        with cut_off(hosts):
            with pytest.raises(StoreUnavailable):
                await ask(pool)
            assert undelivered_to(POSTGRES_PORT)

            await until(lambda: not undelivered_to(POSTGRES_PORT))

        await answered(pool)


async def test_the_database_gives_us_up_after_25_seconds_of_silence(
    database: str,
) -> None:
    pool = webhook_pool(database)
    async with pool.connections:
        found = await answered(pool)

    assert found == PATIENCE


async def ask(pool: Pool) -> dict[str, str]:
    """One transaction."""
    (rows,) = await pool.run(
        lambda each: each.send(NamedQuery("settings", {"names": array(PATIENCE)}))
    )
    return dict(rows)


async def answered(pool: Pool) -> dict[str, str]:
    """The first answer that comes, within ten seconds."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await ask(pool)
            except StoreUnavailable:
                continue


@define
class Platform:
    """Answers everything at once and counts what it hears."""

    url: str
    heard: int = 0
    lines: list[asyncio.StreamWriter] = field(factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.heard += 1
                writer.write(ANSWER)

    def a_call(self) -> ApiRequest:
        return ApiRequest("POST", URL(f"{self.url}/assign"))


@asynccontextmanager
async def platform_on(
    hosts: Network, *, is_secure: bool
) -> AsyncIterator[tuple[AiohttpTransport, Platform]]:
    """A platform on the servers' host, and how our host asks it."""
    address = hosts[SERVERS].address
    scheme = "https" if is_secure else "http"
    platform = Platform(f"{scheme}://{address}:{PLATFORM_PORT}")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(CERTIFICATE)
    ours = ssl.create_default_context(cafile=str(CERTIFICATE))
    ours.check_hostname = False
    with hosts[SERVERS].entered():
        server = await asyncio.start_server(
            platform.serve, address, PLATFORM_PORT, ssl=theirs if is_secure else None
        )
    options = LaneOptions(
        connect_seconds=5.0,
        call_seconds=60.0,
        keep_alive_seconds=60.0,
        ssl_context=ours,
        proxy=None,
    )
    async with server, AiohttpTransport(1, options) as transport:
        yield transport, platform
        for line in platform.lines:
            line.transport.abort()


def undelivered_to(port: int) -> int:
    """How many bytes our kernel still wants to deliver to that port, on whatever connection."""
    lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(
        int(each[4].partition(":")[0], 16)
        for each in fields
        if int(each[2].partition(":")[2], 16) == port
    )
