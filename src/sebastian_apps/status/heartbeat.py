"""How one worker is. The worker writes it into the store; page, doctor and metrics read it there.

The version before and the version after read what is written here, so words are only added, and
any of them may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import Any, Self, cast

import attrs
from attrs import define, evolve, field

from sebastian_core.domain.rate_limit import CircuitState
from sebastian_core.ports.leadership import Report

#: A worker that has written nothing for so long counts as gone; it writes every two seconds.
SILENT_AFTER = timedelta(seconds=15)

#: A duty is late when so many of its turns are over without one that came to its end.
TURNS_MISSED = 3

LATE_AT_LEAST = timedelta(seconds=30)
#: How often a duty is taken to be done if its worker, of the version before, does not say so.
_UNTOLD = timedelta(minutes=1)

_TOLD_BEFORE = ("refresh", "reconcile")


@cache
def own_version() -> str:
    """The version of Sebastian that this process runs."""
    return version("sebastian-allocator")


@define(kw_only=True)
class DutyStatus:
    """How one duty of a worker goes.

    `every` is how often it is done, `leader_only` whether the worker with the lease alone does it.
    `done_at` is when it last came to its end, and `found` what it then counted. While its last run
    failed, `failed_at` and `why` tell when and of what.
    """

    name: str
    every: timedelta | None = None
    leader_only: bool = True
    done_at: datetime | None = None
    found: Mapping[str, Any] = field(factory=dict)
    failed_at: datetime | None = None
    why: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "at": _text(self.done_at),
            "every": self.every.total_seconds() if self.every else None,
            "leader_only": self.leader_only,
            "found": dict(self.found),
        }


@define(kw_only=True)
class WorkerStatus:
    """What is known of a worker, to itself and to whoever reads its last report.

    `at` is when it was stored, `circuit` how the worker sees the platform (a `CircuitState`, as
    text), `down_since` since when the platform has not answered it. `is_leader` tells that it holds
    the lease of the duties, and `leader_since` since when. `policy` is how a policy of the user's
    own fares, empty if the shipped one is meant. `drift` is the last reconcile that changed
    something, and `repaired` how many differences all of them have repaired.
    """

    name: str = ""
    at: datetime | None = None
    version: str | None = None
    started_at: datetime | None = None
    stopped: bool = False
    circuit: str | None = None
    down_since: datetime | None = None
    in_flight: int = 0
    is_leader: bool = False
    leader_since: datetime | None = None
    honours_user_ids: bool | None = None
    policy: Mapping[str, Any] = field(factory=dict)
    duties: dict[str, DutyStatus] = field(factory=dict)
    drift: Mapping[str, Any] = field(factory=dict)
    repaired: int = 0

    @property
    def reaches_platform(self) -> bool:
        """Whether the platform answers it, as far as it has told."""
        return self.circuit in (None, CircuitState.CLOSED)

    # -- what the worker writes down

    def expects(self, duty: str, every: timedelta, *, leader_only: bool) -> None:
        """Take in a duty: from now on it is late if it does not come to its end."""
        known = self.duties.get(duty, DutyStatus(name=duty))
        self.duties[duty] = evolve(known, every=every, leader_only=leader_only)

    def done(self, duty: str, now: datetime, found: object = None) -> DutyStatus:
        """A duty came to its end; `found` is an attrs value with what it counted, if anything."""
        known = self.duties.get(duty, DutyStatus(name=duty))
        counted = attrs.asdict(cast(Any, found)) if attrs.has(type(found)) else {}
        if counted.get("admitted") or counted.get("settled"):
            self.drift = {"at": now.isoformat(), **counted}
            self.repaired += counted.get("admitted", 0) + counted.get("settled", 0)
        known = evolve(known, done_at=now, found=counted, failed_at=None, why="")
        self.duties[duty] = known
        return known

    def failed(self, duty: str, now: datetime, why: str) -> None:
        """A duty failed and is tried again."""
        known = self.duties.get(duty, DutyStatus(name=duty))
        self.duties[duty] = evolve(known, failed_at=now, why=why)

    def leads(self, now: datetime, *, leads: bool) -> None:
        """Whether the worker holds the lease at this moment; who lost it fails at no duty of it."""
        self.leader_since = (self.leader_since or now) if leads else None
        self.is_leader = leads
        for duty in self.duties.values():
            if duty.leader_only and not leads:
                duty.failed_at, duty.why = None, ""

    def sees(self, circuit: str, now: datetime) -> None:
        """How the platform stands with it at this moment."""
        self.circuit = str(circuit)
        self.down_since = None if circuit == CircuitState.CLOSED else self.down_since or now

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it. `read` reads it back."""
        refresh, reconcile = self.duties.get("refresh"), self.duties.get("reconcile")
        return {
            "version": own_version(),
            "started_at": _text(self.started_at),
            "standing": self.circuit,
            "down_since": _text(self.down_since),
            "in_flight": self.in_flight,
            "duties": self.is_leader,
            "leader_since": _text(self.leader_since),
            "honours_user_ids": self.honours_user_ids,
            "policy": dict(self.policy) or None,
            "done": {name: duty.document() for name, duty in self.duties.items()},
            "trouble": {
                name: {"at": _text(duty.failed_at), "why": duty.why}
                for name, duty in self.duties.items()
                if duty.failed_at
            },
            "drift": dict(self.drift) or None,
            "repaired": self.repaired,
            # What the version before reads; the one after may leave both out.
            "refresh": _told_before(refresh),
            "reconcile": _told_before(reconcile),
        }

    # -- what others read

    @classmethod
    def read(cls, report: Report) -> Self:
        """The status that a worker stored, of this version or of another."""
        state = report.state
        return cls(
            name=report.name,
            at=report.at,
            version=state.get("version"),
            started_at=_moment(state.get("started_at")),
            stopped=bool(state.get("stopped")),
            circuit=state.get("standing"),
            down_since=_moment(state.get("down_since")),
            in_flight=int(state.get("in_flight") or 0),
            is_leader=bool(state.get("duties")),
            leader_since=_moment(state.get("leader_since")),
            honours_user_ids=state.get("honours_user_ids"),
            policy=state.get("policy") or {},
            duties=_duties_in(state),
            drift=state.get("drift") or {},
            repaired=int(state.get("repaired") or 0),
        )

    def lives(self, now: datetime) -> bool:
        """Whether it wrote lately and did not say that it ends."""
        return self.at is not None and not self.stopped and now - self.at <= SILENT_AFTER

    def late(self, now: datetime) -> list[DutyStatus]:
        """The duties that are its own and have not come to their end for too long."""
        return [duty for duty in self.duties.values() if self._is_late(duty, now)]

    def _is_late(self, duty: DutyStatus, now: datetime) -> bool:
        if duty.every is None or (duty.leader_only and not self.is_leader):
            return False
        begun = self.leader_since if duty.leader_only else None
        since = max(filter(None, (duty.done_at, begun, self.started_at)), default=None)
        allowed = max(TURNS_MISSED * duty.every, LATE_AT_LEAST)
        return since is None or now - since > allowed

    def found(self, duty: str, what: str) -> int:
        """How many of something the last run of a duty counted."""
        known = self.duties.get(duty)
        found = known.found if known else {}
        return int(found.get(what) or (found.get("findings") or {}).get(what) or 0)

    @property
    def drift_at(self) -> datetime | None:
        """When it last found that our record differed from the platform's."""
        return _moment(self.drift.get("at"))

    @property
    def policy_is_suspended(self) -> bool:
        """Whether the shipped policy serves there in place of the user's own."""
        return bool(self.policy.get("suspended"))


