"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sebastian_apps.runtime.watchdog import PATIENCE_SECONDS

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """`-c`: the configuration file, also when it was named before the subcommand."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        callback=_nearest,
        help="The configuration file (default: config.yml where it exists).",
    )(command)


def patience_option(command: Command) -> Command:
    """`--patience`: for how long a service may be stuck."""
    return click.option(
        "--patience",
        type=click.FloatRange(1, 3600),
        default=PATIENCE_SECONDS,
        show_default=True,
        help="After so many seconds a process that hangs ends itself with 70, to be started again.",
    )(command)


def json_option(command: Command) -> Command:
    """`--json`: the answer for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _nearest(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    parent = ctx.parent
    while value is None and parent is not None:
        value = parent.params.get(param.name or "")
        parent = parent.parent
    return value


class HintingGroup(click.Group):
    """A group that tells, of a misspelt command, which one was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that is not there fails with a hint."""
        name = str(args[0])
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from sebastian_apps.settings.nearest import nearest_of

            names = self.list_commands(ctx)
            meant = nearest_of(name, names)
            hint = f"Did you mean {meant!r}?" if meant else f"There are: {', '.join(names)}."
            ctx.fail(f"There is no command {name!r}. {hint}")
        return super().resolve_command(ctx, args)


class RoomParam(click.ParamType):  # type: ignore[type-arg]
    """A room id as Qiscus writes it."""

    name = "room"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The room id; fails with what would be right."""
        from sebastian_core.domain.errors import InvalidInput
        from sebastian_core.domain.ids import parse_room_id

        try:
            return parse_room_id(value)
        except InvalidInput as error:
            self.fail(str(error), param, ctx)


class AgentParam(click.ParamType):  # type: ignore[type-arg]
    """An agent's id at Qiscus."""

    name = "agent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; fails with where to find it."""
        try:
            return _agent_id.convert(value, param, ctx)
        except click.BadParameter:
            text = f"{value!r} is not an agent's id, which is a number. See: sebastian agents"
            self.fail(text, param, ctx)


_agent_id = click.IntRange(1, 2**63 - 1)

ROOM = RoomParam()
AGENT = AgentParam()
