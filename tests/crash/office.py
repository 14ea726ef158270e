"""The process that dies: Sebastian's own graph on real servers, one use case at a time.

It does what it is told over a pipe and answers when it is done, so that its steps come in the same
order each time. Whoever tells it plays the platform's webhooks, the tick and the duties.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from dependency_injector import providers

from sebastian_adapters.postgres.pool import worker_pool
from sebastian_apps.http.payloads import decode_arrival, decode_resolution
from sebastian_apps.observability.logging import configure_logging
from sebastian_apps.settings import load_settings
from sebastian_apps.wiring import Container
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.errors import PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.manual import AssignRequest
from sebastian_core.domain.rules import Rules
from tests.crash.steps import Step, Steps, watch_ports
from tests.simulation.mutants import Mutant, planted

LEASE = timedelta(seconds=6)
FINISH_SECONDS = 10.0
REFUSAL_DELAY = timedelta(milliseconds=200)
A_PERSON = "a person"

__all__ = ["Standing", "brief_rules", "container", "run", "trust_nobody"]


@frozen(kw_only=True)
class Standing:
    """What the record holds: how many wait, how many are in doubt, and who holds which room."""

    waiting: int
    in_doubt: int
    held: frozenset[tuple[str, int | None]]
    due_seconds: float
    """How long it takes until something can be done that cannot be done now; 0: nothing waits."""


def brief_rules(rules: Rules) -> Rules:
    """The configured rules with the delays that no setting names cut short."""
    return evolve(rules, refusal_delay=REFUSAL_DELAY, exclusion=timedelta(seconds=1))


def run(orders: Connection, config: Path, mutant: Mutant | None = None) -> None:
    """Serve orders until the pipe is closed or a step kills the process; perhaps with a bug."""
    trust_nobody(config.parent)
    parts, steps = container(config), Steps()
    watch_ports(steps)
    with (
        _logged(parts, config.with_name("office.log")),
        planted(mutant) if mutant else nullcontext(),
    ):
        asyncio.run(_serve(orders, Office(parts, steps)))


class Office:
    """One process's use cases, each an order."""

    def __init__(self, container: Container, steps: Steps) -> None:
        self._container = container
        self._steps = steps
        self._allocator = container.allocator()
        self._repo, self._journal = self._allocator.room_repo, self._allocator.journal
        self._leadership = self._allocator.leadership
        self._orders: dict[str, Callable[..., Awaitable[Any]]] = {
            **self._of_a_person(),
            "arm": self._arm,
            "disarm": self._disarm,
            "steps": self._passed,
            "admit": self._admit,
            "resolve": self._resolve,
            "dispatch": self._dispatch,
            "settle": self._settle,
            "refresh": self._refresh,
            "reconcile": self._reconcile,
            "duty": self._duty,
            "probe": self._probe,
            "lift": self._repo.lift_exclusions,
            "standing": self._standing,
        }

    def _of_a_person(self) -> dict[str, Callable[..., Awaitable[Any]]]:
        manual = self._allocator.manual
        return {
            "by hand": self._by_hand,
            "drop": partial(manual.drop, actor=A_PERSON),
            "release": partial(manual.release, actor=A_PERSON),
            "pause": partial(manual.pause, paused=True, actor=A_PERSON),
            "resume": partial(manual.pause, paused=False, actor=A_PERSON),
            "capacity": partial(manual.set_capacity.of_agent, actor=A_PERSON),
        }

    async def open(self) -> None:
        """As a worker opens its parts; nobody listens to the bell."""
        await self._container.pool().open()
        await self._container.clock().sync()
        await self._container.job_queue().open()
        await self._container.qiscus_client().open()

    async def close(self) -> None:
        """Let go of everything."""
        await self._container.qiscus_client().aclose()
        await self._container.job_queue().aclose()
        await self._container.agent_store().aclose()
        await self._container.pool().close()

    async def carry_out(self, order: str, *asked: Any) -> Any:
        """Do one thing; the platform's failures are a duty's daily bread."""
        try:
            return await self._orders[order](*asked)
        except (PlatformUnavailable, PlatformRefused) as error:
            return str(error)

    async def _arm(self, kill_at: str | None, distinct: bool) -> None:
        self._steps.arm(kill_at, distinct=distinct)

    async def _disarm(self) -> None:
        self._steps.is_armed = False

    async def _passed(self) -> list[Step]:
        return list(self._steps.passed.values())

    async def _admit(self, body: bytes) -> str:
        return str((await self._allocator.admit(decode_arrival(body))).answer)

    async def _resolve(self, body: bytes) -> str:
        return str((await self._allocator.resolve(decode_resolution(body))).answer)

    async def _dispatch(self) -> int:
        dispatch = self._allocator.dispatch
        found = int(await dispatch())
        await dispatch.finish(FINISH_SECONDS)
        return found

    async def _settle(self) -> int:
        return int(await self._allocator.settle.due())

    async def _refresh(self) -> str:
        return str(await self._allocator.refresh())

    async def _reconcile(self) -> str:
        return str(await self._allocator.reconcile())

    async def _duty(self) -> bool:
        await self._leadership.report(f"office {os.getpid()}", {"here": True})
        return bool(await self._leadership.hold_duty(f"office {os.getpid()}", LEASE))

    async def _probe(self) -> int:
        """As a worker does: a chat that an outage held up is tried again at once."""
        back_since = await self._allocator.breaker.probe_if_due()
        return 0 if back_since is None else await self._repo.hasten(back_since)

    async def _by_hand(self, room_id: str, agent_id: int) -> str:
        wish = AssignRequest(agent_id=AgentId(agent_id), actor=A_PERSON)
        given = await self._allocator.manual.assign(RoomId(room_id), wish)
        return str(given.handed.outcome)

    async def _standing(self) -> Standing:
        waiting, held = await self._repo.waiting(100), await self._journal.held(100)
        return Standing(
            waiting=len(waiting),
            in_doubt=sum(
                chat.doubt is not None or chat.settle_at is not None for chat in [*waiting, *held]
            ),
            held=frozenset((str(chat.room_id), chat.agent_id) for chat in held),
            due_seconds=self._due_seconds([*waiting, *held]),
        )

    def _due_seconds(self, chats: Sequence[Chat]) -> float:
        now = self._container.clock().now()
        moments = (each for chat in chats for each in _moments(chat) if each > now)
        return (min(moments, default=now) - now).total_seconds()


