"""`sebastian`: everything that is not a long-running service, and a door to those that are."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import click

COMMANDS: Mapping[str, tuple[str, str]] = {
    "dev": ("sebastian_apps.dev.command:dev", "Run everything here, with nothing to install."),
    "migrate": ("sebastian_apps.cli.migrate:migrate", "Create or update the database tables."),
    "set-webhook": (
        "sebastian_apps.cli.set_webhook:set_webhook",
        "Register both webhooks at Qiscus.",
    ),
    "fake-qiscus": (
        "sebastian_apps.fake_qiscus.main:command",
        "Run a stand-in for the platform.",
    ),
}
"""The commands by name: where each lives and what it promises, so that help loads none of them."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands by name."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they promise, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, promise) for name, (_, promise) in COMMANDS.items()])


@click.group(cls=LazyGroup, invoke_without_command=True)
@click.option(
    "-e",
    "service",
    type=click.Choice(["webhook", "worker"]),
    help="Run a service, as the original did: -e webhook, -e worker.",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="The configuration file for -e (default: config.yml where it exists).",
)
@click.version_option(package_name="sebastian-allocator", prog_name="sebastian")
@click.pass_context
def main(ctx: click.Context, service: str | None, config: Path | None) -> None:
    """Give each waiting customer chat of Qiscus Omnichannel to an agent who is online and free.

    Try it with nothing to install or configure: sebastian dev
    """
    if ctx.invoked_subcommand is not None:
        return
    if service is None:
        click.echo(ctx.get_help())
        return
    module = importlib.import_module(f"sebastian_apps.{service}.main")
    arguments = [] if config is None else ["--config", str(config)]
    module.main.main(arguments, prog_name=f"sebastian-{service}")


if __name__ == "__main__":
    main()
