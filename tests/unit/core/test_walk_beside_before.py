"""Every chat that can come to be, under every reading at every moment: as the version before says.

Rooms are walked by all that can happen to them, by the decisions of the version before and by ours,
side by side. Wherever the walk comes, each reading at each critical moment is answered by both.
What differs is decided in ADR 24, and named here.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from importlib import import_module
from typing import Any

import attrs
import pytest
from attrs import define, evolve, field, frozen

from tests.before import PREFIX, NotThere, load
from tests.unit.core.building import NOW

WALKS, STEPS = int(os.environ.get("SEBASTIAN_WALKS", "250")), 9
MOMENT = timedelta(milliseconds=1)
PAUSES = (0.0, 0.5, 2.0, 4.0, 6.0, 12.0)
ANNE, BEN = 7, 8
OF_A_CALL = ("confirm", "release", "release doubtful", "pass over", "refuse", "doubt")
OUTLIVING = (
    "an assign call succeeded after its reservation ended",
    "a resolve that may belong to the chat before",
)


class Words:
    """Everything that can be said of a room, by the decisions of one version."""

    def __init__(self, prefix: str) -> None:
        def part(*names: str) -> Any:
            for name in names:
                try:
                    return import_module(f"{prefix}sebastian_core.domain.{name}")
                except ModuleNotFoundError:
                    continue
            raise AssertionError(names)

        self.is_before = bool(prefix)
        self.arrivals, self.reservation = part("webhooks", "arrivals"), part("reservation")
        self.in_doubt, self.adoption = part("in_doubt", "settling"), part("adoption", "settling")
        self.by_hand, self.chat = part("manual", "by_hand"), part("chat")
        self.room, self.rules = part("room"), part("rules").Rules()

    def say(self, word: tuple[Any, ...], room: Any, now: datetime) -> Any:
        """What this word makes of the room now; None where it cannot be said."""
        return getattr(self, f"_{word[0]}")(room, now, *word[1:])

    def _admit(self, room: Any, now: datetime, base: int | None, is_resolved: bool) -> Any:
        service = None if base is None else self.arrivals.Service(base, is_resolved)
        arrival = self.arrivals.Arrival(room_id="1", base=service)
        return self.arrivals.admit(arrival, self.rules, room, now)

    def _found(self, room: Any, now: datetime) -> Any:
        arrival = self.arrivals.Arrival(room_id="1")
        return self.arrivals.admit_found(arrival, now, self.rules, room, now)

    def _resolve(self, room: Any, now: datetime, service: int | None) -> Any:
        resolution = self.arrivals.Resolution(room_id="1", service_id=service)
        return self.arrivals.resolve(resolution, self.rules, room, now)

    def _reserve(self, room: Any, now: datetime) -> Any:
        chat = room.chat
        if chat is None or not chat.is_ready(now):
            return None
        change = self.reservation.reserve(chat, ANNE, 70 + chat.version, self.rules, now)
        return self.room.Decided(None, self.room.with_chat(room, change), (change,))

    def _call(self, room: Any, now: datetime, end: str, *more: Any) -> Any:
        """An end of the chat's own call."""
        if room.chat is None or room.chat.reservation_id is None or room.chat.settle_at is None:
            return None
        return self._ended(self.reservation.Reservation.of(room.chat), room, now, end, *more)

    def _late(self, room: Any, now: datetime, end: str, *more: Any) -> Any:
        """An end of a call of an earlier reservation."""
        if room.chat is None:
            return None
        reservation = self.reservation.Reservation(1, room.chat, BEN, now)
        return self._ended(reservation, room, now, end, *more)

    def _ended(self, reservation: Any, room: Any, now: datetime, end: str, *more: Any) -> Any:
        ends, rules = self.reservation, self.rules
        match end:
            case "confirm":
                return ends.confirm(reservation, rules, room, now)
            case "release":
                return ends.release(reservation, "why", rules, room, now)
            case "release doubtful":
                return ends.release_doubtful(reservation, rules, room, now)
            case "pass over":
                return ends.pass_over(reservation, [BEN], rules, room, now)
            case "refuse":
                return ends.refuse(reservation, "why", rules, room, now)
        doubt = self.chat.Doubt[more[0]]
        return ends.doubt_attempt(reservation, doubt, rules, room, now)

    def _suspect(self, room: Any, now: datetime) -> Any:
        """A listing of its agent lacks an assigned chat."""
        chat = room.chat
        if chat is None or chat.state != "assigned":
            return None
        doubt = self.chat.Doubt.NOT_LISTED
        return self.in_doubt.suspect(chat.id, chat.version, doubt, self.rules, room, now)

    def _postpone(self, room: Any, now: datetime) -> Any:
        if room.chat is None:
            return None
        return self.in_doubt.postpone(room.chat.id, room.chat.version, self.rules, room, now)

    def _ready(self, room: Any, now: datetime) -> Any:
        if self.is_before:
            return self.by_hand.make_ready("eve", room, now)
        return self.by_hand.make_ready("eve", self.rules, room, now)

    def _drop(self, room: Any, now: datetime) -> Any:
        return self.by_hand.drop("eve", room, now)

    def _listed(
        self, room: Any, now: datetime, agent_id: int, is_absent: bool, began_at: datetime | None
    ) -> Any:
        listed = self.adoption.Listed(
            room_id="1", agent_id=agent_id, began_at=began_at or now, absent_elsewhere=is_absent
        )
        return self.adoption.adopt(listed, self.rules, room, now)

    def _read(
        self, room: Any, now: datetime, state: str, listed: bool | None, began_at: datetime | None
    ) -> Any:
        if room.chat is None:
            return None
        reading = self.in_doubt.Evidence(
            state=self.in_doubt.RoomState(state), began_at=began_at or now, listed=listed
        )
        chat = room.chat
        return self.in_doubt.settle(chat.id, chat.version, reading, self.rules, room, now)


