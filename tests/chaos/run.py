"""Runs one chaos: a floor, faults, kills, rest, and the verdict."""

from __future__ import annotations

import asyncio
import pickle
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from attrs import asdict, evolve

from tests.canaries import Search
from tests.chaos.deployment import Deployment, NotInTime, deployed, until
from tests.chaos.faults import Mischief
from tests.chaos.outcome import Kill, Outcome, after_kill, judged
from tests.chaos.shape import KILL_PAUSE_SECONDS, Shape
from tests.chaos.writers import read_writers
from tests.oracle import Record
from tests.oracle.reading import deliveries_of_json, events_of_json, read_postgres

LIVE_CHATS = "select count(*) from sebastian.chat where state <> 'closed'"
LATE_SECONDS = 2.5
LOST_SHARE = 0.03
SLOW_SECONDS = 0.2
"""How long a call takes while workers are killed: so that they die with some under way."""


async def run(shape: Shape, *, keep: bool = False) -> Outcome:
    """Run it with processes of its own; everything stays where something was wrong."""
    directory = new_directory("chaos")
    async with deployed(shape, directory) as deployment:
        outcome = await _play(shape, deployment)
    if keep or not outcome.is_clean:
        return evolve(outcome, kept=directory)
    shutil.rmtree(directory, ignore_errors=True)
    return outcome


def new_directory(name: str) -> Path:
    """One that PostgreSQL's own account may pass through."""
    directory = Path(tempfile.mkdtemp(prefix=f"sebastian-{name}-"))
    directory.chmod(0o755)
    return directory


async def _play(shape: Shape, deployment: Deployment) -> Outcome:
    lost = {"lost": LOST_SHARE}
    await deployment.told("webhook-faults", {"allocation": lost, "resolved": lost})
    await deployment.told("floor", asdict(shape.floor))
    kills = await _kill_workers(shape, deployment)
    mischief = Mischief(deployment, shape, random.Random(f"{shape.seed} faults"))
    began_at = time.time()
    await mischief.play()
    ended_at = time.time()
    unrest = await come_to_rest(deployment, shape.rest_seconds)
    record = await recorded(deployment)
    writers = await asyncio.to_thread(read_writers, deployment.postgres.url)
    outcome = Outcome(
        shape=shape,
        record=record,
        verdict=judged(shape, record, _merged(mischief.outages)),
        faults=mischief.done,
        starts={name: each.starts for name, each in deployment.watched.items()},
        after_kills=[after_kill(record, kill, writers) for kill in kills],
        chaos=(began_at, ended_at),
        canaries=await asyncio.to_thread(_searched, deployment),
        unrest=unrest,
        broken=[repr(each) for each in mischief.failures],
    )
    told = f"{outcome.told()}\n\n{outcome.verdict.told(1000)}\n"
    (deployment.directory / "verdict.txt").write_text(told)
    (deployment.directory / "record.pickle").write_bytes(pickle.dumps((record, kills, writers)))
    return outcome


def _searched(deployment: Deployment) -> Search:
    """Whatever the run has written: logs of all processes and servers, rows, keys in Redis."""
    search = Search()
    search.look_at_logs(deployment.directory)
    search.look_at_database(deployment.postgres.url)
    search.look_at_redis(deployment.valkey.url)
    return search


async def _kill_workers(shape: Shape, deployment: Deployment) -> list[Kill]:
    """Kill one worker after the other, with many calls under way; who, and when."""
    if not shape.kills:
        return []
    rng, kills = random.Random(f"{shape.seed} kills"), []
    slow = await deployment.told("faults", {"kind": "latency", "seconds": SLOW_SECONDS})
    for number in range(shape.kills):
        await asyncio.sleep(rng.uniform(0.8, 1.2) * KILL_PAUSE_SECONDS)
        watched = deployment.watched[f"worker {number % shape.workers + 1}"]
        kills.append(Kill(worker=watched.name, at=time.time()))
        await asyncio.to_thread(watched.running().kill)
    await asyncio.sleep(shape.settled_demanded_seconds)
    await deployment.told(f"faults?number={slow['number']}", method="DELETE")
    return kills


async def come_to_rest(deployment: Deployment, seconds: float) -> str:
    """Wait until all are served and resolved and no chat of ours lives; what was not in time."""
    await deployment.told("webhook-faults", {"allocation": {"lost": 0}, "resolved": {"lost": 0}})
    ends_at = time.monotonic() + seconds
    try:
        await until("nobody waits", lambda: _nobody_waits(deployment), seconds)
        await asyncio.sleep(LATE_SECONDS)
        left = max(1.0, ends_at - time.monotonic())
        await until("no chat lives", lambda: _is_quiet(deployment), left)
    except NotInTime as error:
        return str(error)
    return ""


async def _nobody_waits(deployment: Deployment) -> bool:
    return bool((await deployment.told("floor"))["is_done"])


async def _is_quiet(deployment: Deployment) -> bool:
    def count() -> Any:
        with psycopg.connect(deployment.postgres.url, autocommit=True) as connection:
            return connection.execute(LIVE_CHATS).fetchone()

    return bool(await asyncio.to_thread(count) == (0,))


async def recorded(deployment: Deployment) -> Record:
    """What the run left behind, for the oracle."""
    history, chats, passes = await asyncio.to_thread(read_postgres, deployment.postgres.url)
    return Record(
        events=events_of_json(await _paged(deployment, "log", "events")),
        history=history,
        chats=chats,
        deliveries=deliveries_of_json(await _paged(deployment, "deliveries", "deliveries")),
        passes=passes,
        ended_at=(await deployment.told("truth"))["now"],
    )


async def _paged(deployment: Deployment, path: str, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := (await deployment.told(f"{path}?after={len(found)}"))[key]:
        found += page
    return found


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same moments in spans that do not touch."""
    merged: list[tuple[float, float]] = []
    for since, until_at in sorted(spans):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until_at))
        else:
            merged.append((since, until_at))
    return merged
