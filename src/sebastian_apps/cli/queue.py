"""`sebastian queue`: the waiting line, and a hand on it."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sebastian_apps.entry.options import ROOM, HintingGroup, config_option, json_option
from sebastian_apps.entry.run import actor, print_json, run, tell
from sebastian_apps.printable import as_argument

if TYPE_CHECKING:
    from sebastian_apps.wording import Phrases
    from sebastian_core.allocator import Allocator
    from sebastian_core.domain.explanation import WaitWhy
    from sebastian_core.domain.ids import RoomId
    from sebastian_core.domain.manual import ManualResult
    from sebastian_core.ports.journal import Summary
    from sebastian_core.usecases.explain import ExplainedLine


@click.group(cls=HintingGroup, invoke_without_command=True)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many chats."
)
@json_option
@config_option
@click.pass_context
def queue(ctx: click.Context, limit: int, as_json: bool, config: Path | None) -> None:
    """Show the waiting line, oldest first, and why each chat is not given yet.

    Example: sebastian queue --limit 10
    """
    if ctx.invoked_subcommand is not None:
        return

    async def look(allocator: Allocator) -> tuple[ExplainedLine, Summary]:
        alert = allocator.rules.alert_refusals
        return await allocator.explain.line(limit), await allocator.journal.summary(alert)

    line, summary = run(config, look)
    if as_json:
        print_json(_document(line, summary))
    else:
        _print(line, summary)


@queue.command()
@click.argument("room", type=ROOM, required=False)
@click.option("--stuck", is_flag=True, help="All that Qiscus refused again and again.")
@click.option("--all", "all_refused", is_flag=True, help="All that Qiscus refused.")
@config_option
def release(room: RoomId | None, stuck: bool, all_refused: bool, config: Path | None) -> None:
    """Make a chat ready at once: it is tried again without delay, at its place in the line.

    With --stuck or --all, all chats that Qiscus refused: when what it refused them for is mended.
    Chats in doubt are left out then; a reading of their room settles them.

    Example: sebastian queue release 68303333
    """
    if [room is not None, stuck, all_refused].count(True) != 1:
        raise click.UsageError("Name one ROOM, or --stuck, or --all.")
    if room is None:
        _release_refused(config, is_stuck=stuck)
    else:
        _release_one(room, config)


def _release_refused(config: Path | None, *, is_stuck: bool) -> None:
    from sebastian_apps.wording import counted

    async def work(allocator: Allocator) -> int:
        times = allocator.rules.alert_refusals if is_stuck else 1
        return await allocator.manual.release.refused(times, actor=actor())

    released = run(config, work)
    are = "is" if released == 1 else "are"
    click.echo(f"{counted(released, 'chat')} {are} ready; all keep their places.")


def _release_one(room: RoomId, config: Path | None) -> None:
    async def work(allocator: Allocator) -> ManualResult:
        return await allocator.manual.release(room, actor=actor())

    handled = run(config, work)
    done = f"Room {room} is ready; it keeps its place."
    tell(handled.is_done, done if handled.is_done else _not_done(room, handled))


@queue.command()
@click.argument("room", type=ROOM)
@config_option
def drop(room: RoomId, config: Path | None) -> None:
    """Take a chat out of the line. It comes back when its customer writes again.

    Example: sebastian queue drop 68303333
    """

    async def work(allocator: Allocator) -> ManualResult:
        return await allocator.manual.drop(room, actor=actor())

    handled = run(config, work)
    done = f"Room {room} is out of the line, until its customer writes again."
    tell(handled.is_done, done if handled.is_done else _not_done(room, handled))


def _not_done(room: RoomId, handled: ManualResult) -> str:
    from sebastian_core.domain.manual import ManualOutcome

    agent = handled.chat.agent_id if handled.chat else None
    match handled.outcome:
        case ManualOutcome.NO_CHAT:
            see = f"See: sebastian why {as_argument(room)}"
            return f"Room {room} does not wait: it has no live chat. {see}"
        case ManualOutcome.BEING_GIVEN:
            return f"Room {room} is being given to agent {agent} right now; look again in 10 s."
        case _:
            return f"Room {room} is with agent {agent}: resolve or move it in Qiscus."


def _print(line: ExplainedLine, summary: Summary) -> None:
    from sebastian_apps.cli.tables import print_table
    from sebastian_apps.wording import Phrases, duration, left_aside, local_time, why_not_yet

    if summary.left_aside:
        click.echo(left_aside(summary.left_aside), err=True)
    if not line.entries:
        click.echo("Nothing waits.")
        return
    teller = Phrases(line.at, local_time(line.at).tzinfo or UTC)
    rows = [
        [
            waiting.place,
            chat.room_id,
            duration(line.at - chat.arrived_at),
            "" if chat.needs.channel_id is None else chat.needs.channel_id,
            chat.source or "",
            why_not_yet(chat, waiting) + _until(waiting, teller),
        ]
        for chat, waiting in line.entries
    ]
    print_table(["place", "room", "waits", "channel", "source", "why not yet"], rows)
    more = f", {len(line.entries)} shown" if summary.waiting > len(line.entries) else ""
    click.echo(
        f"{summary.waiting} waiting{more}: {summary.ready} ready, {summary.doubtful} in doubt, "
        f"{summary.stuck} stuck"
    )


def _until(waiting: WaitWhy, teller: Phrases) -> str:
    if waiting.until is None:
        return ""
    is_over = waiting.until <= teller.now
    return ", any moment now" if is_over else f", next look at {teller.moment(waiting.until)}"


def _document(line: ExplainedLine, summary: Summary) -> dict[str, Any]:
    from sebastian_apps.wording import why_not_yet

    return {
        "at": line.at.isoformat(),
        "waiting": summary.waiting,
        "ready": summary.ready,
        "doubtful": summary.doubtful,
        "stuck": summary.stuck,
        "left_aside": summary.left_aside,
        "line": [
            {
                "place": waiting.place,
                "room_id": chat.room_id,
                "arrived_at": chat.arrived_at.isoformat(),
                "waits_seconds": round((line.at - chat.arrived_at).total_seconds(), 3),
                "channel_id": chat.needs.channel_id,
                "source": chat.source,
                "refusals": chat.refusals,
                "hold": waiting.hold.name.lower(),
                "until": waiting.until.isoformat() if waiting.until else None,
                "why": why_not_yet(chat, waiting),
            }
            for chat, waiting in line.entries
        ],
    }