READINGS = [
    ("waiting", None),
    ("resolved", None),
    ("gone", None),
    ("served", True),
    ("served", None),
    ("served", False),
]
WORDS: list[tuple[Any, ...]] = [
    ("admit", None, False),
    *(("admit", base, is_resolved) for base in (4, 5, 6) for is_resolved in (False, True)),
    ("found",),
    *(("resolve", service) for service in (None, 4, 5, 6)),
    ("reserve",),
    ("reserve",),
    *(("call", end) for end in OF_A_CALL[:-1]),
    *(("call", "doubt", doubt) for doubt in ("UNKNOWN_ANSWER", "OUTAGE", "OTHER_AGENT")),
    ("call", "confirm"),
    ("late", "confirm"),
    ("late", "release"),
    ("suspect",),
    ("postpone",),
    ("ready",),
    ("drop",),
    *(("listed", agent, absent, None) for agent in (ANNE, BEN) for absent in (False, True)),
    *(("read", state, listed, None) for state, listed in READINGS),
]
ASKED, GIVEN = ("admit", None, False), ("reserve",)
BEGINNINGS: list[list[tuple[Any, ...]]] = [
    [],
    [ASKED, GIVEN],
    [ASKED, GIVEN, ("call", "confirm")],
    [ASKED, GIVEN, ("resolve", None)],
    [("resolve", None), ASKED, ("ready",), GIVEN],
]


@define
class Walk:
    """One room, as both versions hold it."""

    before: Words
    ours: Words
    room_before: Any
    room: Any
    now: datetime = NOW
    path: list[Any] = field(factory=list)

    @classmethod
    def of(cls, before: Words, ours: Words) -> Walk:
        rooms = (each.room.Room(room_id="1") for each in (before, ours))
        return cls(before, ours, *rooms)

    def step(self, word: tuple[Any, ...]) -> bool:
        """Say it to both; they answer the same, and hold the same room afterwards.

        False if it cannot be said of the room as it is.
        """
        then = self.before.say(word, self.room_before, self.now)
        now = self.ours.say(word, self.room, self.now)
        if then is None or now is None or self.is_other_doubt_listed(word):
            return False
        self.path.append((self.now - NOW, word))
        assert same(told(then), told(now)), (self.path, told(then), told(now))
        self.room_before = saved(then.room or self.room_before)
        self.room = saved(now.room or self.room)
        return True

    def read(self) -> Iterator[tuple[str, str | None, str, str]]:
        """Let both apply each reading at each moment at which its answer might change."""
        chat = self.room_before.chat
        for state, listed in READINGS if chat is not None else ():
            for began_at in self.moments():
                word = ("read", state, listed, began_at)
                then = self.say_to_both(word, began_at)
                yield (
                    chat.state.value,
                    chat.doubt.value if chat.doubt else None,
                    f"{state}, {listed}",
                    then.answer.value,
                )
        for agent, absent in ((ANNE, False), (BEN, True)):
            for began_at in self.moments():
                shown = ("listed", agent, absent, began_at)
                if not self.is_other_doubt_listed(shown):
                    self.say_to_both(shown, began_at)

    def say_to_both(self, word: tuple[Any, ...], at_moment: datetime) -> Any:
        """Both answer the same; nothing of it is kept."""
        then = self.before.say(word, self.room_before, at_moment)
        now = self.ours.say(word, self.room, at_moment)
        assert same(told(then), told(now)), (self.path, word, told(then), told(now))
        return then

    def is_other_doubt_listed(self, word: tuple[Any, ...]) -> bool:
        """Whether a listing shows a chat in doubt with its agent: we take that for a reading.

        The version before did so only where the doubt was that it is not listed.
        """
        chat = self.room_before.chat
        return (
            word[0] == "listed"
            and chat is not None
            and (chat.state.value, chat.agent_id) == ("assigned", word[1])
            and chat.doubt not in (None, self.before.chat.Doubt.NOT_LISTED)
        )

    def moments(self) -> list[datetime]:
        """Around each moment at which a reading may begin to count."""
        chat, room, rules = self.room_before.chat, self.room_before, self.ours.rules
        bases = [room.last_assigned_at, room.closed_at]
        if chat is not None:
            bases += [chat.changed_at, chat.assigned_at, chat.asked_again_at]
        known = [each for each in bases if each is not None]
        sharp = [each + after for each in known for after in (rules.settle, rules.call_shows)]
        return sorted({each + little for each in sharp for little in (-MOMENT, 0 * MOMENT)})


