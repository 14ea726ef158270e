"""`sebastian migrate`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from sebastian_apps.entry.options import config_option


@click.command()
@click.option("--grant-to", metavar="ROLE", help="Give this database role what the services need.")
@config_option
def migrate(config: Path | None, grant_to: str | None) -> None:
    """Create Sebastian's tables, or bring them up to this version. Safe to run again.

    With db.migrate_connection_string one role owns the tables and another one, named with
    --grant-to, works with them.

    Example: sebastian migrate -c config.yml
    """
    from sebastian_adapters.postgres.migrate import migrate as apply
    from sebastian_apps.entry.startup import read_settings
    from sebastian_apps.observability.progress import working

    settings = read_settings(config, needs={"db"})
    database = settings.db.owners_connection_string
    url = database.reveal() if database else ""
    with working("Looking at the tables") as show:

        def tell(what: str) -> None:
            show(what)
            click.echo(what, err=True)

        applied = asyncio.run(apply(url, tell, grant_to=grant_to))
    for name in applied:
        click.echo(f"applied {name}")
    if grant_to is not None:
        click.echo(f"{grant_to} has the rights that the services need")
    click.echo("the database is up to date")
