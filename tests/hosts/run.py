"""Runs the floor on several hosts, cuts one after the other off, and lets the oracle judge."""

from __future__ import annotations

import asyncio
import pickle
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import psycopg
from attrs import asdict, define, evolve, field

from tests.chaos.deployment import Deployment
from tests.chaos.outcome import judged
from tests.chaos.run import come_to_rest, new_directory, recorded
from tests.hosts.deployment import deployed
from tests.hosts.network import Network, network
from tests.hosts.outcome import CutOff, Outcome
from tests.hosts.shape import HOST_A, HOST_B, SERVERS, HostsShape

LOOK_SECONDS = 0.2
_DUTIES = "select holder from sebastian.duty where until > clock_timestamp()"
_SESSIONS = "select count(*) from pg_stat_activity where client_addr = %s::inet"


def run(shape: HostsShape, *, keep: bool = False) -> Outcome:
    """Run it with hosts of its own; what it wrote stays where something was wrong.

    Raises NoNamespaces where no hosts can be made.
    """
    directory = new_directory("hosts")
    with network(SERVERS, HOST_A, HOST_B) as made, made[SERVERS].entered():
        outcome = asyncio.run(_played(shape, made, directory))
    if keep or not outcome.is_clean:
        return evolve(outcome, kept=directory)
    shutil.rmtree(directory, ignore_errors=True)
    return outcome


def end_on_sigterm() -> None:
    """Let SIGTERM unwind everything, as Ctrl-C does, so that no namespace stays behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


async def _played(shape: HostsShape, made: Network, directory: Path) -> Outcome:
    async with deployed(shape, made, directory) as deployment:
        return await _play(shape, made, deployment)


async def _play(shape: HostsShape, made: Network, deployment: Deployment) -> Outcome:
    duties = DutyWatch(deployment)
    watching = asyncio.create_task(duties.watch())
    await deployment.told("floor", asdict(shape.floor))
    cuts = []
    for name, how in shape.cuts:
        await asyncio.sleep(shape.calm_seconds)
        at = time.time()
        await asyncio.to_thread(made.cut, name, how)
        await asyncio.sleep(shape.cut_seconds)
        sessions = await asyncio.to_thread(_sessions, deployment, made[name].address)
        await asyncio.to_thread(made.heal, name, how)
        cuts.append(CutOff(host=name, how=how, at=at, healed_at=time.time(), sessions=sessions))
    await asyncio.sleep(shape.calm_seconds)
    unrest = await come_to_rest(deployment, shape.rest_seconds)
    watching.cancel()
    record = await recorded(deployment)
    (deployment.directory / "record.pickle").write_bytes(pickle.dumps(record))
    outcome = Outcome(
        shape=shape,
        record=record,
        verdict=judged(shape, record, outages=()),
        cuts=cuts,
        duties=duties.changes,
        logs={name: each.log.read_text() for name, each in deployment.watched.items()},
        starts={name: each.starts for name, each in deployment.watched.items()},
        unrest=unrest,
    )
    told = f"{outcome.told()}\n\n{outcome.verdict.told(1000)}\n"
    (deployment.directory / "verdict.txt").write_text(told)
    return outcome


@define
class DutyWatch:
    """Looks at the lease again and again, and remembers whenever another process has it."""

    deployment: Deployment
    changes: list[tuple[float, str]] = field(factory=list)
    """When it was first seen to be whose; nobody's is an empty name."""

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            holder = await asyncio.to_thread(self._look)
            if not self.changes or self.changes[-1][1] != holder:
                self.changes.append((time.time(), holder))
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> str:
        row = _asked(self.deployment, _DUTIES)
        return "" if row is None else self._process(str(row[0]))

    def _process(self, holder: str) -> str:
        """A worker's name holds its process id."""
        _, pid, _ = holder.rsplit(":", 2)
        watched = self.deployment.watched.items()
        return next(name for name, each in watched if str(each.running().pid) == pid)


def _sessions(deployment: Deployment, address: str) -> int:
    row = _asked(deployment, _SESSIONS, address)
    return int(row[0]) if row is not None else 0


def _asked(deployment: Deployment, question: str, *parameters: str) -> tuple[Any, ...] | None:
    with psycopg.connect(deployment.postgres.url, autocommit=True) as connection:
        return connection.execute(question.encode(), parameters).fetchone()
