"""A person gives a waiting chat to an agent of their choice."""

from __future__ import annotations

from functools import partial

from attrs import frozen

from sebastian_core.domain.agent import CapacityRules
from sebastian_core.domain.by_hand import ByHand, HandedOver, Wish, hand_over
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.assign_chat import AssignChat, Ended
from sebastian_core.usecases.known_roster import KnownRoster


@frozen(kw_only=True)
class GivenByHand:
    """What became of the wish, and, where a slot was taken, how the call to the platform ended."""

    handed: HandedOver
    ended: Ended | None = None


class AssignByHand:
    """Reserves a slot of the chosen agent, counted like any other, then carries it out.

    `assign_chat` should not verify: the person knows better. Its process may die at any moment: the
    reservation is settled from its deadline on like every other.
    """

    def __init__(
        self,
        room_repo: RoomRepo,
        roster: KnownRoster,
        assign_chat: AssignChat,
        clock: Clock,
        capacities: CapacityRules,
        rules: Rules,
    ) -> None:
        self._room_repo = room_repo
        self._roster = roster
        self._assign_chat = assign_chat
        self._clock = clock
        self._capacities = capacities
        self._rules = rules

    async def __call__(self, room_id: RoomId, wish: Wish) -> GivenByHand:
        """Assign, or tell why not; raises StoreUnavailable if the slot is not surely taken."""
        reserving_from = self._clock.monotonic()
        roster = await self._roster.roster()
        decided = await self._room_repo.decide_on_floor(
            room_id, partial(hand_over, wish, roster, self._capacities, self._rules)
        )
        handed = decided.answer
        if handed.outcome is not ByHand.DONE or handed.reservation is None:
            return GivenByHand(handed=handed)
        ended = await self._assign_chat(handed.reservation, reserving_from)
        return GivenByHand(handed=handed, ended=ended)
