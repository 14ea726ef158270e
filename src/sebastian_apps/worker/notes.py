"""What a worker knows of itself: for the floor page, `sebastian doctor` and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Any

from attrs import define, field

from sebastian_apps.own_policy import GuardedPolicy
from sebastian_core.usecases.platform_gate import PlatformGate
from sebastian_core.usecases.reconcile import Reconciled
from sebastian_core.usecases.refresh_agents import Refreshed

Listener = Callable[[str, Mapping[str, int]], None]
"""Told what a duty found: its name, and how many of each kind."""


@cache
def own_version() -> str:
    """The version of Sebastian that this process runs."""
    return version("sebastian-allocator")


@define
class WorkerNotes:
    """Remembers what the duties last found and which of them fail; plain values only.

    `told` are called with the findings of each run, `failed_listeners` with the name of a duty
    that failed.
    """

    gate: PlatformGate
    now: Callable[[], datetime]
    told: list[Listener] = field(factory=list)
    failed_listeners: list[Callable[[str], None]] = field(factory=list)
    has_duties: bool = False
    policy: GuardedPolicy | None = None
    _started_at: datetime | None = field(default=None, init=False)
    _refresh: dict[str, Any] | None = field(default=None, init=False)
    _reconcile: dict[str, Any] | None = field(default=None, init=False)
    _drift: dict[str, Any] | None = field(default=None, init=False)
    _trouble: dict[str, dict[str, str]] = field(factory=dict, init=False)
    _down_since: datetime | None = field(default=None, init=False)

    def refreshed(self, found: Refreshed) -> None:
        """The agents were read."""
        self._refresh = self._dated(
            agents=found.agents, online=found.online, findings=dict(found.findings)
        )
        self._tell("refresh", found.findings)

    def reconciled(self, found: Reconciled) -> None:
        """Our record was compared with the platform's."""
        findings = {
            "admitted": found.admitted,
            "settled": found.settled,
            "too_old": found.too_old,
            "without_message": found.without_message,
            "unreadable": found.unreadable,
        }
        self._reconcile = self._dated(listed=found.listed, **findings)
        if found.admitted or found.settled:
            self._drift = self._reconcile
        self._tell("reconcile", findings)

    def failed(self, duty: str, why: str) -> None:
        """A duty failed and is tried again."""
        self._trouble[duty] = self._dated(why=why)
        for listener in self.failed_listeners:
            listener(duty)

    def went_well(self, duty: str) -> None:
        """A duty came to its end."""
        self._trouble.pop(duty, None)

    def state(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; `words` reads it back."""
        self._started_at = self._started_at or self.now()
        return {
            "version": own_version(),
            "started_at": self._started_at.isoformat(),
            "standing": str(self.gate.standing),
            "down_since": self._since_when_down(),
            "in_flight": self.gate.permits.in_flight,
            "duties": self.has_duties,
            "refresh": self._refresh,
            "reconcile": self._reconcile,
            "drift": self._drift,
            "trouble": dict(self._trouble),
            "policy": self.policy.state() if self.policy is not None else None,
        }

    def _since_when_down(self) -> str | None:
        if self.gate.permits.since is None:
            self._down_since = None
            return None
        self._down_since = self._down_since or self.now()
        return self._down_since.isoformat()

    def _dated(self, **found: Any) -> dict[str, Any]:
        return {"at": self.now().isoformat(), **found}

    def _tell(self, duty: str, findings: Mapping[str, int]) -> None:
        for listener in self.told:
            listener(duty, findings)
