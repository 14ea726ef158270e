"""Where the time goes between a slot that comes free and the call that fills it, stage by stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import psycopg
from attrs import astuple, frozen

from benchmarks.measuring import Percentiles, median
from benchmarks.report import Figure
from benchmarks.stage import Stage
from benchmarks.steady import Floor, deployed, play

STAGES = (
    "the resolve is fired → its room is locked",
    "→ it is answered: decided, committed",
    "→ the next look has the line's lock",
    "→ the call of the next chat is there: chosen, committed, sent",
)
WARM_UP_SECONDS = 2.0
_MOVES = "select room_id, move, at, agent_id from sebastian.history order by id"


@frozen(kw_only=True)
class HandOver:
    """The moments of one slot's way from one chat to the next, in Unix time of one machine."""

    fired_at: float
    locked_at: float
    answered_at: float
    reserved_at: float
    called_at: float

    def stages(self) -> list[float]:
        """The seconds of each stage; a look may begin before the resolve's sender has heard."""
        return [later - earlier for earlier, later in pairwise(astuple(self))]


def measure(stage: Stage, *, rounds: int) -> list[Figure]:
    """A full floor of 20 agents × 2 slots at 50 chats/s, whose platform answers without delay."""
    stages: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(rounds):
        for doorbell in ("dramatiq", "postgres"):
            seen = [each.stages() for each in hand_overs(stage, doorbell)]
            stages[doorbell].append([Percentiles.of(each).mean for each in zip(*seen, strict=True)])
    return [
        Figure(
            subject="hand-over",
            what=f"{name}, {doorbell}: mean",
            value=median([run[number] for run in runs]) * 1000,
            unit="ms",
            beside=f"of {median([sum(run) for run in runs]) * 1000:.1f} ms from resolve to call",
        )
        for doorbell, runs in stages.items()
        for number, name in enumerate(STAGES)
    ]


def hand_overs(stage: Stage, doorbell: str) -> list[HandOver]:
    """Those of one run, while there was always somebody waiting."""
    floor = Floor(rate=50, slots=40, seconds=10)
    with deployed(
        stage, doorbell, verify=False, agents=20, capacity=2, latency_seconds=0.0
    ) as deployment:
        platform = deployment.platform
        play(platform, floor, agents=20)
        events, deliveries = platform.events(), platform.deliveries()
        with psycopg.connect(deployment.database_url, autocommit=True) as connection:
            rows = connection.execute(_MOVES).fetchall()
    moves = [(room, move, at.timestamp(), agent) for room, move, at, agent in rows]
    return list(_matched(moves, events, deliveries))


def _matched(
    moves: Sequence[tuple[str, str, float, int]],
    events: Iterable[dict[str, Any]],
    deliveries: Iterable[dict[str, Any]],
) -> Iterable[HandOver]:
    """Each close with the next reservation of its agent."""
    resolves = {each["room_id"]: each for each in deliveries if each["kind"] == "resolved"}
    calls = {each["room_id"]: each["at"] for each in events if each["kind"] == "assigned"}
    first = min(at for _, _, at, _ in moves) + WARM_UP_SECONDS
    last = max(at for _, move, at, _ in moves if move == "admit")
    closed: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for room_id, move, at, agent_id in moves:
        if move == "close" and agent_id:
            closed[agent_id].append((room_id, at))
        elif move == "reserve" and closed[agent_id]:
            before, closed_at = closed[agent_id].pop(0)
            if first <= closed_at <= last:
                yield HandOver(
                    fired_at=resolves[before]["fired_at"],
                    locked_at=closed_at,
                    answered_at=resolves[before]["answered_at"],
                    reserved_at=at,
                    called_at=calls[room_id],
                )
