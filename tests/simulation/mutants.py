"""Planted bugs: each changes a line or two of the program while it runs, and must be caught."""

from __future__ import annotations
import __future__

import importlib
import inspect
import os
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from types import FunctionType
from typing import cast

from attrs import frozen

from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.in_doubt import TABLE, Outcome, Shown
from sebastian_core.domain.policy import Candidate, Placement, Policy, ReadyChat
from tests.simulation.plan import draw
from tests.simulation.run import run

CORE, MEMORY = "sebastian_core", "sebastian_adapters.memory"


class Cheating(Policy):
    """Gives everything to the first agent, whatever their slots."""

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        """All to one."""
        return [Placement(chat.id, candidates[0].agent_id) for chat in chats if candidates]


@frozen
class Edit:
    """In the function `place` (module:qualified name) the text `old` becomes `new`.

    Further lines of `new` are indented as the line is that holds `old`.
    """

    place: str
    old: str
    new: str


Cell = tuple[ChatState, Shown, Outcome]
"""An entry of the in-doubt table with a wrong outcome."""


@frozen
class Mutant:
    """One planted bug, by name."""

    name: str
    edits: tuple[Edit, ...] = ()
    policy: type[Policy] | None = None
    cells: tuple[Cell, ...] = ()


@frozen(kw_only=True)
class Catch:
    """The first seed that catches a mutant, and what it complains of."""

    seed: int
    complaint: str


def _core(place: str, old: str, new: str) -> Edit:
    return Edit(f"{CORE}.{place}", old, new)