def living(reports: Iterable[Report], now: datetime) -> list[WorkerStatus]:
    """The workers that live."""
    return [each for each in map(WorkerStatus.read, reports) if each.lives(now)]


def _duties_in(state: Mapping[str, Any]) -> dict[str, DutyStatus]:
    trouble, done = state.get("trouble") or {}, state.get("done") or {}
    before = {name: state[name] for name in _TOLD_BEFORE if name in state}
    return {
        name: _duty(name, done.get(name) or {}, before.get(name) or {}, trouble.get(name) or {})
        for name in {**before, **done, **trouble}
    }


def _duty(
    name: str, done: Mapping[str, Any], before: Mapping[str, Any], trouble: Mapping[str, Any]
) -> DutyStatus:
    """`before` is how the version before tells what its refresh or its reconcile found."""
    seconds = done.get("every")
    every = timedelta(seconds=seconds) if seconds else None
    return DutyStatus(
        name=name,
        every=every or (_UNTOLD if name in _TOLD_BEFORE else None),
        leader_only=bool(done.get("leader_only", name in _TOLD_BEFORE)),
        done_at=_moment(done.get("at")) or _moment(before.get("at")),
        found=done.get("found") or before,
        failed_at=_moment(trouble.get("at")),
        why=str(trouble.get("why", "")),
    )


def _told_before(duty: DutyStatus | None) -> dict[str, Any] | None:
    if duty is None or duty.done_at is None:
        return None
    return {"at": _text(duty.done_at), **duty.found}


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
