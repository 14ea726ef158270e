"""What one seed means: the account, the people, the customers, and the faults that are planned."""

from __future__ import annotations

import inspect
import random
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any

from attrs import evolve, field, frozen

from sebastian_adapters.memory.platform import Channel, Switches
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.agent_store import AgentStore
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.journal import Journal
from sebastian_core.ports.leadership import Leadership
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo

PORTS: dict[str, type[Any]] = {
    "room_repo": RoomRepo,
    "agent_settings": AgentSettings,
    "journal": Journal,
    "leadership": Leadership,
    "agent_store": AgentStore,
    "job_queue": JobQueue,
    "qiscus_client": QiscusClient,
}
CHANNELS = (Channel(id=130821), Channel(id=130822, name="WhatsApp", source="wa"))
WORKERS, WEBHOOKS = 3, 2
CHAOS_SECONDS = 40.0
STOPPED_SECONDS = 90.0
STAYING = (3,)
"""Customers whose last service goes on to the end, so that it can be seen who serves them."""


class Kind(StrEnum):
    """What can go wrong at a port call."""

    FAIL_BEFORE = "fails before"
    FAIL_AFTER = "fails after"
    HANG = "hangs"
    SLOW = "is slow"
    STALE = "answers stale"
    CRASH = "crashes here"
    STOP = "is stopped here"


@frozen(kw_only=True)
class Fault:
    """One planned fault: it strikes the first matching call after `at`.

    `late` tells for a crash, a stop or a hang whether the call is applied first. `flavour` picks
    among the errors that this can show as.
    """

    number: int
    at: float
    kind: Kind
    port: str | None = None
    method: str | None = None
    late: bool = False
    seconds: float = 1.0
    flavour: float = 0.0


class Trouble(StrEnum):
    """What can be wrong for a while, for everybody."""

    DATABASE_DOWN = "database down"
    REDIS_DOWN = "redis down"
    REDIS_FLUSHED = "redis flushed"
    PLATFORM_DOWN = "platform down"
    PLATFORM_FAILING = "platform answers 500, applied or not"
    CREDENTIALS_REFUSED = "credentials refused"
    THROTTLED = "429 for all"


@frozen(kw_only=True)
class Spell:
    """A span of trouble."""

    number: int
    trouble: Trouble
    from_at: float
    until_at: float


@frozen(kw_only=True)
class Visit:
    """One request for service: when the customer comes, and what people do with it."""

    after: float
    service_seconds: float
    message_gaps: tuple[float, ...] = ()
    chatters: bool = False
    by_hand_after: float | None = None
    moved_after: float | None = None
    removed_after: float | None = None
    joined_after: float | None = None
    resolved_waiting_after: float | None = None
    resolved_by_admin: bool = False
    stays: bool = False
    """Nobody resolves it before the end."""


@frozen(kw_only=True)
class Customer:
    """One room and its visits, one after the other. `poison` is how the platform treats it."""

    number: int
    channel: int
    visits: tuple[Visit, ...]
    poison: str | None = None


@frozen(kw_only=True)
class AgentPlan:
    """One agent: their channels, and when they come and go (the last is always: they are there)."""

    channels: tuple[int, ...]
    changes: tuple[tuple[float, bool], ...] = ()
    deleted_at: float | None = None


@frozen(kw_only=True)
class Scenario:
    """Everything that a seed decides beforehand."""

    seed: int
    switches: Switches
    agents: tuple[AgentPlan, ...]
    capacity: int
    customers: tuple[Customer, ...]
    faults: tuple[Fault, ...]
    spells: tuple[Spell, ...]
    verify: bool
    match_channels: bool
    rate: float
    office_acts: int = 10
    chats: int = field(init=False)

    @chats.default
    def _count(self) -> int:
        return sum(len(each.visits) for each in self.customers)

    def without(
        self,
        *,
        faults: Sequence[int] = (),
        customers: Sequence[int] = (),
        spells: Sequence[int] = (),
    ) -> Scenario:
        """The same, with some of it left out."""
        return evolve(
            self,
            faults=tuple(each for each in self.faults if each.number not in faults),
            customers=tuple(each for each in self.customers if each.number not in customers),
            spells=tuple(each for each in self.spells if each.number not in spells),
        )


@cache
def catalogue() -> tuple[tuple[str, str], ...]:
    """Every method of every port, by port."""
    return tuple(
        (port, method)
        for port, protocol in PORTS.items()
        for method in sorted(protocol.__abstractmethods__)
    )


@cache
def is_async(port: str, method: str) -> bool:
    """Whether the port's method is awaited."""
    return inspect.iscoroutinefunction(getattr(PORTS[port], method))


def draw(seed: int) -> Scenario:
    """The scenario of a seed; the same for ever, in every process."""
    rng = random.Random(seed)
    return Scenario(
        seed=seed,
        switches=Switches.draw(rng),
        agents=_agents(rng),
        capacity=rng.choice((1, 2, 2, 3)),
        customers=_customers(rng),
        faults=_faults(rng),
        spells=_spells(rng),
        verify=rng.random() < 0.75,
        match_channels=rng.random() < 0.8,
        rate=rng.choice((20.0, 20.0, 100.0)),
        office_acts=rng.choice((0, 6, 12)),
    )


