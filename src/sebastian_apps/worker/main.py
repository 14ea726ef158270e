"""`sebastian-worker`: one worker process, or several under one parent."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import click

from sebastian_apps.garbage import spare_collections
from sebastian_apps.settings import Settings
from sebastian_apps.worker.supervisor import LIFELINE, Supervisor
from sebastian_apps.worker.watchdog import Watchdog
from sebastian_apps.worker.worker import Worker
from sebastian_core.domain.errors import SebastianError


def worker_name() -> str:
    """A name that no other running worker has; containers may share host names and numbers."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


async def work(settings: Settings, threads: int) -> None:
    """Run one worker until SIGTERM or SIGINT."""
    from sebastian_apps.container import build_worker

    worker = Worker(build_worker(settings, threads=threads), worker_name())
    spare_collections()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    _stop_with_parent(loop, worker)
    watching = asyncio.create_task(Watchdog().beat())
    try:
        await worker.run()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _stop_with_parent(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    lifeline = os.environ.get(LIFELINE)
    if lifeline is None:
        return

    def parent_is_gone() -> None:
        loop.remove_reader(int(lifeline))
        worker.stop()

    loop.add_reader(int(lifeline), parent_is_gone)


def supervise(config: Path | None, processes: int, threads: int) -> int:
    """Run so many workers as child processes, start again those that die, pass on SIGTERM."""
    command = [sys.executable, "-m", "sebastian_apps.worker.main", "--threads", str(threads)]
    if config is not None:
        command += ["--config", str(config)]
    return Supervisor(command, processes).run()


@click.command(name="sebastian-worker")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=None,
    help="The configuration file (default: config.yml where it exists).",
)
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Dramatiq threads that hear the doorbell; one is enough, work is done asynchronously.",
)
def main(config: Path | None, processes: int, threads: int) -> None:
    """Give waiting chats to agents, and keep our record true.

    Example: sebastian-worker -c config.yml --processes 2
    """
    if processes > 1:
        raise SystemExit(supervise(config, processes, threads))
    from sebastian_apps.cli.starting import starting

    settings = starting(config, needs={"db", "redis", "qiscus"})
    import uvloop

    try:
        uvloop.run(work(settings, threads))
    except SebastianError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
