"""`sebastian set-webhook`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from sebastian_apps.entry.options import config_option
from sebastian_apps.printable import printable


@click.command("set-webhook")
@config_option
def set_webhook(config: Path | None) -> None:
    """Register both webhook URLs at Qiscus and tell what the platform confirmed.

    Example: sebastian set-webhook -c config.yml
    """
    from sebastian_apps.entry.startup import starting
    from sebastian_apps.wiring import register_webhooks

    settings = starting(config, needs={"qiscus", "set-webhook"})
    registrations = asyncio.run(register_webhooks(settings))
    for each in registrations:
        sign = "confirmed" if each.confirmed else "NOT confirmed"
        click.echo(f"{each.webhook}: {sign} {printable(each.detail)}".rstrip())
    if not all(each.confirmed for each in registrations):
        click.echo(
            "Set what is not confirmed in the dashboard: Settings > Custom Agent Allocation."
        )
        raise SystemExit(1)
