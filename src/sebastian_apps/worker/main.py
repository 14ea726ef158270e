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

from sebastian_apps.cli.options import config_option
from sebastian_apps.garbage import spare_collections
from sebastian_apps.own_policy import STRIKES, GuardedPolicy, own_policy
from sebastian_apps.settings import Settings
from sebastian_apps.worker.policy_calls import PolicyCalls, ends_so_far
from sebastian_apps.worker.supervisor import LIFELINE, Supervisor
from sebastian_apps.worker.watchdog import PATIENCE_SECONDS, Watchdog
from sebastian_apps.worker.worker import Worker
from sebastian_core.domain.errors import SebastianError
from sebastian_core.domain.policy import LeastLoaded, Policy

log = structlog.stdlib.get_logger("sebastian.worker")


def worker_name() -> str:
    """A name that no other running worker has; containers may share host names and numbers."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


async def work(settings: Settings, threads: int, patience_seconds: float) -> None:
    """Run one worker until SIGTERM or SIGINT; one that hangs so long is ended."""
    from sebastian_apps.container import build_worker

    calls = PolicyCalls.given()

    def suspect() -> str | None:
        return f"the policy {settings.assign.policy}" if calls.under_way else None

    async with Watchdog(patience_seconds, suspect).watching():
        policy = _policy(settings, calls)
        worker = Worker(build_worker(settings, threads=threads, policy=policy), worker_name())
        spare_collections()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        _stop_with_parent(loop, worker)
        await worker.run()


def _policy(settings: Settings, calls: PolicyCalls) -> GuardedPolicy | None:
    """The policy of the user's own, if there is one; raises SettingsError where it is unusable.

    One that hung or crashed its workers is not even imported: that may be where it does so.
    """
    if settings.assign.policy is None:
        return None
    name, ends = settings.assign.policy, ends_so_far()
    own = _made(settings, calls) if ends < STRIKES else LeastLoaded()
    policy = GuardedPolicy(own, name, ends, calls.begin, calls.end)
    if policy.suspended is not None:
        log.error(
            "the shipped policy serves until the service is started again",
            policy=name,
            why=policy.suspended,
        )
    return policy


def _made(settings: Settings, calls: PolicyCalls) -> Policy:
    """The policy of the user's own; being made counts as a choice that a worker may not survive."""
    calls.begin()
    try:
        return own_policy(settings) or LeastLoaded()
    finally:
        calls.end()


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
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Dramatiq threads that hear the doorbell; one is enough, work is done asynchronously.",
)
@click.option(
    "--patience",
    type=click.FloatRange(1, 3600),
    default=PATIENCE_SECONDS,
    show_default=True,
    help="After so many seconds a worker that hangs is ended, for its supervisor to restart it.",
)
def main(config: Path | None, processes: int, threads: int, patience: float) -> None:
    """Give waiting chats to agents, and keep our record true.

    Example: sebastian-worker -c config.yml --processes 2
    """
    from sebastian_apps.cli.starting import starting, telling_misconfiguration

    settings = starting(config, needs={"db", "redis", "qiscus"})
    if needs_parent(settings, processes):
        raise SystemExit(supervise(config, processes, threads, patience))
    import uvloop

    faulthandler.enable()
    try:
        with telling_misconfiguration():
            uvloop.run(work(settings, threads, patience))
    except SebastianError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
