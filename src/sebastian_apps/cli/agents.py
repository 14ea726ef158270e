"""`sebastian agents`: who is there, what they hold, and how much they may."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sebastian_apps.entry.options import AGENT, HintingGroup, config_option, json_option
from sebastian_apps.entry.run import actor, print_json, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sebastian_core.allocator import Allocator
    from sebastian_core.domain.agent_loads import AgentLoads
    from sebastian_core.domain.ids import AgentId
    from sebastian_core.domain.roster import Roster
    from sebastian_core.ports.agent_settings import SettingChange


TAKE_BACK = "default"


class Capacity(click.ParamType):  # type: ignore[type-arg]
    """A number of chats, or `default` for what holds without it."""

    name = "N|default"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """The number, or `default` itself."""
        if value == TAKE_BACK:
            return TAKE_BACK
        try:
            return int(value)
        except ValueError:
            self.fail(f"expected a whole number or {TAKE_BACK!r}, found {value!r}", param, ctx)


@click.group(cls=HintingGroup, invoke_without_command=True)
@json_option
@config_option
@click.pass_context
def agents(ctx: click.Context, as_json: bool, config: Path | None) -> None:
    """Show all agents: online or not, what they hold and may hold, who is paused.

    Example: sebastian agents
    """
    if ctx.invoked_subcommand is None:
        rows, roster = run(config, _look)
        if as_json:
            read_at = roster.read_at.isoformat() if roster else None
            print_json({"read_at": read_at, "agents": rows})
        else:
            _print(rows, roster)


@agents.command()
@click.argument("agent", type=AGENT)
@config_option
def pause(agent: AgentId, config: Path | None) -> None:
    """Give an agent no new chats for now; they keep those they have.

    Example: sebastian agents pause 12345
    """
    _set_paused(agent, config, paused=True)
    click.echo(f"Agent {agent} is paused. Undo it with: sebastian agents resume {agent}")


@agents.command()
@click.argument("agent", type=AGENT)
@config_option
def resume(agent: AgentId, config: Path | None) -> None:
    """Let a paused agent take part again.

    Example: sebastian agents resume 12345
    """
    _set_paused(agent, config, paused=False)
    click.echo(f"Agent {agent} takes part.")


@agents.command()
@click.argument("agent", type=AGENT, required=False)
@click.argument("number", type=Capacity(), required=False)
@click.option("--default", "default", type=Capacity(), help="For all agents without their own.")
@config_option
def capacity(
    agent: AgentId | None,
    number: int | str | None,
    default: int | str | None,
    config: Path | None,
) -> None:
    """Set how many chats an agent may hold at once; it beats the configuration, from now on.

    The word `default` instead of a number takes it back.

    Example: sebastian agents capacity 12345 5

    Example: sebastian agents capacity --default 4
    """
    if (agent is None) == (default is None) or (agent is not None and number is None):
        raise click.UsageError("Say whose: AGENT and a number, or --default and a number.")
    wanted = number if agent is not None else default
    wanted = None if wanted == TAKE_BACK else wanted

    async def work(allocator: Allocator) -> None:
        if agent is None:
            await allocator.manual.set_capacity.of_all_others(_number(wanted), actor=actor())
        else:
            await allocator.manual.set_capacity.of_agent(agent, _number(wanted), actor=actor())

    run(config, work)
    whose = "Each agent without a capacity of their own" if agent is None else f"Agent {agent}"
    what = "as many chats as configured" if wanted is None else f"{wanted} at once"
    click.echo(f"{whose} may hold {what}.")


@agents.command("log")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
@json_option
@config_option
def changes(limit: int, as_json: bool, config: Path | None) -> None:
    """Show who paused, resumed or changed capacities, newest first.

    Example: sebastian agents log
    """

    async def work(allocator: Allocator) -> Sequence[SettingChange]:
        return await allocator.agent_settings.setting_changes(limit)

    found = run(config, work)
    if as_json:
        print_json([_steering(each) for each in found])
        return
    if not found:
        click.echo("Nobody has paused, resumed or given a capacity to anybody yet.")
        return
    from sebastian_apps.cli.tables import print_table
    from sebastian_apps.wording import local_time

    rows = [[f"{local_time(s.at):%Y-%m-%d %H:%M:%S}", s.actor, _changed(s)] for s in found]
    print_table(["when", "who", "what"], rows)


async def _look(allocator: Allocator) -> tuple[list[dict[str, Any]], Roster | None]:
    agent_loads, roster = (
        await allocator.agent_settings.agent_loads(),
        await allocator.roster.roster(),
    )
    known = roster.agents if roster else {}
    ids = sorted(
        {*known, *agent_loads.loads, *(i for i, s in agent_loads.settings.items() if s.paused)}
    )
    return [_agent(agent_id, allocator, agent_loads, roster) for agent_id in ids], roster


def _agent(
    agent_id: AgentId, allocator: Allocator, agent_loads: AgentLoads, roster: Roster | None
) -> dict[str, Any]:
    from sebastian_core.domain.agent_loads import AgentSetting

    presence = roster.agents.get(agent_id) if roster else None
    setting = agent_loads.settings.get(agent_id, AgentSetting())
    return {
        "id": agent_id,
        "name": presence.name if presence else "",
        "online": bool(presence and presence.online),
        "listed": presence is not None,
        "load": agent_loads.loads.get(agent_id, 0),
        "capacity": allocator.capacities.of(agent_id, setting, agent_loads),
        "paused": setting.paused,
        "channels": sorted(presence.channels) if presence else [],
    }


def _print(rows: list[dict[str, Any]], roster: Roster | None) -> None:
    from sebastian_apps.cli.tables import print_table
    from sebastian_apps.wording import local_time

    if not rows:
        click.echo("No agents are known yet. A worker reads them: is one running? sebastian doctor")
        return
    table = [
        [
            row["id"],
            row["name"],
            _presence(row),
            f"{row['load']} of {row['capacity']}",
            " ".join(map(str, row["channels"])),
        ]
        for row in rows
    ]
    print_table(["agent", "name", "presence", "holds", "channels"], table)
    online = [row for row in rows if row["online"]]
    free = sum(max(0, row["capacity"] - row["load"]) for row in online if not row["paused"])
    read_at = f", read at {local_time(roster.read_at):%H:%M:%S}" if roster else ""
    click.echo(f"{len(online)} of {len(rows)} online, {free} slots free{read_at}")


def _presence(row: dict[str, Any]) -> str:
    if not row["listed"]:
        word = "not listed"
    else:
        word = "online" if row["online"] else "offline"
    return f"{word}, paused" if row["paused"] else word


def _set_paused(agent: AgentId, config: Path | None, *, paused: bool) -> None:
    async def work(allocator: Allocator) -> None:
        await allocator.manual.pause(agent, paused=paused, actor=actor())

    run(config, work)


def _number(wanted: int | str | None) -> int | None:
    return wanted if isinstance(wanted, int) else None


def _changed(steering: SettingChange) -> str:
    whose = "all others" if steering.agent_id is None else f"agent {steering.agent_id}"
    return ", ".join(f"{whose}: {_words(word, now)}" for word, now in steering.change.items())


def _words(word: str, now: object) -> str:
    if word == "paused":
        return "paused" if now else "resumed"
    return f"capacity {TAKE_BACK if now is None else now}"


def _steering(steering: SettingChange) -> dict[str, Any]:
    return {
        "at": steering.at.isoformat(),
        "actor": steering.actor,
        "agent_id": steering.agent_id,
        "change": dict(steering.change),
    }
