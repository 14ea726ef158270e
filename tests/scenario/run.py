"""Runs one scenario: opens the floor, waits until all is quiet, reads what is left behind."""

from __future__ import annotations

import pickle
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from attrs import asdict, evolve

from sebastian_apps.fake_qiscus.faults import InjectedFault
from tests.canaries import SUITE
from tests.oracle import Record
from tests.oracle.reading import deliveries_of_json, events_of_json, read_postgres
from tests.scenario.heartbeat import heartbeat, stalls_between
from tests.scenario.metrics import compared
from tests.scenario.outcome import Outcome, outcome_of
from tests.scenario.processes import Deployment, NotReady, deployed, wait_until
from tests.scenario.scenarios import Scenario

LIVE_CHATS = "select count(*) from sebastian.chat where state <> 'closed'"
LATE_SECONDS = 2.5
"""Longer than any webhook is late."""


def run(scenario: Scenario, *, keep: bool = False) -> Outcome:
    """Run it with processes of its own; logs stay where a promise was broken, or with `keep`."""
    directory = Path(tempfile.mkdtemp(prefix=f"sebastian-floor-{scenario.name}-"))
    directory.chmod(0o755)
    with deployed(scenario, directory) as deployment:
        outcome = _play(scenario, deployment)
    if keep or not outcome.verdict.is_clean or outcome.metrics_that_differ:
        return evolve(outcome, kept=directory)
    SUITE.look_at_logs(directory)
    shutil.rmtree(directory, ignore_errors=True)
    return outcome


def _play(scenario: Scenario, deployment: Deployment) -> Outcome:
    _misbehave(scenario, deployment)
    cpu_before, began = deployment.cpu_seconds(), time.monotonic()
    with heartbeat(deployment.database_url) as beats:
        deployment.told("floor", asdict(scenario.floor))
        _wait_until_quiet(scenario, deployment)
    elapsed = time.monotonic() - began
    cpu = {name: used - cpu_before[name] for name, used in deployment.cpu_seconds().items()}
    scraped = deployment.scraped()
    record = _record(deployment)
    (deployment.directory / "record.pickle").write_bytes(pickle.dumps(record))
    metrics = compared(scraped, record, capacity=scenario.floor.capacity)
    outcome = outcome_of(scenario, record, cpu, elapsed, metrics, stalls_between(beats))
    (deployment.directory / "verdict.txt").write_text(
        "\n".join([outcome.table(), "", outcome.verdict.told(1000), "", *map(str, metrics)])
    )
    return outcome


def _misbehave(scenario: Scenario, deployment: Deployment) -> None:
    if scenario.lost_share:
        lost = {"lost": scenario.lost_share}
        deployment.told("webhook-faults", {"allocation": lost, "resolved": lost})
    if scenario.failed_after_applied_share:
        fault = InjectedFault(
            kind="status",
            status=500,
            probability=scenario.failed_after_applied_share,
            is_applied=True,
        )
        deployment.told("faults", asdict(fault))


def _wait_until_quiet(scenario: Scenario, deployment: Deployment) -> None:
    """The last customer is resolved, the last late webhook is in, and no chat of ours lives.

    A floor that does not come to rest is judged as it is: the oracle says what is wrong.
    """
    deadline = scenario.floor.chats / scenario.floor.rate_per_second + scenario.quiet_seconds
    try:
        wait_until("the floor is done", lambda: _floor_is_done(deployment), deadline)
        time.sleep(LATE_SECONDS)
        with psycopg.connect(deployment.database_url, autocommit=True) as connection:
            wait_until("no chat lives", lambda: _is_quiet(connection), scenario.quiet_seconds)
    except NotReady as error:
        (deployment.directory / "not-quiet.txt").write_text(f"{error}\n")


def _floor_is_done(deployment: Deployment) -> bool:
    return bool(deployment.told("floor")["is_done"])


def _is_quiet(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(LIVE_CHATS).fetchone()
    return row is not None and row[0] == 0


def _record(deployment: Deployment) -> Record:
    history, chats, passes = read_postgres(deployment.database_url)
    return Record(
        events=events_of_json(_events(deployment)),
        history=history,
        chats=chats,
        deliveries=deliveries_of_json(_deliveries(deployment)),
        passes=passes,
        ended_at=deployment.told("truth")["now"],
    )


def _events(deployment: Deployment) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while page := deployment.told(f"log?after={len(events)}")["events"]:
        events += page
    return events


def _deliveries(deployment: Deployment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := deployment.told(f"deliveries?after={len(found)}")["deliveries"]:
        found += page
    return found
