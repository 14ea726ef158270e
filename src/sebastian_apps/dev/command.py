"""`sebastian dev`: everything in one command, with nothing to install or configure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(context_settings={"show_default": True})
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the databases here, so that the line outlives a restart.",
)
@click.option("--memory", is_flag=True, help="Use the adapters in memory instead of servers.")
@click.option("--port", default=3000, help="Port of the webhook service; 0 takes a free one.")
@click.option("--agents", default=8, help="Agents on the floor.")
@click.option("--capacity", default=2, help="Customers that an agent has at once.")
@click.option("--customers-per-minute", default=45.0, help="How many come, on average.")
@click.option("--service-seconds", default=15.0, help="How long a chat takes, on average.")
@click.option("--day-seconds", default=300.0, help="How long a day of customers lasts.")
@click.option("--seed", default=1, help="Another seed, other customers.")
@click.option(
    "--policy",
    envvar="QT_ASSIGN_POLICY",
    show_default=False,
    help="A policy of your own serves, package.module:ClassName.",
)
@click.option(
    "--run-seconds", type=float, default=None, show_default=False, help="End after so long."
)
def dev(**options: Any) -> None:
    """Run a whole support floor here: servers, a stand-in platform, webhook, worker, customers.

    Example: sebastian dev --agents 20 --customers-per-minute 200
    """
    import tempfile

    import uvloop

    from sebastian_apps.dev.options import DevOptions
    from sebastian_apps.dev.run import run
    from sebastian_apps.entry.startup import telling_misconfiguration
    from sebastian_apps.http.listening import CannotListen

    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise click.ClickException(
            "The servers need a folder for temporary files, and none can be written: name one in "
            "TMPDIR."
        ) from error
    try:
        with telling_misconfiguration():
            uvloop.run(run(DevOptions(**options)))
    except CannotListen as error:
        raise click.ClickException(f"{error}; --port 0 takes a free one.") from error
