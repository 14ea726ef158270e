"""The command line of the fake platform."""

import asyncio
import signal
from typing import Any

import click
import uvloop

from sebastian_adapters.memory.platform import FakeAccount, Switches
from sebastian_apps.fake_qiscus.config import FakeConfig, FloorConfig
from sebastian_apps.fake_qiscus.server import serve

LATEST_SERVICE = ["as_docs", "always_null", "shows_open"]


@click.command(name="fake-qiscus", context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=4000, help="Port to listen on; 0 takes a free one.")
@click.option("--app-id", default=FakeAccount().app_code, help="The account's app id.")
@click.option("--secret-key", default="FAKE_SECRET", help="The account's secret key.")
@click.option("--webhook-base", help="Where Sebastian listens: http://127.0.0.1:3000.")
@click.option("--webhook-token", help="The secret last segment of the webhooks' paths.")
@click.option("--agents", default=0, help="Agents at the start, all online.")
@click.option("--latency-ms", default=0.0, help="How long each answer takes.")
@click.option("--latency-jitter-ms", default=0.0, help="Up to so much on top.")
@click.option("--counts-lag-ms", default=0.0, help="How old counts of customers are.")
@click.option("--rooms-lag-ms", default=0.0, help="How old lists and reads of rooms are.")
@click.option(
    "--latest-service",
    default="as_docs",
    type=click.Choice(LATEST_SERVICE),
    help="In the allocation webhook.",
)
@click.option("--seed", default=0, help="Of everything that is drawn.")
@click.option("--floor", is_flag=True, help="Let agents serve and customers come.")
@click.option("--chats", default=500, help="Requests for service on the floor; 0 is no end.")
@click.option("--rate", default=50.0, help="Requests per second on the floor.")
@click.option("--service-seconds", default=1.0, help="How long one service takes.")
@click.option("--capacity", default=2, help="What an agent on the floor is meant to hold.")
def command(**options: Any) -> None:
    """Run a stand-in for Qiscus Omnichannel, to be driven through /_fake/ or by its own floor.

    Example: sebastian fake-qiscus --port 8090 --agents 20
    """
    uvloop.run(run(_config_of(options)))


async def run(config: FakeConfig) -> None:
    """Serve until SIGINT or SIGTERM; the first line out says where."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopped.set)
    async with serve(config) as fake:
        click.echo(f"fake Qiscus listens on {fake.url}")
        await stopped.wait()


def _config_of(options: dict[str, Any]) -> FakeConfig:
    return FakeConfig(
        host=options["host"],
        port=options["port"],
        account=FakeAccount(app_code=options["app_id"], secret_key=options["secret_key"]),
        webhook_base_url=options["webhook_base"],
        webhook_token=options["webhook_token"],
        agents=options["agents"],
        seed=options["seed"],
        latency_seconds=options["latency_ms"] / 1000,
        latency_jitter_seconds=options["latency_jitter_ms"] / 1000,
        switches=Switches(
            counts_lag_seconds=options["counts_lag_ms"] / 1000,
            rooms_lag_seconds=options["rooms_lag_ms"] / 1000,
            latest_service=options["latest_service"],
        ),
        floor=_floor_of(options) if options["floor"] else None,
    )


def _floor_of(options: dict[str, Any]) -> FloorConfig:
    return FloorConfig(
        agents=options["agents"],
        capacity=options["capacity"],
        chats=options["chats"],
        rate_per_second=options["rate"],
        service_seconds=options["service_seconds"],
        seed=options["seed"],
    )