def _moments(chat: Chat) -> list[datetime]:
    """When something becomes due for it."""
    moments = (chat.settle_at, chat.ready_at, chat.excluded_until)
    return [each for each in moments if each is not None]


async def _serve(orders: Connection, office: Office) -> None:
    await office.open()
    try:
        while (order := await asyncio.to_thread(_next, orders)) is not None:
            orders.send(await office.carry_out(*order))
    finally:
        await office.close()


def _next(orders: Connection) -> tuple[Any, ...] | None:
    try:
        order: tuple[Any, ...] = orders.recv()
    except (EOFError, OSError):
        return None
    return order


def container(config: Path) -> Container:
    settings = load_settings(config, {}, needs={"db", "redis", "qiscus"})
    container = Container(
        settings=providers.Object(settings), make_pool=providers.Object(worker_pool)
    )
    container.rules.override(providers.Object(brief_rules(container.rules())))
    return container


def trust_nobody(empty: Path) -> None:
    """Nothing is called by TLS here, and to load all authorities takes a third of the start."""
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(empty)


@contextmanager
def _logged(parts: Container, path: Path) -> Iterator[None]:
    """Whatever it logs goes there, and is searched for secrets in the end."""
    with path.open("a", buffering=1, encoding="utf-8") as log:
        configure_logging(parts.settings(), process="office", stream=log)
        yield
