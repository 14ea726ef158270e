"""PostgreSQL, Valkey and the fake platform on one host, our services on two others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from tests.chaos.deployment import (
    APP_ID,
    SECRET_KEY,
    Deployment,
    migrate,
    ours,
    start_platform,
    wait_until_ready,
    watch,
)
from tests.hosts.network import Host, Network
from tests.hosts.shape import HOST_A, HOST_B, SERVERS, HostsShape
from tests.scenario.platform import PlatformOptions

OUR_HOSTS = (HOST_A, HOST_B)
POSTGRES_PORT, REDIS_PORT, WEBHOOK_PORT = 5432, 6379, 3000
_WHO_MAY = ("host all all samenet trust",)


@asynccontextmanager
async def deployed(
    shape: HostsShape, network: Network, directory: Path
) -> AsyncIterator[Deployment]:
    """Everything is ready. The caller is on the servers' host."""
    servers = network[SERVERS]
    async with AsyncExitStack() as stack:
        deployment = Deployment(
            directory=directory,
            postgres=stack.enter_context(postgres_on(servers, directory)),
            valkey=stack.enter_context(_valkey(servers, directory)),
            proxies={},
        )
        stack.push_async_callback(deployment.control.aclose)
        await start_platform(deployment, stack, _platform(shape, network))
        port = urlsplit(deployment.platform_url).port
        deployment.platform_url = f"http://127.0.0.1:{port}"  # it is told what to do from here only
        configs = {name: _config(shape, deployment, network, name) for name in OUR_HOSTS}
        await asyncio.to_thread(migrate, configs[HOST_A])
        for name, config in configs.items():
            _start_ours(shape, deployment, stack, network[name], config)
        supervising = asyncio.create_task(deployment.supervise())
        stack.callback(supervising.cancel)
        await wait_until_ready(deployment, [webhook_url(network[name]) for name in OUR_HOSTS])
        yield deployment


def webhook_url(host: Host) -> str:
    """Where the webhook service of one of our hosts is reached."""
    return f"http://{host.address}:{WEBHOOK_PORT}"


def postgres_on(servers: Host, directory: Path) -> EmbeddedPostgres:
    """A PostgreSQL for whoever is on the same network; to be started on that host."""
    settings = {"listen_addresses": servers.address, "port": str(POSTGRES_PORT)}
    return EmbeddedPostgres(directory=directory / "postgres", settings=settings, rules=_WHO_MAY)


def database_url(servers: Host) -> str:
    """Where the others reach it."""
    address = f"{servers.address}:{POSTGRES_PORT}"
    return f"postgresql://postgres@{address}/postgres?sslmode=disable&gssencmode=disable"


def _valkey(servers: Host, directory: Path) -> EmbeddedValkey:
    settings = {"bind": servers.address, "port": str(REDIS_PORT), "protected-mode": "no"}
    return EmbeddedValkey(directory=directory / "valkey", settings=settings)


def _platform(shape: HostsShape, network: Network) -> PlatformOptions:
    first, *others = (webhook_url(network[name]) for name in OUR_HOSTS)
    return PlatformOptions(
        webhook_base=first,
        other_webhook_bases=others,
        try_seconds=shape.balancer_seconds,
        host="0.0.0.0",
        app_id=APP_ID,
        secret_key=SECRET_KEY,
        agents=shape.agents,
        latency_seconds=shape.latency_seconds,
        doubled_share=0.05,
        seed=shape.seed,
    )


def _config(shape: HostsShape, deployment: Deployment, network: Network, name: str) -> Path:
    servers, settings = network[SERVERS], shape.settings
    settings["listen"] = {"host": network[name].address, "port": WEBHOOK_PORT}
    settings["db"] = {"connection_string": database_url(servers)}
    settings["redis"] = {"url": f"redis://{servers.address}:{REDIS_PORT}/0"}
    settings["webhook"] |= {"base_url": webhook_url(network[name]), "insecure": True}
    settings["assign"]["verify"] = shape.verify
    settings["qiscus"] |= {
        "base_url": deployment.platform_url.replace("127.0.0.1", servers.address),
        "app_id": APP_ID,
        "secret_key": SECRET_KEY,
    }
    path = deployment.directory / f"{name}.yml"
    path.write_text(json.dumps(settings, indent=2))
    return path


def _start_ours(
    shape: HostsShape, deployment: Deployment, stack: AsyncExitStack, host: Host, config: Path
) -> None:
    webhook = host.command(*ours(config, "sebastian_apps.entry.webhook"))
    watch(deployment, stack, f"{host.name} webhook", webhook)
    for number in range(1, shape.workers // len(OUR_HOSTS) + 1):
        worker = host.command(*ours(config, "sebastian_apps.entry.worker"))
        watch(deployment, stack, f"{host.name} worker {number}", worker)
