"""One process of the version before, beside ours: its own code, on the same stores and platform.

It is the code of that commit (see tests.before), down to its domain. Values are handed over between
the two as a database would: what that version does not know, it neither reads nor writes.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from importlib import import_module
from typing import Any, TypeVar, cast

import attrs

from sebastian_core.domain.chat import Chat
from sebastian_core.domain.evidence import facts_of
from sebastian_core.ports.agent_settings import SettingChange
from sebastian_core.ports.leadership import Report
from tests.before import PREFIX, VERBS, load, place_now, place_then
from tests.simulation import process as processes
from tests.simulation.process import Process
from tests.simulation.services import WebhookService, WorkerService
from tests.simulation.stores import PoisonedClient, Stores

T = TypeVar("T")

_FACTS = (
    "conclusive_from",
    "waiting_counts_from",
    "resolved_counts_from",
    "resolved_in_call",
    "outlives_call",
    "counts_as_refusal",
)


class Translator:
    """Turns values of one version's classes into those of the other version."""

    def __init__(self, *, into_before: bool) -> None:
        self._into_before = into_before
        self._known: dict[int, tuple[object, Any]] = {}

    def __call__(self, value: Any) -> Any:
        """The same value for the other side; twice the same one for the same one."""
        if isinstance(value, dict):
            return {self(name): self(each) for name, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(map(self, value))
        if not isinstance(value, Enum | BaseException) and not attrs.has(type(value)):
            return value
        if id(value) not in self._known:
            self._known[id(value)] = value, self._made(value)
        return self._known[id(value)][1]

    def same(self, value: object, other: object) -> None:
        """Remember that one is the other."""
        self._known[id(value)] = value, other

    def _made(self, value: Any) -> Any:
        theirs = self._class(type(value))
        if theirs is None:
            return value
        if isinstance(value, Enum):
            return theirs(value.value)
        if isinstance(value, BaseException):
            error = theirs.__new__(theirs)
            error.args = self(value.args)
            error.__dict__.update(self(value.__dict__))
            return error
        names = {each.name for each in attrs.fields(theirs)}
        return theirs(
            **{
                each.name: self(getattr(value, each.name))
                for each in attrs.fields(type(value))
                if each.name in names
            }
        )

    def _class(self, ours: type) -> Any:
        name = ours.__module__
        if name.startswith(PREFIX) == self._into_before or "sebastian_" not in name:
            return None
        if self._into_before:
            module, theirs = place_then(name, ours.__qualname__)
            return getattr(import_module(f"{PREFIX}{module}"), theirs)
        module, theirs = place_now(name.removeprefix(PREFIX), ours.__qualname__)
        return getattr(import_module(module), theirs)


into_before, into_ours = Translator(into_before=True), Translator(into_before=False)


class Across:
    """A port of ours as the version before sees it, or the other way round."""

    def __init__(self, target: object, *, asks: Translator, answers: Translator) -> None:
        self._target, self._asks, self._answers = target, asks, answers

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._target, VERBS.get(name, name))
        return self.of(verb) if inspect.iscoroutinefunction(verb) else verb

    def of(self, verb: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """One call across: its arguments, its answer, and what it raises."""

        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._answers(await verb(*self._asks(args), **self._asks(kwargs)))
            except Exception as error:
                raise self._answers(error) from error

        return call


class BeforeRepo:
    """The room repo of the version before, on our rows.

    Each call is made on a repo of that version that holds what ours holds, in one go; what it
    changed is written back: the columns that it knows, and none of the facts.
    """

    def __init__(self, ours: Stores) -> None:
        repo = import_module(f"{PREFIX}sebastian_adapters.memory.room_repo")
        self._record, self._leadership = ours.record, ours.leadership
        self._theirs = repo.InMemoryRoomRepo(ours.clock)

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0)
            self._take()
            chats, rooms, settings = self._held()
            answer = _at_once(getattr(self._theirs, name)(*args, **kwargs))
            self._give(chats, rooms, settings)
            return answer

        return call

    def _held(self) -> tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]:
        theirs = self._theirs
        return dict(theirs._chats), dict(theirs._rooms), dict(theirs._settings)

    def _take(self) -> None:
        record, theirs = self._record, self._theirs
        for name in ("chats", "live", "rooms", "settings"):
            setattr(theirs, f"_{name}", into_before(getattr(record, name)))
        for name in ("watches", "chat_ids", "reservation_ids", "default_capacity"):
            setattr(theirs, f"_{name}", getattr(record, name))
        theirs._lease = self._leadership._lease
        theirs._history, theirs._steerings, theirs._reports = [], [], {}

    def _give(self, chats: Any, rooms: Any, settings: Any) -> None:
        record, theirs = self._record, self._theirs
        for chat_id, chat in theirs._chats.items():
            if chats.get(chat_id) is not chat:
                record.keep(self._written(chat))
        for gone in chats.keys() - theirs._chats.keys():
            del record.chats[gone]
        for room_id, room in theirs._rooms.items():
            if rooms.get(room_id) is not room:
                chat = None if room.chat is None else record.chats[room.chat.id]
                kept = into_ours(attrs.evolve(room, chat=None))
                record.rooms[room_id] = attrs.evolve(kept, chat=chat)
        for agent_id, setting in theirs._settings.items():
            if settings.get(agent_id) is not setting:
                record.settings[agent_id] = into_ours(setting)
        self._leadership._lease = theirs._lease
        record.default_capacity = theirs._default_capacity
        record.history += into_ours(theirs._history)
        record.setting_changes += (_as(SettingChange, each) for each in theirs._steerings)
        self._leadership._reports |= {
            name: _as(Report, each) for name, each in theirs._reports.items()
        }

    def _written(self, chat: Any) -> Chat:
        """The row that a chat of the version before leaves: facts are those of its own version."""
        known = self._record.chats.get(chat.id)
        written = cast(Chat, into_ours(chat))
        if known is not None and known.version == written.version:
            facts = {name: getattr(known, name) for name in _FACTS}
        else:
            facts = {"conclusive_from": None} | facts_of(written.doubt)
        written = attrs.evolve(written, **facts)
        into_before.same(written, chat)
        return written


