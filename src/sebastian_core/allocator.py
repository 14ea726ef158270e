"""The front door: every use case over one set of ports, and the loop that does the duties."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from attrs import evolve, frozen

from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.policy import LeastLoaded, Policy
from sebastian_core.domain.rate_limit import Limits
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.agent_store import AgentStore
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.journal import Journal
from sebastian_core.ports.leadership import Leadership
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.assign import AssignChat, AssignmentResult
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.dispatch import Dispatch, DispatchRules
from sebastian_core.usecases.duties import Duty, DutyResult
from sebastian_core.usecases.explain import Blocked, ExplainRoom, not_blocked
from sebastian_core.usecases.lead import Lead
from sebastian_core.usecases.manual import (
    AssignByHand,
    DropChat,
    PauseAgent,
    ReleaseChat,
    SetCapacity,
)
from sebastian_core.usecases.observer import Observer
from sebastian_core.usecases.reconcile import Reconcile
from sebastian_core.usecases.recover import Recover
from sebastian_core.usecases.refresh import RefreshAgents
from sebastian_core.usecases.roster_cache import RosterCache
from sebastian_core.usecases.run import Polling, Run
from sebastian_core.usecases.settle import SettleChat
from sebastian_core.usecases.upkeep import Upkeep
from sebastian_core.usecases.webhooks import AdmitChat, ResolveChat


@frozen(kw_only=True)
class Manual:
    """What people do by hand; each is recorded with who it was."""

    release: ReleaseChat
    drop: DropChat
    assign: AssignByHand
    pause: PauseAgent
    set_capacity: SetCapacity


class Allocator:
    """Gives waiting chats to agents, and keeps our record true: what programs and users hold.

    `async with allocator` opens its ports and runs the loop until the block ends; `step` goes
    through the loop once, for tests; `async with allocator.opened()` opens the ports alone, for a
    process that only admits, resolves or looks. Any number of allocators may share the stores.

    `every` changes the pauses of duties, by name. `opening` brackets the life of the ports.
    `name` is what other processes call this one; without one it is made up.
    """

    def __init__(
        self,
        *,
        room_repo: RoomRepo,
        agent_settings: AgentSettings,
        journal: Journal,
        leadership: Leadership,
        agent_store: AgentStore,
        job_queue: JobQueue,
        qiscus_client: QiscusClient,
        clock: Clock,
        policy: Policy | None = None,
        capacities: CapacityRules | None = None,
        rules: Rules | None = None,
        limits: Limits | None = None,
        verify: bool = True,
        match_channels: bool = True,
        presence_max_age: timedelta = timedelta(seconds=30),
        reconcile_max_age: timedelta = timedelta(hours=24),
        history_keep: timedelta = timedelta(days=90),
        observer: Observer | None = None,
        polling: Polling | None = None,
        every: Mapping[str, timedelta] | None = None,
        name: str = "",
        opening: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
        assign_chat: type[AssignChat] = AssignChat,
        blocked: Blocked = not_blocked,
    ) -> None:
        self.room_repo = room_repo
        self.agent_settings = agent_settings
        self.journal = journal
        self.leadership = leadership
        self.job_queue = job_queue
        self.clock = clock
        self.rules = rules = rules or Rules()
        self.capacities = capacities = capacities or CapacityRules()
        self.observer = observer = observer or Observer()
        self.roster = roster = RosterCache(agent_store)
        self.breaker = breaker = CircuitBreaker(qiscus_client, clock, limits)
        self.qiscus_client = client = qiscus_client
        self._opening = opening
        self._open: AsyncExitStack | None = None
        self._presence_max_age = presence_max_age

        chosen = DispatchRules(
            capacities=capacities,
            policy=policy or LeastLoaded(),
            rules=rules,
            match_channels=match_channels,
            presence_max_age=presence_max_age,
        )
        self.admit = AdmitChat(room_repo, job_queue, rules)
        self.resolve = ResolveChat(room_repo, job_queue, rules)
        self.dispatch = Dispatch(
            room_repo,
            roster,
            assign_chat(room_repo, roster, client, breaker, clock, rules, verify=verify),
            breaker,
            clock,
            chosen,
            on_ended=self._assignment_ended,
            on_plan_refused=observer.plan_refused,
            on_no_roster=observer.roster_missing,
        )
        self.explain = ExplainRoom(
            room_repo, journal, agent_settings, roster, chosen, verify=verify, blocked=blocked
        )
        by_hand = assign_chat(room_repo, roster, client, breaker, clock, rules, verify=False)
        self.manual = Manual(
            release=ReleaseChat(room_repo, job_queue, rules),
            drop=DropChat(room_repo),
            assign=AssignByHand(room_repo, roster, by_hand, clock, capacities, rules),
            pause=PauseAgent(agent_settings, job_queue, roster),
            set_capacity=SetCapacity(agent_settings, job_queue, roster),
        )
        self.settle = SettleChat(room_repo, client, breaker, job_queue, rules)
        self.refresh = RefreshAgents(room_repo, roster, client, breaker, job_queue, clock, rules)
        self.reconcile = Reconcile(
            room_repo, client, breaker, job_queue, self.settle, rules, max_age=reconcile_max_age
        )
        self._lead = Lead(leadership, name or f"allocator-{secrets.token_hex(4)}")
        self._run = Run(
            self._lead, self.dispatch, breaker, job_queue, clock, observer, polling or Polling()
        )
        self._upkeep = Upkeep(room_repo, journal, rules, history_keep, observer)
        self._recover = Recover(room_repo, breaker, observer, self._run.look)
        self._duties = [_paused(duty, every or {}) for duty in self._all_duties()]

    def _all_duties(self) -> list[Duty]:
        """What the loop does; the first one decides who leads."""
        seconds, repo, upkeep = _seconds, self.room_repo, self._upkeep
        return [
            Duty("lease", seconds(2), self._lead, leader_only=False),
            Duty("probe", seconds(0.5), self._recover, leader_only=False),
            Duty("settle", seconds(0.5), self.settle.due, while_busy=seconds(0.1)),
            Duty(
                "refresh", seconds(10), self.refresh, at_start=True, is_missing=self._lacks_roster
            ),
            Duty("reconcile", seconds(60), self.reconcile, at_start=True),
            Duty("exclusions", seconds(10), repo.lift_exclusions),
            Duty("prune", seconds(600), upkeep.prune),
            Duty("moments", seconds(30), upkeep.bring_back),
        ]

    @property
    def name(self) -> str:
        """What other processes call this one."""
        return self._lead.name

    @property
    def leads(self) -> bool:
        """Whether this process does the leader's duties, for as long as its lease lasts."""
        return self._lead.is_ours

    @property
    def duties(self) -> tuple[Duty, ...]:
        """What the loop does again and again."""
        return tuple(self._duties)

    @property
    def results(self) -> Mapping[str, DutyResult]:
        """What became of the duties in this process, by name; those that never ran are absent."""
        return self._run.results

    def add(self, duty: Duty) -> None:
        """Have the loop do this too; call it before the loop runs."""
        self._duties.append(duty)

    def opened(self) -> AbstractAsyncContextManager[object]:
        """The ports, open for as long as the block lasts; the loop does not run."""
        return self._opening()

    async def run(self) -> int:
        """Run the loop until `stop`; how many calls were still under way when it ended.

        Its ports must be open. Raises what ended the loop, ForeignAccount above all.
        """
        first, *others = self._duties
        return await self._run(first, others)

    def stop(self) -> None:
        """Take nothing more; `run` returns once what is under way has ended."""
        self._run.stop()

    async def step(self) -> int:
        """Do every duty once, then one pass, and see its calls to their end; how many chats.

        For tests: nothing else goes on meanwhile, and a duty that fails is told as ever.
        """
        return await self._run.step(self._duties)

    async def __aenter__(self) -> Self:
        """Open the ports and run the loop."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.opened())
            stack.push_async_callback(self._end, asyncio.create_task(self.run()))
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the loop and close the ports; raises what ended the loop before, if anything did."""
        if self._open is not None:
            await self._open.aclose()

    async def _end(self, running: asyncio.Task[Any]) -> None:
        self.stop()
        await running

    def _assignment_ended(self, ended: AssignmentResult) -> None:
        self.observer.assignment_ended(ended)
        self._run.assignment_ended(ended)

    async def _lacks_roster(self) -> bool:
        """Whether nobody has read the agents lately."""
        roster = await self.roster.roster()
        return roster is None or self.clock.now() - roster.read_at > self._presence_max_age


def _paused(duty: Duty, every: Mapping[str, timedelta]) -> Duty:
    pause = every.get(duty.name)
    return duty if pause is None else evolve(duty, every=pause)


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
