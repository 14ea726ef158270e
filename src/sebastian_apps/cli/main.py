"""`sebastian`: everything that is not a long-running service, and a door to those that are."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from sebastian_apps.entry.options import HintingGroup, config_option
from sebastian_apps.entry.printing import Program

COMMANDS: Mapping[str, tuple[str, str]] = {
    "dev": ("sebastian_apps.dev.command:dev", "Run everything here, with nothing to install."),
    "config": ("sebastian_apps.cli.config:config", "Write, check and describe the configuration."),
    "migrate": ("sebastian_apps.cli.migrate:migrate", "Create or update the database tables."),
    "account": ("sebastian_apps.cli.account:account", "Change whose tables these are."),
    "set-webhook": (
        "sebastian_apps.cli.set_webhook:set_webhook",
        "Register both webhooks at Qiscus.",
    ),
    "doctor": ("sebastian_apps.cli.doctor:doctor", "Find what is wrong, and what helps."),
    "queue": ("sebastian_apps.cli.queue:queue", "Show the waiting line; release or drop a chat."),
    "agents": ("sebastian_apps.cli.agents:agents", "Show the agents; pause, resume, capacity."),
    "assign": ("sebastian_apps.cli.assign:assign", "Give a waiting chat to an agent by hand."),
    "policy": ("sebastian_apps.cli.policy:policy", "Try a policy of yours again that hung."),
    "why": ("sebastian_apps.cli.why:why", "Tell why a chat was given, or why it waits."),
    "fake-qiscus": (
        "sebastian_apps.fake_qiscus.main:command",
        "Run a stand-in for the platform.",
    ),
}
"""The commands by name: where each lives and what it promises, so that help loads none of them."""

DEBUG = "--debug"


class LazyGroup(HintingGroup, Program):
    """A group that imports a command only when it is used, and tells failures in one sentence."""

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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `--debug` out wherever it stands: people add it at the end."""
        options = args[: args.index("--")] if "--" in args else args
        ctx.meta[DEBUG] = DEBUG in options
        return super().parse_args(ctx, [arg for arg in args if arg != DEBUG])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; without `--debug` a failure is a sentence, not a traceback."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            from sebastian_apps.entry.startup import without_secrets

            if ctx.meta[DEBUG]:
                _mask_traceback(ctx)
                raise
            raise click.ClickException(without_secrets(_sentence(error))) from error


def _sentence(error: Exception) -> str:
    from sebastian_apps.printable import printable_lines
    from sebastian_core.domain.errors import SebastianError

    told = printable_lines(str(error))
    if isinstance(error, SebastianError):
        return told
    return f"{type(error).__name__}: {told}\nThis should not happen; {DEBUG} shows where it did."


def _mask_traceback(ctx: click.Context) -> None:
    from sebastian_apps.entry.startup import SETTINGS
    from sebastian_apps.observability.logging import Redactor
    from sebastian_apps.observability.tracebacks import hide_in_tracebacks

    if settings := ctx.meta.get(SETTINGS):
        hide_in_tracebacks(Redactor.for_settings(settings))


@click.group(cls=LazyGroup, invoke_without_command=True)
@click.option(
    "-e",
    "service",
    type=click.Choice(["webhook", "worker"]),
    help="Run a service, as the original did: -e webhook, -e worker.",
)
@config_option
@click.option(DEBUG, is_flag=True, expose_value=False, help="Show tracebacks.")
@click.version_option(package_name="sebastian-allocator", prog_name="sebastian")
@click.pass_context
def main(ctx: click.Context, service: str | None, config: Path | None) -> None:
    """Give each waiting customer chat of Qiscus Omnichannel to an agent who is online and free.

    Try it with nothing to install or configure: sebastian dev

    Set it up: sebastian config init, then sebastian doctor
    """
    if ctx.invoked_subcommand is not None:
        return
    if service is None:
        click.echo(ctx.get_help())
        return
    module = importlib.import_module(f"sebastian_apps.entry.{service}")
    arguments = [] if config is None else ["--config", str(config)]
    module.main.main(arguments, prog_name=f"sebastian-{service}")


if __name__ == "__main__":
    main()
