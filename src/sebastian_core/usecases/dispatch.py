"""Look at the line and give what can be given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from attrs import field, frozen

from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.policy import LeastLoaded, Policy
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.roster import Roster
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.assign import AssignChat, AssignmentOutcome, AssignmentResult
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.roster_cache import RosterCache

BATCH = 100
"""How many chats one pass reserves at most (measured: larger batches gain little)."""


@frozen(kw_only=True)
class DispatchRules:
    """What a dispatch chooses by."""

    capacities: CapacityRules = field(factory=CapacityRules)
    policy: Policy = field(factory=LeastLoaded)
    rules: Rules = field(factory=Rules)
    match_channels: bool = True
    presence_max_age: timedelta = timedelta(seconds=30)


class Dispatch:
    """Takes permits, reserves at most that many chats, and starts their calls at once.

    Two dispatches of one process do not overlap; those of several processes may. `on_ended` is told
    of every assignment that ended, `on_no_roster` once if nobody has read the agents yet.
    """

    def __init__(
        self,
        room_repo: RoomRepo,
        roster: RosterCache,
        assign_chat: AssignChat,
        breaker: CircuitBreaker,
        clock: Clock,
        rules: DispatchRules,
        *,
        on_ended: Callable[[AssignmentResult], None] = lambda ended: None,
        on_plan_refused: Callable[[Exception], None] = lambda error: None,
        on_no_roster: Callable[[], None] = lambda: None,
    ) -> None:
        self._room_repo = room_repo
        self._roster = roster
        self._assign_chat = assign_chat
        self._breaker = breaker
        self._clock = clock
        self._rules = rules
        self._on_ended = on_ended
        self._on_plan_refused = on_plan_refused
        self._on_no_roster: Callable[[], None] | None = on_no_roster
        self._under_way: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._wants_permits = False
        self._granted = 0
        self._plan: Matcher | None = None

    async def __call__(self, roster_within_seconds: float = 0.0) -> int:
        """Reserve until nothing can be reserved or no permit is left; how many chats.

        A pass that uses fewer permits than it has found no more to give: none follows it. A roster
        that was asked for within so many seconds will do. Raises StoreUnavailable while the
        database is away.
        """
        async with self._one_at_a_time:
            total = 0
            while reserved := await self._pass(roster_within_seconds):
                total += reserved
                if reserved < self._granted:
                    break
            self._breaker.permits.busy = total > 0 or self._wants_permits
            return total

    @property
    def under_way(self) -> int:
        """How many calls are under way."""
        return len(self._under_way)

    def seconds_until_permit(self) -> float | None:
        """How long until another look makes sense; None if the last one did not lack permits."""
        if not self._wants_permits:
            return None
        return self._breaker.seconds_until_allowed(self._assign_chat.calls)

    async def finish(self, timeout_seconds: float) -> int:
        """Wait for the calls under way; how many are still under way after the timeout."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=timeout_seconds)
        return len(self._under_way)

    async def _pass(self, roster_within_seconds: float) -> int:
        calls = self._assign_chat.calls
        permits = self._breaker.take(BATCH, calls)
        self._wants_permits = not permits
        self._granted = permits
        if not permits:
            return 0
        reserving_from = self._clock.monotonic()
        reservations: tuple[Reservation, ...] = ()
        try:
            reservations = await self._reserve(permits, roster_within_seconds)
        finally:
            self._breaker.permits.give_back(permits - len(reservations), calls)
        for reservation in reservations:
            self._start(reservation, reserving_from)
        return len(reservations)

    async def _reserve(self, permits: int, roster_within_seconds: float) -> tuple[Reservation, ...]:
        roster = await self._roster.roster(roster_within_seconds)
        if roster is None:
            if self._on_no_roster is not None:
                self._on_no_roster()
                self._on_no_roster = None
            return ()
        return await self._room_repo.reserve(self._plan_for(roster), limit=permits)

    def _plan_for(self, roster: Roster) -> Matcher:
        """The same plan for as long as the roster is the same: its stores may rely on that."""
        if self._plan is None or self._plan.roster is not roster:
            self._plan = Matcher(
                roster=roster,
                capacities=self._rules.capacities,
                policy=self._rules.policy,
                rules=self._rules.rules,
                match_channels=self._rules.match_channels,
                max_age=None if self._assign_chat.verify else self._rules.presence_max_age,
                on_refused=self._on_plan_refused,
            )
        return self._plan

    def _start(self, reservation: Reservation, reserving_from: float) -> None:
        task = asyncio.create_task(self._carry_out(reservation, reserving_from))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry_out(self, reservation: Reservation, reserving_from: float) -> None:
        try:
            ended = await self._assign_chat(reservation, reserving_from)
        except Exception as error:
            self._breaker.permits.end()
            self._on_ended(
                AssignmentResult(reservation, AssignmentOutcome.LOST, f"unexpected: {error!r}")
            )
            raise
        self._breaker.permits.end()
        self._on_ended(ended)
