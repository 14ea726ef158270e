"""One seed from beginning to end: the chaos, the rest afterwards, and the verdict."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog
from attrs import evolve, field, frozen

from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.errors import SebastianError
from sebastian_core.domain.policy import Policy
from tests.oracle import Verdict
from tests.simulation.beside import WebhookBefore, WorkerBefore
from tests.simulation.judging import agreement, judge_run, own_checks
from tests.simulation.loop import run_virtually
from tests.simulation.office import Office
from tests.simulation.plan import CHAOS_SECONDS, WEBHOOKS, WORKERS, Scenario, Spell, Trouble
from tests.simulation.process import own_tasks
from tests.simulation.services import Service, WebhookService, WorkerService
from tests.simulation.stores import Stores
from tests.simulation.tracing import Trace
from tests.simulation.world import World

REST_SECONDS_AT_MOST = 900.0
LOOK_SECONDS = 5.0


@frozen(kw_only=True)
class Run:
    """What one run left behind."""

    scenario: Scenario
    trace: Trace
    verdict: Verdict
    complaints: tuple[str, ...]
    """Violations of promises, and surprises; none in a good run."""
    moves: frozenset[tuple[str, str, str]] = field(factory=frozenset)
    ended_at: float = 0.0
    beside: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether nothing is to be complained of."""
        return not self.complaints


def run(scenario: Scenario, *, policy: Policy | None = None, beside: bool = False) -> Run:
    """Run the scenario; pure, so the same one gives the same trace and verdict.

    `beside` has one of the five processes run the version before, each in its turn.
    """
    trace = Trace()
    with _surprises_told(trace):
        ran = run_virtually(lambda: _play(scenario, trace, policy, beside))
    return evolve(ran, beside=beside)


async def _play(scenario: Scenario, trace: Trace, policy: Policy | None, beside: bool) -> Run:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(own_tasks)  # type: ignore[arg-type]
    loop.set_exception_handler(lambda _, context: _note_unhandled(trace, context))
    stores = Stores.open(scenario, trace)
    stores.policy = policy
    workers = [WorkerService(stores, f"worker{number}") for number in range(WORKERS)]
    webhooks = [WebhookService(stores, f"webhook{number}") for number in range(WEBHOOKS)]
    if beside:
        _put_before(stores, workers, webhooks)
    world = World(stores, webhooks)
    office = Office(stores, world)
    for service in (*workers, *webhooks):
        service.start()
    world.open()
    office.open()
    _plan_spells(stores, workers)
    await asyncio.sleep(CHAOS_SECONDS)
    _calm_down(stores, world, office)
    await _come_to_rest(stores, world, [*workers, *webhooks])
    return _judged(stores, world)


def _put_before(
    stores: Stores, workers: list[WorkerService], webhooks: list[WebhookService]
) -> None:
    turn = stores.scenario.seed % (WORKERS + WEBHOOKS)
    if turn < WORKERS:
        workers[turn] = WorkerBefore(stores, f"worker{turn}")
    else:
        webhooks[turn - WORKERS] = WebhookBefore(stores, f"webhook{turn - WORKERS}")


def _note_unhandled(trace: Trace, context: dict[str, Any]) -> None:
    """An error that nobody took is a surprise, but for the answer to one who crashed meanwhile."""
    error = context.get("exception")
    if not isinstance(error, SebastianError):
        trace.surprises.append(f"unhandled: {context['message']} {error!r}")


def _plan_spells(stores: Stores, workers: list[WorkerService]) -> None:
    loop = asyncio.get_running_loop()
    for spell in stores.scenario.spells:
        if spell.trouble is Trouble.REDIS_FLUSHED:
            loop.call_at(spell.from_at, _flush, stores, spell)
    if stores.scenario.seed % 3 == 0:
        loop.call_at(CHAOS_SECONDS * 0.6, workers[0].terminate)


def _flush(stores: Stores, spell: Spell) -> None:
    stores.trace.others[spell.trouble] += 1
    stores.trace.tell("redis", "flushed")
    stores.agent_store.lose()


def _calm_down(stores: Stores, world: World, office: Office) -> None:
    stores.schedule.end()
    stores.trace.tell("world", "faults stop")
    world.calm_down()
    office.calm_down()


async def _come_to_rest(stores: Stores, world: World, services: list[Service]) -> None:
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + REST_SECONDS_AT_MOST
    calm_since: float | None = None
    while loop.time() < give_up_at:
        await asyncio.sleep(LOOK_SECONDS)
        if not _is_at_rest(stores, world, services):
            calm_since = None
            continue
        calm_since = calm_since or loop.time()
        if loop.time() - calm_since >= LOOK_SECONDS:
            return


def _is_at_rest(stores: Stores, world: World, services: list[Service]) -> bool:
    if not world.is_done or not all(each.process.is_awake for each in services):
        return False
    live = stores.record.live.values()
    settled = all(chat.state is ChatState.ASSIGNED and chat.settle_at is None for chat in live)
    return settled and not stores.record.watches and not agreement(stores)


def _judged(stores: Stores, world: World) -> Run:
    verdict = judge_run(stores, world)
    trace = stores.trace
    complaints = (
        *(str(each) for each in verdict.violations),
        *own_checks(stores, world),
        *agreement(stores),
        *trace.surprises,
        *world.surprises(),
    )
    return Run(
        scenario=stores.scenario,
        trace=trace,
        verdict=verdict,
        complaints=complaints,
        moves=frozenset(
            (str(row.move), str(row.before), str(row.after)) for row in stores.record.history
        ),
        ended_at=asyncio.get_running_loop().time(),
    )


@contextmanager
def _surprises_told(trace: Trace) -> Iterator[None]:
    """Whatever the program logs as an error is a surprise; nothing else is written anywhere."""

    def take(_: Any, __: str, event: MutableMapping[str, Any]) -> NoReturn:
        error = event.get("exc_info")
        if error is True:
            error = sys.exc_info()[1]
        trace.surprises.append(f"logged: {event.get('event')} {event.get('duty', '')} {error!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[take],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