def _memory(place: str, old: str, new: str) -> Edit:
    return Edit(f"{MEMORY}.{place}", old, new)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "capacity: <= for <",
        (
            _core("domain.matcher:Matcher._agent", "load >= capacity", "load > capacity"),
            _core("domain.policy:check_placements", "> candidate.free:", "> candidate.free + 1:"),
        ),
    ),
    Mutant(
        "acknowledged before the commit",
        (
            _core(
                "usecases.webhooks:AdmitChat.__call__",
                "decided = await self._room_repo.decide(\n"
                "        arrival.room_id, partial(admit, arrival, self._rules)\n"
                "    )",
                "import asyncio\n"
                "decided = Decided(Admission.ADMITTED)\n"
                "committing = self._room_repo.decide(\n"
                "    arrival.room_id, partial(admit, arrival, self._rules)\n"
                ")\n"
                "self.later = asyncio.get_running_loop().create_task(committing)",
            ),
        ),
    ),
    Mutant(
        "a resolve frees a slot of whoever resolved",
        (
            Edit(
                "sebastian_apps.http.payloads:decode_resolution",
                "return Resolution(",
                "from sebastian_core.usecases import webhooks as resolve_chat\n"
                "resolve_chat.RESOLVED_BY = sent['resolved_by']['id']\n"
                "return Resolution(",
            ),
            _core(
                "usecases.webhooks:ResolveChat.__call__",
                "decided = await self._room_repo.decide(\n"
                "        resolution.room_id, partial(resolve, resolution, self._rules)\n"
                "    )",
                "held = await self._room_repo.held_by(RESOLVED_BY)\n"
                "room_id = held[0].room_id if held else resolution.room_id\n"
                "decided = await self._room_repo.decide(\n"
                "    room_id, partial(resolve, resolution, self._rules)\n"
                ")",
            ),
        ),
    ),
    Mutant(
        "counts are added to load",
        (
            _core(
                "domain.matcher:Matcher._agent",
                "agent_loads.loads.get(presence.agent_id, 0)",
                "agent_loads.loads.get(presence.agent_id, 0) + (presence.count or 0)",
            ),
        ),
    ),
    Mutant(
        "reserved chats do not count as load",
        (
            _memory(
                "record:Record.agent_loads",
                "chat.holds_slot and",
                "chat.state is ChatState.ASSIGNED and",
            ),
        ),
    ),
    Mutant(
        "a capacity that a person set is ignored",
        (_core("domain.agent_loads:CapacityRules.of", "setting.capacity is not None", "False"),),
    ),
    Mutant(
        "paused agents are given chats",
        (_core("domain.matcher:Matcher._standing", "if setting.paused:", "if False:"),),
    ),
    Mutant(
        "a cheating policy is not checked",
        (_core("domain.policy:check_placements", "taken: dict[AgentId, int] = {}", "return"),),
        Cheating,
    ),
    Mutant(
        "last come, first served",
        (
            _core(
                "domain.matcher:AgentPool.place",
                "key=lambda chat: (chat.arrived_at, chat.id)",
                "key=lambda chat: (chat.arrived_at, chat.id), reverse=True",
            ),
            _memory("record:Record.line", "key=place_of", "key=place_of, reverse=True"),
        ),
    ),
    Mutant(
        "a repeat loses its place",
        (
            _core(
                "domain.webhooks:_repeat",
                "return Decided(Admission.REPEATED, learned)",
                "change = moved(chat, Transition.DOUBT, now, arrived_at=now)\n"
                "return Decided(Admission.REPEATED, with_chat(room, change), (change,))",
            ),
        ),
    ),
    Mutant(
        "a release without fencing",
        (
            _core(
                "domain.reservation:_held",
                "chat if chat.reservation_id == reservation.id else None",
                "chat",
            ),
        ),
    ),
    Mutant(
        "an unknown answer is released at once",
        (
            _core(
                "usecases.assign:AssignChat._attempt_again",
                "return await self._doubt(reservation, doubt, str(error))",
                "return await self._release(reservation, str(doubt))",
            ),
        ),
    ),
    Mutant(
        "a second attempt goes to another agent",
        (
            _core(
                "usecases.assign:AssignChat._attempt_again",
                "answer = await self._assign(reservation)",
                "other = type(reservation.agent_id)(reservation.agent_id + 1)\n"
                "await self._client.assign(reservation.chat.room_id, other)\n"
                "answer = Answer()",
            ),
        ),
    ),
    Mutant(
        "a refused call is confirmed",
        (
            _core(
                "usecases.assign:AssignChat._refused",
                "self._breaker.permits.charge()",
                "return await self._answered(reservation, Answer())",
            ),
        ),
    ),
    Mutant(
        "the deadline is not kept",
        (
            _core(
                "usecases.assign:AssignChat._fits",
                "return elapsed + self._rules.call <= self._rules.reservation",
                "return True",
            ),
        ),
    ),
    Mutant(
        "presence is not verified",
        (
            _core(
                "usecases.assign:AssignChat._verify",
                "if not presence.online:",
                "if False:",
            ),
            _core("domain.matcher:Matcher._standing", "if not presence.online:", "if False:"),
        ),
    ),
    Mutant(
        "who is not eligible is forgotten",
        (
            _core(
                "domain.reservation:_passed_over",
                "Needs(chat.needs.channel_id, only)",
                "Needs(chat.needs.channel_id)",
            ),
        ),
    ),
    Mutant(
        "a dead worker's reservation is not settled",
        (
            _memory(
                "room_repo:_is_due",
                "chat.settle_at is not None",
                "chat.settle_at is not None and chat.state is not ChatState.RESERVED",
            ),
        ),
    ),
    Mutant(
        "settled with stale evidence",
        (_core("domain.in_doubt:settle", "evidence.began_at < counts_at", "False"),),
    ),
    Mutant(
        "settled while the call may begin",
        (
            _core("domain.reservation:reserve", "now + rules.call_shows", "now"),
            _core("domain.room:moved", "now + rules.settle", "now"),
        ),
    ),
    Mutant(
        "a waiting reading is believed too early",
        (
            _core(
                "domain.in_doubt:counts_from",
                "earlier = chat.waiting_counts_from",
                "earlier = chat.changed_at",
            ),
            _core(
                "domain.reservation:_doubted",
                "facts = doubtful(doubt, now, now + rules.settle)",
                "facts = doubtful(doubt, now, now + rules.settle) | {'settle_at': now}",
            ),
        ),
    ),
    Mutant(
        "served means served elsewhere",
        cells=((ChatState.RESERVED, Shown.SERVED, Outcome.CLOSED),),
    ),
    Mutant(
        "served means served by us",
        cells=((ChatState.RESERVED, Shown.SERVED_NOT_LISTED, Outcome.CONFIRMED),),
    ),
    Mutant(
        "chats given by others are not adopted",
        (
            _core(
                "domain.adoption:adopt",
                "chat = room.chat",
                "return Decided(Adopting.KNOWN)",
            ),
        ),
    ),
    Mutant(
        "a chat is moved without asking its agent",
        (
            _core(
                "domain.adoption:adopt",
                "if chat.holds_slot and not listed.absent_elsewhere:",
                "if False:",
            ),
        ),
    ),
    Mutant(
        "a resolve frees a slot under its call",
        (_core("domain.webhooks:resolve", "if chat.state is ChatState.RESERVED:", "if False:"),),
    ),
    Mutant(
        "a lost resolve is never suspected",
        (
            _core(
                "usecases.refresh:RefreshAgents._suspect_missing",
                "if not _is_missing(chat, shown, listing, self._rules):",
                "if True:",
            ),
        ),
    ),
    Mutant(
        "a late resolve closes the next chat",
        (_core("domain.webhooks:_repeats_close", "if service_id is None:", "if True:"),),
    ),
    Mutant(
        "a returning customer is taken for a repeat",
        (
            _core(
                "domain.webhooks:_admit_new",
                "base = arrival.base",
                "base = arrival.base\n"
                "if room.closed_service_id is not None:\n"
                "    return Decided(Admission.LATE_REPEAT)",
            ),
        ),
    ),
    Mutant(
        "asking again is not remembered",
        (
            _core(
                "domain.webhooks:_remember_asking",
                "change = moved(",
                "return Decided(Admission.REMEMBERED)\nchange = moved(",
            ),
        ),
    ),
    Mutant(
        "the next chat is not opened",
        (
            _core(
                "domain.webhooks:close_resolved",
                "if chat.asked_again_at is None:",
                "if True:",
            ),
        ),
    ),
    Mutant(
        "a history row is missing",
        (
            _memory(
                "record:Record.write",
                "if not change.silent:",
                "if not change.silent and change.move is not Move.RELEASE:",
            ),
        ),
    ),
    Mutant(
        "a lost webhook is never found",
        (
            _core(
                "usecases.reconcile:Reconcile._admit_unknown",
                "unknown = [room for room in listing.seen if _lacks_chat(known.get(room.room_id))]",
                "unknown: list[PlatformRoom] = []",
            ),
        ),
    ),
    Mutant(
        "the breaker never closes",
        (_core("usecases.circuit_breaker:CircuitBreaker._ask", "self.permits.restore()", "pass"),),
    ),
    Mutant(
        "a younger roster is overwritten by an older one",
        (
            _core(
                "domain.roster:Roster.merged_listing", "if began_at <= self.read_at:", "if False:"
            ),
        ),
    ),
    Mutant(
        "the duties stay with who had them first",
        (
            _memory(
                "leadership:InMemoryLeadership.hold_duty",
                "and self._lease[1] > now",
                "",
            ),
        ),
    ),
    Mutant(
        "dispatch does not tick",
        (
            _core(
                "usecases.run:Run._keep_dispatching",
                "while not self._stopping.is_set():",
                "while not self._stopping.is_set():\n    await self._look.wait()",
            ),
        ),
    ),
)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The program with this bug in it; raises ValueError where the bug no longer fits the code."""
    with ExitStack() as stack:
        for edit in mutant.edits:
            stack.enter_context(_edited(edit))
        for state, shown, outcome in mutant.cells:
            stack.enter_context(_misprinted(state, shown, outcome))
        yield


def catches(mutant: Mutant, seed: int) -> Catch | None:
    """Whether this seed catches it."""
    with planted(mutant):
        policy = mutant.policy() if mutant.policy else None
        try:
            ran = run(draw(seed), policy=policy)
        except Exception as error:  # noqa: BLE001 - a planted bug may break anything
            return Catch(seed=seed, complaint=f"the run broke: {error!r}")
    if ran.is_clean:
        return None
    return Catch(seed=seed, complaint=ran.complaints[0].splitlines()[0])


def hunt(
    mutants: Sequence[Mutant], seeds: int, processes: int | None = None
) -> Iterator[tuple[Mutant, Catch | None]]:
    """Look for each in turn with so many seeds at most, each until it is caught."""
    processes = processes or os.cpu_count() or 1
    jobs = [(mutant.name, seeds) for mutant in mutants]
    if processes == 1:
        yield from zip(mutants, map(_first_catch, jobs), strict=True)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from zip(mutants, pool.map(_first_catch, jobs), strict=True)


def named(name: str) -> Mutant:
    """The mutant of that name."""
    return next(each for each in MUTANTS if each.name == name)


def _first_catch(job: tuple[str, int]) -> Catch | None:
    name, seeds = job
    mutant = named(name)
    return next((catch for seed in range(seeds) if (catch := catches(mutant, seed))), None)


@contextmanager
def _edited(edit: Edit) -> Iterator[None]:
    function = _function(edit.place)
    before = function.__code__
    function.__code__ = _changed(function, edit).__code__
    try:
        yield
    finally:
        function.__code__ = before


@contextmanager
def _misprinted(state: ChatState, shown: Shown, outcome: Outcome) -> Iterator[None]:
    table = cast(dict[tuple[ChatState, Shown], Outcome], TABLE)
    before = table[state, shown]
    if before is outcome:
        raise ValueError(f"{outcome} is what the table says of {state}, {shown}")
    table[state, shown] = outcome
    try:
        yield
    finally:
        table[state, shown] = before


def _function(place: str) -> FunctionType:
    module, path = place.split(":")
    found: object = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, property):
        found = found.fget
    if not isinstance(found, FunctionType):
        raise TypeError(f"{place} is not a function")
    return found


_SOURCES: dict[FunctionType, str] = {}


def _source(function: FunctionType) -> str:
    """Its source; remembered, because a changed function no longer points at its lines."""
    if function not in _SOURCES:
        _SOURCES[function] = textwrap.dedent(inspect.getsource(function))
    return _SOURCES[function]


def _changed(function: FunctionType, edit: Edit) -> FunctionType:
    source = _source(function)
    if edit.old not in source:
        raise ValueError(f"{edit.place} no longer holds {edit.old!r}")
    line = next(each for each in source.splitlines() if edit.old.splitlines()[0] in each)
    indent = "\n" + line[: len(line) - len(line.lstrip())]
    code = compile(
        source.replace(edit.old, edit.new.replace("\n", indent), 1),
        f"<mutant of {edit.place}>",
        "exec",
        flags=__future__.annotations.compiler_flag,
    )
    namespace = dict(function.__globals__)
    exec(code, namespace)
    changed: FunctionType = namespace[function.__name__]
    return changed
