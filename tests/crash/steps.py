"""Counts the steps that a process takes through its ports, and ends it at one of them."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from signal import SIGKILL
from typing import Any

from attrs import define, field, frozen

from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Transaction
from sebastian_adapters.postgres.queries import query
from sebastian_adapters.qiscus.client import HttpxQiscusClient
from sebastian_adapters.redis.agent_store import RedisAgentStore
from sebastian_adapters.redis.dramatiq.job_queue import DramatiqJobQueue

UNDER_WAY_SECONDS = 0.03
"""How long a call that is killed in flight has been under way."""

_CALLS = ("agents", "eligible_agents", "assign", "room", "waiting_rooms", "rooms_of", "account")
_STORE_CALLS = ("replace", "update", "roster")
_CHANGING_CALLS = frozenset({"assign", "update"})
_WRITES = re.compile(rb"\b(insert into|update|delete from)\b", re.IGNORECASE)
_ROUTINE = frozenset({"report", "forget_reports", "hold_duty", "take_watches", "lift_exclusions"})
"""Statements that write in each round, whatever happened; as the roster is written each time."""

Asked = Callable[..., Awaitable[Any]]


@frozen
class Step:
    """A point at which a process may die.

    `state` counts the changes of chats and calls of assign that lie before it: between two of them
    PostgreSQL, Redis and the platform hold the same, wherever the process dies.
    """

    name: str
    state: int
    changes: bool
    """Whether a change lies at it: before, during or after one."""


@define
class Steps:
    """The steps since `arm`, and at which of them the process kills itself (None: at none).

    With `distinct` a step counts once for each state: a recovery that waits goes round and round.
    Without, each counts, and its second and later times are numbered.
    """

    kill_at: str | None = None
    is_distinct: bool = False
    is_armed: bool = False
    passed: dict[str, Step] = field(factory=dict)
    _state: int = 0
    _times: Counter[str] = field(factory=Counter)
    _last: str = ""

    def arm(self, kill_at: str | None, *, distinct: bool) -> None:
        """Count from here on."""
        self.kill_at, self.is_distinct, self.is_armed = kill_at, distinct, True
        self._state, self._last = 0, ""
        self.passed.clear()
        self._times.clear()

    def take(self, name: str, *, changes: bool) -> None:
        """Take a step; the process does not survive the chosen one."""
        if changes and not name.startswith("before "):
            self._state += 1
        if self._is_chosen(name, changes=changes):
            _die()

    async def take_under_way(self, name: str, call: Awaitable[Any]) -> Any:
        """A step in the middle of a call: sent, and not answered."""
        task = asyncio.ensure_future(call)
        self._state += 1
        if self._is_chosen(name, changes=True):
            await asyncio.sleep(UNDER_WAY_SECONDS)
            _die()
        return await task

    def _is_chosen(self, name: str, *, changes: bool) -> bool:
        is_same_point = self._is_same_point(name, changes=changes)
        self._last = name
        if not self.is_armed or is_same_point:
            return False
        label = self._labelled(name)
        self.passed.setdefault(label, Step(label, self._state, changes))
        return label == self.kill_at

    def _is_same_point(self, name: str, *, changes: bool) -> bool:
        """Where one step's end is the next one's beginning.

        Not before a change of a story: somebody may have been answered meanwhile.
        """
        is_pair = name.startswith("before ") and self._last.startswith("after ")
        return is_pair and (self.is_distinct or not changes)

    def _labelled(self, name: str) -> str:
        if self.is_distinct:
            return f"{name} [{self._state}]"
        self._times[name] += 1
        return name if self._times[name] == 1 else f"{name} #{self._times[name]}"


def watch_ports(steps: Steps) -> None:
    """From now on every step through a port of this process counts. For a process of its own."""
    _watch_transactions(steps)
    for name in _CALLS:
        _watch(steps, HttpxQiscusClient, name, "platform")
    for name in _STORE_CALLS:
        _watch(steps, RedisAgentStore, name, "redis")
    _watch_bell(steps)


def _watch(steps: Steps, kind: type, name: str, owner: str) -> None:
    original: Asked = getattr(kind, name)
    told, changes = f"{owner} {name}", name in _CHANGING_CALLS

    async def stepping(self: Any, *args: Any, **kwargs: Any) -> Any:
        steps.take(f"before {told}", changes=changes)
        try:
            asked = original(self, *args, **kwargs)
            if name == "assign":
                return await steps.take_under_way(f"during {told}", asked)
            return await asked
        finally:
            steps.take(f"after {told}", changes=changes)

    setattr(kind, name, stepping)


def _watch_transactions(steps: Steps) -> None:
    original: Asked = Transaction.send

    async def stepping(self: Transaction, *statements: NamedQuery, commit: bool = False) -> Any:
        changes = commit and (not statements or any(map(_changes, statements)))
        told = f"postgres {_told(statements, commit=commit)}"
        steps.take(f"before {told}", changes=changes)
        answer = await original(self, *statements, commit=commit)
        steps.take(f"after {told}", changes=changes)
        return answer

    setattr(Transaction, "send", stepping)  # noqa: B010


def _watch_bell(steps: Steps) -> None:
    original: Callable[[DramatiqJobQueue], None] = DramatiqJobQueue.ring

    def stepping(self: DramatiqJobQueue) -> None:
        steps.take("before the bell", changes=False)
        original(self)
        steps.take("after the bell", changes=False)

    setattr(DramatiqJobQueue, "ring", stepping)  # noqa: B010


def _told(statements: Sequence[NamedQuery], *, commit: bool) -> str:
    names = [each.name for each in statements]
    return " ".join([*names, "commit"] if commit else names)


def _changes(statement: NamedQuery) -> bool:
    return statement.name not in _ROUTINE and _WRITES.search(query(statement.name).text) is not None


def _die() -> None:
    os.kill(os.getpid(), SIGKILL)