def _agents(rng: random.Random) -> tuple[AgentPlan, ...]:
    first = AgentPlan(channels=(0, 1), changes=_comings(rng))
    return (first, *(_agent(rng) for _ in range(rng.randint(3, 6))))


def _agent(rng: random.Random) -> AgentPlan:
    return AgentPlan(
        channels=rng.choice(((0,), (1,), (0, 1), (0, 1), ())),
        changes=_comings(rng),
        deleted_at=rng.uniform(5, CHAOS_SECONDS) if rng.random() < 0.04 else None,
    )


def _comings(rng: random.Random) -> tuple[tuple[float, bool], ...]:
    if rng.random() < 0.5:
        return ()
    moments = sorted(rng.uniform(0, CHAOS_SECONDS) for _ in range(rng.randint(1, 4)))
    return tuple((at, number % 2 == 1) for number, at in enumerate(moments))


def _customers(rng: random.Random) -> tuple[Customer, ...]:
    customers: list[Customer] = []
    chats, wanted = 0, rng.randint(30, 38)
    while chats < wanted:
        customer = _customer(rng, len(customers))
        customers.append(customer)
        chats += len(customer.visits)
    return tuple(customers)


def _customer(rng: random.Random, number: int) -> Customer:
    returns = rng.choice((0, 0, 0, 1, 1, 2))
    poison = rng.choice(("refused", "failing", "forbidden")) if rng.random() < 0.03 else None
    first = _visit(rng, rng.uniform(0.0, CHAOS_SECONDS * 0.75))
    *before, last = (first, *(_visit(rng, _return_gap(rng)) for _ in range(returns)))
    if number in STAYING:
        last = _staying(rng, last)
    return Customer(number=number, channel=rng.randrange(2), visits=(*before, last), poison=poison)


def _staying(rng: random.Random, visit: Visit) -> Visit:
    """Often given, moved or joined by hand, so that adoption is seen at the end."""
    hand = rng.choice(("by_hand_after", "moved_after", "joined_after", "stays"))
    changes: dict[str, Any] = {hand: rng.uniform(0.0, 5.0), "resolved_waiting_after": None}
    return evolve(visit, **(changes | {"stays": True}))


def _return_gap(rng: random.Random) -> float:
    return rng.choice((rng.uniform(0.02, 0.3), rng.uniform(0.3, 4.0), rng.uniform(4.0, 12.0)))


def _visit(rng: random.Random, after: float) -> Visit:
    def maybe(share: float, low: float, high: float) -> float | None:
        return rng.uniform(low, high) if rng.random() < share else None

    return Visit(
        after=after,
        service_seconds=rng.choice((rng.uniform(0.2, 2.0), rng.uniform(2.0, 9.0))),
        message_gaps=tuple(rng.uniform(0.1, 6.0) for _ in range(rng.choice((0, 1, 1, 2, 4)))),
        chatters=rng.random() < 0.3,
        by_hand_after=maybe(0.08, 0.0, 3.0) or maybe(0.3, 5.0, 25.0),
        moved_after=maybe(0.05, 0.1, 5.0),
        removed_after=maybe(0.03, 0.1, 5.0),
        joined_after=maybe(0.05, 0.1, 5.0),
        resolved_waiting_after=maybe(0.04, 0.0, 4.0),
        resolved_by_admin=rng.random() < 0.3,
    )


_KINDS = (
    *(Kind.FAIL_BEFORE, Kind.FAIL_AFTER, Kind.HANG, Kind.SLOW, Kind.STALE) * 3,
    *(Kind.CRASH,) * 3,
    Kind.STOP,
)
_BUSY = (
    *(("qiscus_client", "assign"),) * 4,
    *(("room_repo", "decide"),) * 4,
    *(("room_repo", "reserve"),) * 2,
    ("qiscus_client", "eligible_agents"),
    ("qiscus_client", "room"),
    ("qiscus_client", "rooms_of"),
)


def _faults(rng: random.Random) -> tuple[Fault, ...]:
    anywhere: list[tuple[str | None, str | None]] = [(None, None)] * rng.randint(6, 10)
    busy = [rng.choice(_BUSY) for _ in range(rng.randint(6, 10))]
    rare = [rng.choice(catalogue()) for _ in range(10)]
    return tuple(
        _fault(rng, number, port, method)
        for number, (port, method) in enumerate([*anywhere, *busy, *rare])
    )


def _fault(rng: random.Random, number: int, port: str | None, method: str | None) -> Fault:
    return Fault(
        number=number,
        at=rng.uniform(0.5, CHAOS_SECONDS * 0.95),
        kind=rng.choice(_KINDS),
        port=port,
        method=method,
        late=rng.random() < 0.5,
        seconds=rng.choice((rng.uniform(0.1, 1.0), rng.uniform(1.0, 4.9))),
        flavour=rng.random(),
    )


def _spells(rng: random.Random) -> tuple[Spell, ...]:
    spells = []
    for number in range(rng.choice((0, 1, 1, 2))):
        from_at = rng.uniform(1.0, CHAOS_SECONDS * 0.8)
        seconds = rng.choice((rng.uniform(0.2, 2.0), rng.uniform(2.0, 12.0)))
        spells.append(
            Spell(
                number=number,
                trouble=rng.choice(tuple(Trouble)),
                from_at=from_at,
                until_at=min(from_at + seconds, CHAOS_SECONDS),
            )
        )
    return tuple(spells)
