"""How a roster is written down in Redis: JSON, one row per agent, moments in microseconds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sebastian_core.domain.ids import AgentId, ChannelId
from sebastian_core.domain.roster import Presence, Roster

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError)


def encode_listing(roster: Roster) -> str:
    """A whole roster as text."""
    return _dump(
        {
            "read_at": _micros(roster.read_at),
            "agents": _rows(roster.agents.values()),
            "missing": list(roster.missing.items()),
        }
    )


def decode_listing(text: bytes) -> Roster:
    """The roster that `encode_listing` wrote; raises ValueError for anything else."""
    try:
        return _roster(json.loads(text))
    except _UNREADABLE as error:
        raise ValueError("not a listing") from error


def encode_sightings(presences: Iterable[Presence]) -> str:
    """Single agents as text."""
    return _dump(_rows(presences))


def decode_sightings(text: bytes) -> dict[AgentId, Presence]:
    """The agents that `encode_sightings` wrote; raises ValueError for anything else."""
    try:
        return _presences(json.loads(text))
    except _UNREADABLE as error:
        raise ValueError("not sightings") from error


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _rows(presences: Iterable[Presence]) -> list[list[Any]]:
    return [
        [
            presence.agent_id,
            presence.online,
            _micros(presence.read_at),
            sorted(presence.channels),
            presence.count,
            presence.name,
        ]
        for presence in presences
    ]


def _roster(raw: dict[str, Any]) -> Roster:
    missing = {AgentId(agent_id): times for agent_id, times in raw["missing"]}
    return Roster(_moment(raw["read_at"]), _presences(raw["agents"]), missing)


def _presences(rows: list[list[Any]]) -> dict[AgentId, Presence]:
    """Most rows share their moment and their channels, so these are built once.

    Another version may have written a row: values that we do not know are ignored, and a row that
    cannot be read is left out alone. (Its agent comes back with the next listing of ours.)
    """
    moments: dict[int, datetime] = {}
    channels: dict[tuple[int, ...], frozenset[ChannelId]] = {}
    presences = {}
    if not isinstance(rows, list):
        raise TypeError("not rows")
    for row in rows:
        with suppress(*_UNREADABLE):
            agent_id, online, micros, channel_ids, count, name, *_ = row
            read_at = moments.get(micros) or moments.setdefault(micros, _moment(micros))
            key = tuple(channel_ids)
            served = channels.get(key)
            if served is None:
                served = channels[key] = frozenset(channel_ids)
            presences[agent_id] = Presence(agent_id, online, read_at, served, count, name)
    return presences


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
