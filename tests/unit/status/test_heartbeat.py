"""What a worker writes of itself is what others read, also those of the version before."""

from __future__ import annotations

import json
from datetime import timedelta

from sebastian_adapters.testing.builders import NOON
from sebastian_apps.status.heartbeat import WorkerStatus, living
from sebastian_core.domain.rate_limit import CircuitState
from sebastian_core.ports.leadership import Report
from sebastian_core.usecases.reconcile import Reconciled
from sebastian_core.usecases.refresh import Refreshed

LATER = NOON + timedelta(minutes=5)


def a_status() -> WorkerStatus:
    """A worker with the duties, one of which fails."""
    status = WorkerStatus(started_at=NOON, policy={"name": "ours:Gold", "suspended": None})
    status.leads(NOON, leads=True)
    status.sees(CircuitState.CLOSED, NOON)
    status.expects("refresh", timedelta(seconds=10), leader_only=True)
    status.expects("reconcile", timedelta(minutes=1), leader_only=True)
    status.expects("clock", timedelta(seconds=30), leader_only=False)
    status.done("refresh", NOON, Refreshed(agents=3, online=2, findings={"unreadable": 1}))
    status.done("reconcile", NOON, Reconciled(listed=9, admitted=2, too_old=4))
    status.failed("clock", NOON, "no answer")
    return status


def stored(status: WorkerStatus) -> Report:
    """What the store gives back."""
    return Report(name="w1", at=NOON, state=json.loads(json.dumps(status.document())))


def test_a_status_is_read_as_it_was_written() -> None:
    status = a_status()

    read = WorkerStatus.read(stored(status))

    assert (read.name, read.at) == ("w1", NOON)
    assert read.document() == status.document()
    assert read.duties == status.duties


def test_a_duty_that_nobody_knew_before_is_late_without_any_further_word() -> None:
    status = a_status()
    status.expects("sweep", timedelta(minutes=1), leader_only=True)
    status.done("sweep", NOON)

    read = WorkerStatus.read(stored(status))

    assert "sweep" not in {duty.name for duty in read.late(NOON + timedelta(minutes=3))}
    assert "sweep" in {duty.name for duty in read.late(LATER)}


def test_only_the_leader_is_late_with_what_the_leader_does() -> None:
    status = a_status()
    status.leads(NOON, leads=False)

    assert {duty.name for duty in status.late(LATER)} == {"clock"}


def test_who_leads_no_more_fails_no_more_at_what_the_leader_does() -> None:
    status = a_status()
    status.failed("refresh", NOON, "no answer")
    status.leads(NOON, leads=False)

    assert status.document()["trouble"].keys() == {"clock"}


def test_a_duty_that_went_well_again_fails_no_more() -> None:
    status = a_status()
    status.done("clock", NOON)

    assert status.document()["trouble"] == {}


def test_the_version_before_reads_what_it_knows() -> None:
    document = a_status().document()

    assert document["standing"] == "up"
    assert document["duties"] is True
    assert document["refresh"]["at"] == NOON.isoformat()
    assert document["refresh"]["findings"] == {"unreadable": 1}
    assert document["reconcile"]["too_old"] == 4
    assert document["drift"]["admitted"] == 2
    assert document["trouble"] == {"clock": {"at": NOON.isoformat(), "why": "no answer"}}


def test_what_the_version_before_wrote_is_read() -> None:
    before = {
        "version": "0.0.9",
        "started_at": NOON.isoformat(),
        "standing": "down",
        "down_since": NOON.isoformat(),
        "duties": True,
        "refresh": {"at": NOON.isoformat(), "agents": 3, "online": 2, "findings": {}},
        "reconcile": None,
        "drift": None,
        "trouble": {"settle": {"at": NOON.isoformat(), "why": "no answer"}},
        "policy": None,
    }

    read = WorkerStatus.read(Report(name="old", at=NOON, state=before))

    assert read.is_leader
    assert read.down_since == NOON
    assert read.duties["settle"].why == "no answer"
    assert {duty.name for duty in read.late(LATER)} == {"refresh", "reconcile"}


def test_a_worker_that_said_nothing_but_goodbye_is_read_and_lives_no_more() -> None:
    assert living([Report(name="w1", at=NOON, state={"stopped": True})], NOON) == []


def test_since_when_qiscus_does_not_answer_is_remembered_until_it_does() -> None:
    status = WorkerStatus()
    status.sees(CircuitState.OPEN, NOON)
    status.sees(CircuitState.OPEN, LATER)
    since = status.down_since
    status.sees(CircuitState.CLOSED, LATER)

    assert (since, status.down_since) == (NOON, None)
