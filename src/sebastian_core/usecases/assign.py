"""One reservation, carried to the platform."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from attrs import frozen

from sebastian_core.domain.chat import Doubt
from sebastian_core.domain.errors import PlatformRefused, PlatformUnavailable, StoreUnavailable
from sebastian_core.domain.ids import AgentId
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.platform import Answer, Presences
from sebastian_core.domain.reservation import (
    FenceOutcome,
    Reservation,
    confirm,
    doubt_attempt,
    pass_over,
    refuse,
    release,
    release_doubtful,
)
from sebastian_core.domain.room import Decided, Decision
from sebastian_core.domain.roster import Presence
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.roster_cache import RosterCache

WRITE_PAUSE_SECONDS = 0.2


class AssignmentOutcome(StrEnum):
    """How an assignment ended."""

    ASSIGNED = "assigned"
    RELEASED = "released"
    PASSED_OVER = "passed over"
    REFUSED = "refused"
    DOUBTED = "doubted"
    LOST = "lost"


@frozen
class AssignmentResult:
    """How one reservation ended, and why; `assigned_at` is the moment that the history tells.

    It is None where nothing was assigned, or where an earlier write, whose answer was lost, did it.
    """

    reservation: Reservation
    ending: AssignmentOutcome
    reason: str = ""
    assigned_at: datetime | None = None

    @property
    def is_back_in_line(self) -> bool:
        """Whether the chat may be given again at once."""
        return self.ending in (AssignmentOutcome.RELEASED, AssignmentOutcome.PASSED_OVER)


class AssignChat:
    """Asks whether the agent is online and eligible, assigns, and writes down what became of it.

    Every end of the call leads to exactly one fenced decision: confirmed, released with its place,
    refused, or kept until it is settled. With `verify` off the reading is left out.
    """

    def __init__(
        self,
        room_repo: RoomRepo,
        roster: RosterCache,
        client: QiscusClient,
        breaker: CircuitBreaker,
        clock: Clock,
        rules: Rules,
        *,
        verify: bool = True,
    ) -> None:
        self._room_repo = room_repo
        self._roster = roster
        self._client = client
        self._breaker = breaker
        self._clock = clock
        self._rules = rules
        self.verify = verify

    @property
    def calls(self) -> int:
        """How many platform calls a fresh chat costs."""
        return 2 if self.verify else 1

    async def __call__(self, reservation: Reservation, reserving_from: float) -> AssignmentResult:
        """Carry out one reservation; `reserving_from` is the clock before `reserve` was sent."""
        if not self._fits(reserving_from):
            return await self._release(reservation, "no time left for the call")
        if self.verify:
            ended = await self._verify(reservation)
            if ended is not None:
                return ended
            if not self._fits(reserving_from):
                return await self._refuse(reservation, "the reading left no time for the call")
        return await self._attempt(reservation, reserving_from)

    def _fits(self, reserving_from: float) -> bool:
        elapsed = timedelta(seconds=self._clock.monotonic() - reserving_from)
        return elapsed + self._rules.call <= self._rules.reservation

    async def _verify(self, reservation: Reservation) -> AssignmentResult | None:
        try:
            reading = await self._client.eligible_agents(
                reservation.chat.room_id, reservation.agent_id
            )
        except (PlatformUnavailable, PlatformRefused) as error:
            return await self._not_verified(reservation, error)
        await self._roster.update(reading.seen)
        presence = _find(reservation.agent_id, reading.seen)
        if presence is None:
            return await self._pass_over(reservation, reading.seen)
        if not presence.online:
            return await self._release(reservation, "the agent is not online")
        return None

    async def _not_verified(
        self, reservation: Reservation, error: PlatformUnavailable | PlatformRefused
    ) -> AssignmentResult:
        if await self._breaker.is_account_fault(error):
            return await self._release(reservation, str(error))
        if isinstance(error, PlatformRefused):
            return await self._refused(reservation, error)
        return await self._refuse(reservation, str(error))

    async def _attempt(self, reservation: Reservation, reserving_from: float) -> AssignmentResult:
        try:
            answer = await self._assign(reservation)
        except PlatformUnavailable as error:
            if not error.surely_not_applied:
                return await self._attempt_again(reservation, reserving_from, error)
            self._breaker.note(error)
            return await self._release(reservation, str(error))
        except PlatformRefused as error:
            if await self._breaker.is_account_fault(error):
                return await self._release(reservation, str(error))
            return await self._refused(reservation, error)
        return await self._answered(reservation, answer)

    async def _attempt_again(
        self, reservation: Reservation, reserving_from: float, first: PlatformUnavailable
    ) -> AssignmentResult:
        """After an unknown end only a 2xx of the same call proves anything; the rest is settled."""
        error: PlatformUnavailable | PlatformRefused = first
        if self._fits(reserving_from):
            self._breaker.permits.charge()
            try:
                answer = await self._assign(reservation)
            except (PlatformUnavailable, PlatformRefused) as second:
                error = second
            else:
                return await self._answered(reservation, answer)
        is_outage = await self._breaker.is_account_fault(error)
        doubt = Doubt.OUTAGE if is_outage else Doubt.UNKNOWN_ANSWER
        return await self._doubt(reservation, doubt, str(error))

    async def _assign(self, reservation: Reservation) -> Answer:
        return await self._client.assign(reservation.chat.room_id, reservation.agent_id)

    async def _answered(self, reservation: Reservation, answer: Answer) -> AssignmentResult:
        if answer.agent_id not in (None, reservation.agent_id):
            return await self._doubt(reservation, Doubt.OTHER_AGENT, str(answer.agent_id))
        decided = await self._write(reservation, partial(confirm, reservation, self._rules))
        if decided is not None and decided.answer in (FenceOutcome.DONE, FenceOutcome.REPEATED):
            moments = (change.chat.assigned_at for change in decided.changes)
            return AssignmentResult(
                reservation, AssignmentOutcome.ASSIGNED, assigned_at=next(moments, None)
            )
        return AssignmentResult(
            reservation,
            AssignmentOutcome.LOST,
            "confirmed too late: resolved meanwhile, or given up",
        )

    async def _refused(self, reservation: Reservation, error: PlatformRefused) -> AssignmentResult:
        """One look at the room tells a room that waits from one that needs nobody any more."""
        self._breaker.permits.charge()
        try:
            reading = await self._client.room(reservation.chat.room_id)
        except (PlatformUnavailable, PlatformRefused) as unread:
            if await self._breaker.is_account_fault(unread):
                return await self._release(reservation, str(unread))
            return await self._refuse(reservation, str(error))
        if reading.seen.state is RoomState.WAITING:
            return await self._refuse(reservation, str(error))
        await self._write(
            reservation, partial(release_doubtful, reservation, self._rules), alters_line=True
        )
        return AssignmentResult(
            reservation, AssignmentOutcome.DOUBTED, f"{error}; the room is {reading.seen.state}"
        )

    async def _pass_over(self, reservation: Reservation, eligible: Presences) -> AssignmentResult:
        online_first = sorted(eligible, key=lambda presence: not presence.online)
        agents = [presence.agent_id for presence in online_first]
        await self._write(
            reservation, partial(pass_over, reservation, agents, self._rules), alters_line=True
        )
        return AssignmentResult(
            reservation, AssignmentOutcome.PASSED_OVER, "the agent is not eligible for the room"
        )

    async def _release(self, reservation: Reservation, reason: str) -> AssignmentResult:
        await self._write(
            reservation, partial(release, reservation, reason, self._rules), alters_line=True
        )
        return AssignmentResult(reservation, AssignmentOutcome.RELEASED, reason)

    async def _refuse(self, reservation: Reservation, reason: str) -> AssignmentResult:
        await self._write(
            reservation, partial(refuse, reservation, reason, self._rules), alters_line=True
        )
        return AssignmentResult(reservation, AssignmentOutcome.REFUSED, reason)

    async def _doubt(self, reservation: Reservation, doubt: Doubt, reason: str) -> AssignmentResult:
        await self._write(reservation, partial(doubt_attempt, reservation, doubt, self._rules))
        return AssignmentResult(reservation, AssignmentOutcome.DOUBTED, reason)

    async def _write(
        self,
        reservation: Reservation,
        decision: Decision[FenceOutcome],
        *,
        alters_line: bool = False,
    ) -> Decided[FenceOutcome] | None:
        """Write what became of the reservation; while the database is away, until the deadline.

        None if it could not be written: the reservation is then settled from its deadline on.
        """
        give_up_at = self._clock.monotonic() + self._rules.reservation.total_seconds()
        while True:
            try:
                return await self._room_repo.decide(
                    reservation.chat.room_id, decision, alters_line=alters_line
                )
            except StoreUnavailable:
                if self._clock.monotonic() > give_up_at:
                    return None
                await asyncio.sleep(WRITE_PAUSE_SECONDS)


def _find(agent_id: AgentId, presences: Presences) -> Presence | None:
    return next((each for each in presences if each.agent_id == agent_id), None)
