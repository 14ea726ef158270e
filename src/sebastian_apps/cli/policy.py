"""`sebastian policy`: a policy of the user's own that was put aside."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sebastian_apps.entry.options import HintingGroup, config_option
from sebastian_apps.entry.run import run
from sebastian_apps.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sebastian_apps.status.heartbeat import WorkerStatus
    from sebastian_core.allocator import Allocator


@click.group(cls=HintingGroup)
@config_option
def policy(config: Path | None) -> None:
    """Try a policy of yours again after the workers put it aside.

    Example: sebastian policy retry
    """


@policy.command()
@config_option
def retry(config: Path | None) -> None:
    """Have the workers of this machine try the policy again that hung, crashed or dawdled.

    Example: sebastian policy retry
    """

    async def suspended(allocator: Allocator) -> Sequence[WorkerStatus]:
        from sebastian_apps.status.heartbeat import living

        now = (await allocator.agent_settings.agent_loads()).now
        reports = await allocator.leadership.reports()
        return [each for each in living(reports, now) if each.policy_is_suspended]

    workers = run(config, suspended)
    if not workers:
        click.echo("No worker has put a policy aside.")
    told = [_retried(worker) for worker in workers]
    for done, sentence in told:
        click.echo(printable(sentence), err=not done)
    if not all(done for done, _ in told):
        raise SystemExit(1)


def _retried(worker: WorkerStatus) -> tuple[bool, str]:
    """Whether the worker will try it again, and what is to be said of it."""
    from sebastian_apps.policy.choices import ask_to_retry

    name, folder = worker.name, worker.policy.get("state_dir")
    host = name.partition(":")[0]
    if folder is None:
        return False, f"{name} keeps no file that could tell it: restart it."
    if host != socket.gethostname():
        return False, f"{name} runs on {host}: run this command there, or restart the worker."
    try:
        ask_to_retry(Path(folder))
    except OSError as error:
        why = f"{folder} cannot be written here ({error.strerror or error})"
        return False, f"{name} is not told: {why}. Run this as its user, or restart the worker."
    return True, f"{name} tries {worker.policy['name']} again when it next gives chats."
