"""What a person may do from the page; each is recorded with who it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, tzinfo
from typing import Any

from attrs import frozen

from sebastian_apps.wording import explained
from sebastian_core.allocator import Manual
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.explanation import Explanation
from sebastian_core.domain.ids import AgentId, RoomId, parse_agent_id, parse_room_id
from sebastian_core.domain.manual import (
    AssignRequest,
    ManualAssignment,
    ManualOutcome,
    ManualResult,
)

Wanted = Mapping[str, Any]


@frozen(kw_only=True)
class Done:
    """What became of it, in a sentence."""

    done: bool
    text: str


class FloorActions:
    """Carries out what the page asks for, by name, in the name of the one who asks.

    Without the platform's credentials (`can_assign`) nothing can be assigned.
    """

    def __init__(self, manual: Manual, actor: str, *, can_assign: bool) -> None:
        self._manual = manual
        self._actor = actor
        self._can_assign = can_assign
        self._by_name: Mapping[str, Callable[[Wanted], Awaitable[Done]]] = {
            "release": self._release,
            "drop": self._drop,
            "assign": self._assign,
            "pause": self._pause,
            "resume": self._resume,
            "capacity": self._capacity,
            "default-capacity": self._default_capacity,
        }

    async def __call__(self, name: str, wanted: Wanted) -> Done:
        """Do it; raises InvalidInput for what cannot be meant, StoreUnavailable as all do."""
        action = self._by_name.get(name)
        if action is None:
            raise InvalidInput("action", f"must be one of {', '.join(self._by_name)}")
        return await action(wanted)

    async def _release(self, wanted: Wanted) -> Done:
        room_id = parse_room_id(wanted.get("room"))
        return _handled(await self._manual.release(room_id, actor=self._actor), room_id, "is ready")

    async def _drop(self, wanted: Wanted) -> Done:
        room_id = parse_room_id(wanted.get("room"))
        handled = await self._manual.drop(room_id, actor=self._actor)
        return _handled(handled, room_id, "was taken out of the line")

    async def _assign(self, wanted: Wanted) -> Done:
        if not self._can_assign:
            raise InvalidInput("action", "needs qiscus.app_id and qiscus.secret_key")
        room_id = parse_room_id(wanted.get("room"))
        wish = AssignRequest(
            agent_id=_agent_id(wanted),
            actor=self._actor,
            over=wanted.get("over") is True,
            offline=wanted.get("offline") is True,
        )
        given = await self._manual.assign(room_id, wish)
        if given.ended is None:
            return Done(done=False, text=_not_handed(given.handed, room_id))
        reason = f": {given.ended.reason}" if given.ended.reason else ""
        is_done = given.ended.ending == "assigned"
        return Done(done=is_done, text=f"Room {room_id} was {given.ended.ending}{reason}.")

    async def _pause(self, wanted: Wanted) -> Done:
        agent_id = _agent_id(wanted)
        await self._manual.pause(agent_id, paused=True, actor=self._actor)
        return Done(done=True, text="Paused: no new chats until you resume.")

    async def _resume(self, wanted: Wanted) -> Done:
        agent_id = _agent_id(wanted)
        await self._manual.pause(agent_id, paused=False, actor=self._actor)
        return Done(done=True, text="Takes part again.")

    async def _capacity(self, wanted: Wanted) -> Done:
        agent_id, capacity = _agent_id(wanted), _capacity_in(wanted)
        await self._manual.set_capacity.of_agent(agent_id, capacity, actor=self._actor)
        told = "the default again" if capacity is None else str(capacity)
        return Done(done=True, text=f"The capacity is {told}.")

    async def _default_capacity(self, wanted: Wanted) -> Done:
        capacity = _capacity_in(wanted)
        await self._manual.set_capacity.of_all_others(capacity, actor=self._actor)
        told = "that of the configuration again" if capacity is None else str(capacity)
        return Done(done=True, text=f"The default capacity is {told}.")


@frozen(kw_only=True)
class Told:
    """Why a room is where it is: the same lines as `sebastian why` prints."""

    room: RoomId
    lines: tuple[str, ...]
    waits: bool = False


def told(explanation: Explanation, zone: tzinfo = UTC) -> Told:
    """The explanation as the page shows it, with times of this zone."""
    return Told(
        room=explanation.room_id,
        lines=tuple(explained(explanation, zone)),
        waits=explanation.waiting is not None,
    )


def _agent_id(wanted: Wanted) -> AgentId:
    return parse_agent_id(wanted.get("agent"))


def _capacity_in(wanted: Wanted) -> int | None:
    capacity = wanted.get("capacity")
    if capacity is not None and (isinstance(capacity, bool) or not isinstance(capacity, int)):
        raise InvalidInput("capacity", "must be a whole number, or null for what held before")
    return capacity


def _handled(handled: ManualResult, room_id: RoomId, done: str) -> Done:
    if handled.is_done:
        return Done(done=True, text=f"Room {room_id} {done}.")
    return Done(done=False, text=f"Room {room_id}: {handled.outcome}.")


def _not_handed(handed: ManualAssignment, room_id: RoomId) -> str:
    if handed.outcome is ManualOutcome.FULL:
        held = f"{handed.load} of {handed.capacity}"
        return f"Room {room_id}: {handed.outcome} (holds {held})."
    return f"Room {room_id}: {handed.outcome}."
