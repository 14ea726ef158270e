"""What a worker said of itself, read back: the other side of `notes`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from sebastian_core.ports.room_repo import Report

SILENT_AFTER = timedelta(seconds=15)
"""A worker that has said nothing for so long counts as gone."""


@frozen
class Trouble:
    """A duty that failed last time, and is tried again."""

    duty: str
    at: datetime | None
    why: str


@frozen
class WorkerWords:
    """The last report of one worker; what an older version did not say is None or empty."""

    report: Report

    @property
    def name(self) -> str:
        """Which worker."""
        return self.report.name

    @property
    def standing(self) -> str | None:
        """How it sees the account stand."""
        return self.report.state.get("standing")

    @property
    def down_since(self) -> datetime | None:
        """Since when the platform has not answered it; None while it does."""
        return _moment(self.report.state.get("down_since"))

    @property
    def started_at(self) -> datetime | None:
        """When it first told of itself."""
        return _moment(self.report.state.get("started_at"))

    @property
    def version(self) -> str | None:
        """Which version of Sebastian it runs."""
        return self.report.state.get("version")

    @property
    def has_duties(self) -> bool:
        """Whether it is the one that reads, settles and compares."""
        return bool(self.report.state.get("duties"))

    @property
    def refreshed_at(self) -> datetime | None:
        """When it last read all agents."""
        return _moment(self._part("refresh").get("at"))

    @property
    def reconciled_at(self) -> datetime | None:
        """When it last compared the line with the platform's."""
        return _moment(self._part("reconcile").get("at"))

    @property
    def too_old(self) -> int:
        """How many rooms wait at the platform for longer than `reconcile.max_age`."""
        return int(self._part("reconcile").get("too_old", 0))

    @property
    def without_message(self) -> int:
        """In how many rooms that wait at the platform no customer has written."""
        return int(self._part("reconcile").get("without_message", 0))

    @property
    def unreadable_rooms(self) -> int:
        """How many rows of the platform's list of waiting rooms could not be read."""
        return int(self._part("reconcile").get("unreadable", 0))

    @property
    def unreadable_agents(self) -> int:
        """How many agents of the platform's list could not be read, and get no chats."""
        findings = self._part("refresh").get("findings") or {}
        return int(findings.get("unreadable", 0))

    @property
    def drift_at(self) -> datetime | None:
        """When it last found that our record differed."""
        return _moment(self._part("drift").get("at"))

    @property
    def admitted(self) -> int:
        """How many rooms it then found waiting whose webhook was lost."""
        return int(self._part("drift").get("admitted", 0))

    @property
    def settled(self) -> int:
        """How many chats the platform then contradicted."""
        return int(self._part("drift").get("settled", 0))

    @property
    def ignores_user_ids(self) -> bool:
        """Whether it found that the platform lists everybody's rooms for nobody."""
        return self.report.state.get("honours_user_ids") is False

    @property
    def policy(self) -> Mapping[str, Any]:
        """How a policy of the user's own fares there; empty where the shipped one is meant."""
        return self._part("policy")

    @property
    def policy_is_suspended(self) -> bool:
        """Whether the shipped policy serves there in place of the user's own."""
        return bool(self.policy.get("suspended"))

    @property
    def troubles(self) -> list[Trouble]:
        """Its duties that failed last time."""
        return [
            Trouble(duty, _moment(each.get("at")), str(each.get("why", "")))
            for duty, each in self._part("trouble").items()
        ]

    def lives(self, now: datetime) -> bool:
        """Whether it spoke lately and did not say that it ends."""
        return not self.report.state.get("stopped") and now - self.report.at <= SILENT_AFTER

    def _part(self, name: str) -> Mapping[str, Any]:
        part: Mapping[str, Any] = self.report.state.get(name) or {}
        return part


def living(reports: Iterable[Report], now: datetime) -> list[WorkerWords]:
    """The words of those who live."""
    return [words for words in map(WorkerWords, reports) if words.lives(now)]


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