def saved(room: Any) -> Any:
    """The room as a store gives it back: a new chat has an id."""
    chat = room.chat
    return room if chat is None or chat.id else evolve(room, chat=evolve(chat, id=1))


def told(value: Any) -> Any:
    """A value without its version's classes; facts that the version before has not are left out."""
    if isinstance(value, Enum):
        return value.value
    if attrs.has(type(value)):
        return {
            each.name: told(getattr(value, each.name))
            for each in attrs.fields(type(value))
            if each.name not in FACTS
        }
    if isinstance(value, dict):
        return {name: told(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [told(each) for each in value]
    return value


FACTS = frozenset(
    {
        "conclusive_from",
        "waiting_counts_from",
        "resolved_counts_from",
        "resolved_in_call",
        "outlives_call",
        "counts_as_refusal",
    }
)


def same(then: Any, now: Any) -> bool:
    """Whether both answers say the same.

    A chat whose doubt outlives its call is read as soon as that can prove something; the version
    before read it sooner, in vain.
    """
    if isinstance(then, dict) and then.get("doubt") in OUTLIVING and then["settle_at"] is not None:
        if then["state"] != "closed" and then["settle_at"] > now["settle_at"]:
            return False
        then, now = then | {"settle_at": None}, now | {"settle_at": None}
    if isinstance(then, dict):
        return then.keys() == now.keys() and all(same(then[each], now[each]) for each in then)
    if isinstance(then, list):
        return len(then) == len(now) and all(map(same, then, now))
    return bool(then == now)


@frozen
class Seen:
    """What a walk came by."""

    cells: frozenset[tuple[str, str | None, str, str]]


@pytest.fixture(scope="module")
def both() -> tuple[Words, Words]:
    try:
        load()
    except NotThere as error:
        pytest.skip(str(error))
    return Words(PREFIX), Words("")


def walked(both: tuple[Words, Words], number: int) -> set[tuple[str, str | None, str, str]]:
    """What one walk came by; most begin where a chat of a room that was served is being given."""
    rng = random.Random(number)
    walk = Walk.of(*both)
    ahead = list(rng.choice(BEGINNINGS))
    seen: set[tuple[str, str | None, str, str]] = set()
    for _ in range(STEPS):
        walk.now += timedelta(seconds=rng.choice(PAUSES))
        while not walk.step(ahead.pop(0) if ahead else rng.choice(WORDS)):
            pass
        seen.update(walk.read())
    return seen


def test_every_reading_says_of_every_chat_what_it_said_before(both: tuple[Words, Words]) -> None:
    seen = set().union(*(walked(both, number) for number in range(WALKS)))

    assert {(state, doubt) for state, doubt, _, _ in seen} == legal(both[0])
    assert {(state, shown) for state, _, shown, _ in seen} == {
        (state, f"{shown}, {listed}")
        for state in ("waiting", "reserved", "assigned")
        for shown, listed in READINGS
    }


def legal(words: Words) -> set[tuple[str, str | None]]:
    """Every state with every doubt that it can be in."""
    anywhere = {None, "UNNAMED_RESOLVE", "LATE_SUCCESS"}
    doubts = {
        "waiting": anywhere | {"LATE_REPEAT", "NEXT_UNPROVEN", "REFUSED_NOT_WAITING"},
        "reserved": anywhere
        | {"UNKNOWN_ANSWER", "OUTAGE", "OTHER_AGENT", "RESOLVED_IN_CALL", "RESOLVED_UNSURE"},
        "assigned": anywhere | {"NOT_LISTED", "ASKED_AGAIN"},
    }
    return {
        (state, None if name is None else words.chat.Doubt[name].value)
        for state, names in doubts.items()
        for name in names
    }
