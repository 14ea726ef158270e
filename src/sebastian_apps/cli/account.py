"""`sebastian account`: whose tables these are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from sebastian_apps.entry.options import HintingGroup, config_option
from sebastian_apps.entry.run import actor, tell
from sebastian_apps.printable import printable


@click.group(cls=HintingGroup)
def account() -> None:
    """Change whose tables these are.

    They belong to the account of Qiscus whose process started on them first.

    Example: sebastian account rename -c config.yml
    """


@account.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
def rename(config: Path | None, yes: bool) -> None:
    """Let the tables belong to the account that the configuration names, after a question.

    For an account whose app id has changed. Stop the webhook service and the workers first: those
    that still run with the old app id refuse to go on.

    Example: sebastian account rename -c config.yml
    """
    from sebastian_adapters.postgres.account import read_account, rename_account
    from sebastian_apps.entry.startup import read_settings

    settings = read_settings(config, needs={"db", "qiscus"})
    url, new = settings.db.owners_connection_string, settings.qiscus.app_id
    assert url is not None  # noqa: S101 - the settings were read with these needs
    assert new is not None  # noqa: S101
    reading = asyncio.run(read_account(url.reveal()))
    old = reading.app_id
    if old is None or old == new:
        said = "belong to nobody yet: the first process that starts gives them to"
        click.echo(f"The tables {said if old is None else 'belong to'} {new}.")
        return
    click.echo(f"The tables belong to:  {printable(old)}")
    click.echo(f"qiscus.app_id is:      {new}")
    click.echo(f"Live chats in them:    {reading.live}")
    click.echo("A chat whose room the new account does not know will be closed as gone.")
    if not yes:
        click.confirm(f"Shall the tables belong to {new} from now on?", abort=True)
    done = asyncio.run(rename_account(url.reveal(), old, new, actor()))
    told = f"The tables belong to {new}." if done else "Somebody else renamed it just now."
    tell(done, told)
