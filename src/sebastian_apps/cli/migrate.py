"""`sebastian migrate`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from sebastian_apps.cli.options import config_option


@click.command()
@config_option
def migrate(config: Path | None) -> None:
    """Create Sebastian's tables, or bring them up to this version. Safe to run again.

    Example: sebastian migrate -c config.yml
    """
    from sebastian_adapters.postgres.migrate import migrate as apply
    from sebastian_apps.cli.starting import read_settings
    from sebastian_apps.progress import working

    settings = read_settings(config, needs={"db"})
    database = settings.db.connection_string
    with working("Looking at the tables") as tell:
        url = database.reveal() if database else ""
        applied = asyncio.run(apply(url, lambda name: tell(f"Applying {name}")))
    for name in applied:
        click.echo(f"applied {name}")
    click.echo("the database is up to date")
