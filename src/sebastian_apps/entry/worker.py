"""`sebastian-worker`: one worker process."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import secrets
import signal
import socket
from pathlib import Path

import click

from sebastian_apps.entry.options import config_option, patience_option
from sebastian_apps.entry.printing import Program
from sebastian_apps.policy.guard import Guard
from sebastian_apps.runtime.gc import tune_gc
from sebastian_apps.settings import Settings
from sebastian_core.domain.errors import SebastianError


def worker_name() -> str:
    """A name that no other running worker has; containers may share host names and numbers."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


async def work(settings: Settings, threads: int, patience_seconds: float) -> None:
    """Run one worker until SIGTERM or SIGINT; one that hangs so long is ended."""
    from sebastian_apps.wiring import build_worker

    guard = Guard.counting(settings, patience_seconds)
    async with guard.watchdog().watching():
        worker = build_worker(settings, name=worker_name(), threads=threads, policy=guard.policy())
        tune_gc()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run()
    guard.stopped()


def _one(ctx: click.Context, param: click.Parameter, processes: int) -> None:
    if processes > 1:
        raise click.UsageError(
            "A worker is one process, which the service manager starts again when it ends. "
            f"Run {processes} of them: systemctl enable --now sebastian-worker@1 "
            "sebastian-worker@2, or replicas of a container.",
            ctx,
        )


@click.command(name="sebastian-worker", cls=Program)
@config_option
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    hidden=True,
    callback=_one,
    expose_value=False,
)
@click.option(
    "--threads",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Dramatiq threads that hear the doorbell; one is enough, work is done asynchronously.",
)
@patience_option
def main(config: Path | None, threads: int, patience: float) -> None:
    """Give waiting chats to agents, and keep our record true. Run as many as you like.

    Example: sebastian-worker -c config.yml
    """
    from sebastian_apps.entry.startup import starting, telling_misconfiguration, without_secrets

    needs = {"db", "redis", "qiscus", "metrics-exposure"}
    settings = starting(config, needs, process="worker")
    import uvloop

    faulthandler.enable()
    try:
        with telling_misconfiguration():
            uvloop.run(work(settings, threads, patience))
    except SebastianError as error:
        raise click.ClickException(without_secrets(str(error))) from error


if __name__ == "__main__":
    main()