def _as(ours: type[T], theirs: Any) -> T:
    """The same values in a class of ours that has another place or name than theirs."""
    return ours(**{each.name: getattr(theirs, each.name) for each in attrs.fields(ours)})  # type: ignore[arg-type]


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run to its end what waits for nothing but its turn."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


class ScheduleAcross:
    """The faults that are planned, as the version before raises them."""

    def __init__(self, ours: Any) -> None:
        self._ours = ours

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ours, name)

    def trouble(self, port: str) -> Any:
        """See Schedule.trouble."""
        return into_before(self._ours.trouble(port))


def _stores_before(ours: Stores) -> Any:
    """Our stores, as the simulation of that commit builds its processes on them."""
    load()
    stores: Any = import_module(f"{PREFIX}tests.simulation.stores")
    wires: Any = import_module(f"{PREFIX}tests.simulation.wire")
    wires.OUTSIDE = processes.OUTSIDE

    class Beside(stores.Stores):  # type: ignore[misc]
        def ports_of(self, process: Process) -> Any:
            rng = stores.random.Random(f"{ours.scenario.seed} {process.name}")
            clock = stores.ProcessClock(ours.clock, off_seconds=rng.uniform(-0.02, 0.02))
            client = PoisonedClient(ours.platform, clock, ours.poisoned, ours.trace)
            client.before = client.after = stores._latency(rng)
            schedule = ScheduleAcross(ours.schedule)

            def wire(port: str, target: object) -> Any:
                return wires.Wire(port, target, process, schedule, rng)

            def across(target: object) -> Across:
                return Across(target, asks=into_ours, answers=into_before)

            return stores.Ports(
                clock=clock,
                room_repo=wire("room_repo", BeforeRepo(ours)),
                agent_store=wire("agent_store", across(ours.agent_store)),
                job_queue=wire("job_queue", ours.job_queue),
                client=wire("qiscus_client", across(client)),
            )

    names = [each.name for each in attrs.fields(stores.Stores)]
    return Beside(**{name.lstrip("_"): getattr(ours, name) for name in names})


class WorkerBefore(WorkerService):
    """A worker of the version before."""

    def _worker(self, process: Process) -> Any:
        stores = _stores_before(self._stores)
        worker = import_module(f"{PREFIX}sebastian_apps.worker.worker")
        build = import_module(f"{PREFIX}tests.simulation.stores").build_worker
        return worker.Worker(build(stores, process), process.name)


class WebhookBefore(WebhookService):
    """A webhook service of the version before."""

    def begin(self, process: Process) -> None:
        """Build the use cases of that version."""
        build = import_module(f"{PREFIX}tests.simulation.stores").build_webhook
        across = Across(None, asks=into_before, answers=into_ours)
        uses = build(_stores_before(self._stores), process)
        self._admit, self._resolve = (across.of(each.__call__) for each in uses)
