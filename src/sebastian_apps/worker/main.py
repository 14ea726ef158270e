"""`sebastian-worker`: one worker process, or several under one parent."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import click
import structlog

from sebastian_apps.cli.options import config_option, patience_option
from sebastian_apps.garbage import spare_collections
from sebastian_apps.settings import Settings
from sebastian_apps.worker.guarding import Guard
from sebastian_apps.worker.supervisor import LIFELINE, Supervisor
from sebastian_apps.worker.worker import Worker
from sebastian_core.domain.errors import SebastianError

log = structlog.stdlib.get_logger("sebastian.worker")


def worker_name() -> str:
    """A name that no other running worker has; containers may share host names and numbers."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


async def work(settings: Settings, threads: int, patience_seconds: float) -> None:
    """Run one worker until SIGTERM or SIGINT; one that hangs so long is ended."""
    from sebastian_apps.container import build_worker

    guard = Guard(settings)
    async with guard.watchdog(patience_seconds).watching():
        parts = build_worker(settings, threads=threads, policy=guard.policy())
        worker = Worker(parts, worker_name())
        spare_collections()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        _stop_with_parent(loop, worker)
        await worker.run()


def _stop_with_parent(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    lifeline = os.environ.get(LIFELINE)
    if lifeline is None:
        return

    def parent_is_gone() -> None:
        loop.remove_reader(int(lifeline))
        worker.stop()

    loop.add_reader(int(lifeline), parent_is_gone)


def supervise(config: Path | None, processes: int, threads: int, patience_seconds: float) -> int:
    """Run so many workers as child processes, start again those that die, pass on SIGTERM."""
    command = [sys.executable, "-m", "sebastian_apps.worker.main", "--threads", str(threads)]
    command += ["--patience", str(patience_seconds)]
    if config is not None:
        command += ["--config", str(config)]
    supervisor = Supervisor(
        command,
        processes,
        patience_seconds=patience_seconds,
        tell=lambda what, pid: log.error(what, pid=pid),
    )
    return supervisor.run()


def needs_parent(settings: Settings, processes: int) -> bool:
    """Whether somebody must outlive the worker: to run several, or to judge a policy.

    A policy that hangs or crashes its worker can only be counted by who is not hit by it.
    """
    is_child = LIFELINE in os.environ
    return processes > 1 or (settings.assign.policy is not None and not is_child)


@click.command(name="sebastian-worker")
@config_option
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many processes; each keeps to qiscus.rate_limit by itself.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Dramatiq threads that hear the doorbell; one is enough, work is done asynchronously.",
)
@patience_option
def main(config: Path | None, processes: int, threads: int, patience: float) -> None:
    """Give waiting chats to agents, and keep our record true.

    Example: sebastian-worker -c config.yml --processes 2
    """
    from sebastian_apps.cli.starting import starting, telling_misconfiguration, without_secrets

    needs = {"db", "redis", "qiscus", "metrics-exposure"}
    settings = starting(config, needs, process="worker")
    if needs_parent(settings, processes):
        raise SystemExit(supervise(config, processes, threads, patience))
    import uvloop

    faulthandler.enable()
    try:
        with telling_misconfiguration():
            uvloop.run(work(settings, threads, patience))
    except SebastianError as error:
        raise click.ClickException(without_secrets(str(error))) from error


if __name__ == "__main__":
    main()
