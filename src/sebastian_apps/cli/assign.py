"""`sebastian assign`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sebastian_apps.entry.options import AGENT, ROOM, config_option
from sebastian_apps.entry.run import actor, run, tell
from sebastian_apps.printable import as_argument

if TYPE_CHECKING:
    from sebastian_core.allocator import Allocator
    from sebastian_core.domain.ids import AgentId, RoomId
    from sebastian_core.usecases.manual import GivenByHand


@click.command()
@click.argument("room", type=ROOM)
@click.argument("agent", type=AGENT)
@click.option("--over", is_flag=True, help="Even where it exceeds the agent's capacity.")
@click.option("--offline", is_flag=True, help="Even where the agent is offline.")
@config_option
def assign(room: RoomId, agent: AgentId, over: bool, offline: bool, config: Path | None) -> None:
    """Give a waiting chat to an agent, wherever it stands in the line. It counts as their load.

    Example: sebastian assign 68303333 12345
    """

    async def work(allocator: Allocator) -> GivenByHand:
        from sebastian_core.domain.manual import AssignRequest

        wish = AssignRequest(agent_id=agent, actor=actor(), over=over, offline=offline)
        return await allocator.manual.assign(room, wish)

    given = run(config, work, needs=("db", "redis", "qiscus"))
    tell(_is_done(given), _sentence(room, agent, given))


def _is_done(given: GivenByHand) -> bool:
    from sebastian_core.usecases.assign import AssignmentOutcome

    return given.ended is not None and given.ended.ending is AssignmentOutcome.ASSIGNED


def _sentence(room: RoomId, agent: AgentId, given: GivenByHand) -> str:
    from sebastian_core.usecases.assign import AssignmentOutcome

    handed, ended = given.handed, given.ended
    if ended is None:
        return _refusal(room, agent, given)
    if ended.ending is AssignmentOutcome.ASSIGNED:
        held = f"{handed.load + 1} of {handed.capacity}"
        return f"Room {room} is with agent {agent}, who now holds {held}."
    if ended.ending in (AssignmentOutcome.DOUBTED, AssignmentOutcome.LOST):
        return (
            f"Room {room} may be with agent {agent}: {ended.reason}. "
            f"A worker finds out; see: sebastian why {as_argument(room)}"
        )
    return f"Room {room} was not given to agent {agent}, and waits again: {ended.reason}."


def _refusal(room: RoomId, agent: AgentId, given: GivenByHand) -> str:
    from sebastian_core.domain.manual import ManualOutcome

    handed = given.handed
    holder = handed.chat.agent_id if handed.chat else None
    match handed.outcome:
        case ManualOutcome.FULL:
            held = f"{handed.load} of {handed.capacity}"
            return f"Agent {agent} holds {held} chats already. Exceed it with --over."
        case ManualOutcome.OFFLINE:
            return f"Agent {agent} is offline. Give it all the same with --offline."
        case ManualOutcome.UNKNOWN_AGENT:
            return f"Agent {agent} is not in the list of Qiscus. See: sebastian agents"
        case ManualOutcome.NOT_READ:
            return "The agents have not been read: do a worker and Redis run? sebastian doctor"
        case ManualOutcome.ASSIGNED:
            return f"Room {room} is with agent {holder} already: move it in Qiscus."
        case ManualOutcome.BEING_GIVEN:
            return f"Room {room} is being given to agent {holder} right now; look again in 10 s."
        case _:
            see = f"See: sebastian why {as_argument(room)}"
            return f"Room {room} does not wait: it has no live chat. {see}"
