"""Counts the steps that a process takes through its ports, and ends it at one of them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from signal import SIGKILL
from typing import Any

from attrs import define, field

from sebastian_adapters.dramatiq.job_queue import DramatiqJobQueue
from sebastian_adapters.postgres.pools import Statement, Transaction
from sebastian_adapters.postgres.queries import query
from sebastian_adapters.qiscus.qiscus_client import HttpxQiscusClient
from sebastian_adapters.redis.agent_store import RedisAgentStore

UNDER_WAY_SECONDS = 0.03
"""How long a call that is killed in flight has been under way."""

_CALLS = ("agents", "eligible_agents", "assign", "room", "waiting_rooms", "rooms_of", "account")
_STORE_CALLS = {"relist": True, "observe": True, "roster": False}
_WRITES = re.compile(rb"\b(insert into|update|delete from)\b", re.IGNORECASE)

Asked = Callable[..., Awaitable[Any]]


@define
class Steps:
    """The steps since `arm`, and at which of them the process kills itself (None: at none)."""

    kill_at: int | None = None
    changes_only: bool = False
    is_armed: bool = False
    passed: list[str] = field(factory=list)

    def arm(self, kill_at: int | None, *, changes_only: bool) -> None:
        """Count from here on."""
        self.kill_at, self.changes_only, self.is_armed = kill_at, changes_only, True
        self.passed.clear()

    def take(self, name: str, *, changes: bool) -> None:
        """Take a step, if it counts; the process does not survive the chosen one."""
        if self._is_last(name, changes=changes):
            _die()

    async def take_under_way(self, name: str, call: Awaitable[Any]) -> Any:
        """A step in the middle of a call: sent, and not answered."""
        task = asyncio.ensure_future(call)
        if self._is_last(name, changes=True):
            await asyncio.sleep(UNDER_WAY_SECONDS)
            _die()
        return await task

    def _is_last(self, name: str, *, changes: bool) -> bool:
        if not self.is_armed or (self.changes_only and not changes):
            return False
        if name.startswith("before ") and self.passed and self.passed[-1].startswith("after "):
            return False  # nothing lies between: the same point
        self.passed.append(name)
        return len(self.passed) - 1 == self.kill_at


def watch_ports(steps: Steps) -> None:
    """From now on every step through a port of this process counts. For a process of its own."""
    _watch_transactions(steps)
    for name in _CALLS:
        _watch(steps, HttpxQiscusClient, name, "platform", changes=name == "assign")
    for name, changes in _STORE_CALLS.items():
        _watch(steps, RedisAgentStore, name, "redis", changes=changes)
    _watch_bell(steps)


def _watch(steps: Steps, kind: type, name: str, owner: str, *, changes: bool) -> None:
    original: Asked = getattr(kind, name)
    told = f"{owner} {name}"

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

    async def stepping(self: Transaction, *statements: Statement, commit: bool = False) -> Any:
        changes = commit and (not statements or any(map(_writes, statements)))
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


def _told(statements: Sequence[Statement], *, commit: bool) -> str:
    names = [each.name for each in statements]
    return " ".join([*names, "commit"] if commit else names)


def _writes(statement: Statement) -> bool:
    return _WRITES.search(query(statement.name)) is not None


def _die() -> None:
    os.kill(os.getpid(), SIGKILL)
