"""What the doctor says of the workers, word by word."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sebastian_apps.cli.diagnosis.findings import Finding
from sebastian_apps.cli.diagnosis.workers import Seen, judged
from sebastian_apps.settings import load_settings
from sebastian_apps.worker.notes import own_version
from sebastian_core.ports.room_repo import Report
from tests.builders import NOON

SETTINGS = load_settings(None, {})


def ago(seconds: float) -> str:
    """A moment before noon, as a report tells it."""
    return (NOON - timedelta(seconds=seconds)).isoformat()


def words(**changes: Any) -> dict[str, Any]:
    """What a worker says that has the duties and is well."""
    well: dict[str, Any] = {
        "standing": "up",
        "version": own_version(),
        "started_at": ago(3600),
        "duties": True,
        "refresh": {"at": ago(4)},
        "reconcile": {"at": ago(41), "too_old": 0},
    }
    return {**well, **changes}


def found(*states: dict[str, Any], silent: float = 1, **seen: Any) -> list[Finding]:
    """What the doctor finds where workers said this, `silent` seconds before noon."""
    reports = [
        Report(name=f"w{number}", at=NOON - timedelta(seconds=silent), state=state)
        for number, state in enumerate(states, 1)
    ]
    return judged(Seen(**{"now": NOON, "reports": reports, "read_at": NOON, **seen}), SETTINGS)


OTHER = {"standing": "up", "version": own_version(), "started_at": ago(60), "duties": False}
DRIFT = {"at": ago(60), "admitted": 2, "settled": 1}
PUT_ASIDE = {
    "name": "ours:Gold",
    "suspended": "it hung or crashed its worker, 2 times",
    "refusals": 0,
    "last_refusal": "KeyError",
}

GOLDEN: list[tuple[list[Finding], str, str]] = [
    (
        found(words(), OTHER),
        "ok workers: 2 workers at work; agents read 4 s ago; line compared 41 s ago.",
        "",
    ),
    (
        found(words(), silent=125),
        "problem workers-silent: A worker holds the duties, but none has reported for 2 min 5 s.",
        "Look whether its process is frozen, and into its log; restart it.",
    ),
    (
        found(),
        (
            "problem workers-silent: A worker holds the duties, but none has reported in the"
            " last hour."
        ),
        "Look whether its process is frozen, and into its log; restart it.",
    ),
    (
        found(words(standing="credentials refused")),
        (
            "problem worker-credentials-refused: Qiscus refuses the credentials of w1: nothing"
            " is assigned there."
        ),
        "Correct qiscus.app_id and qiscus.secret_key, then restart the workers.",
    ),
    (
        found(words(standing="down", down_since=ago(90))),
        "problem worker-platform-down: Qiscus has not answered w1 for 1 min 30 s.",
        "Nothing if Qiscus is down: the line is kept. Else look at the network and proxy.",
    ),
    (
        found(words(), {**OTHER, "standing": "down"}),
        "warning worker-platform-down: Qiscus has not answered w2.",
        "Others reach it: look at the network of the machine that it runs on.",
    ),
    (
        found(words(trouble={"reconcile": {"at": ago(7), "why": "Qiscus answered 500"}})),
        (
            "warning duty-failing: The duty 'reconcile' of w1 fails, last 7 s ago: Qiscus"
            " answered 500."
        ),
        "It is tried again. Its log tells more: docs/runbook.md, SebastianDutiesFailing.",
    ),
    (
        found(words(refresh={"at": ago(300)})),
        "warning refresh-late: The agents were last read 5 min ago.",
        "See duty-failing here, or the worker's log; is qiscus.rate_limit far too low?",
    ),
    (
        found(words(refresh=None)),
        "warning refresh-late: The agents were never read by w1.",
        "See duty-failing here, or the worker's log; is qiscus.rate_limit far too low?",
    ),
    (
        found(words(reconcile={"at": ago(600)})),
        "warning reconcile-late: The line was last compared 10 min ago: lost webhooks stay lost.",
        "See duty-failing here, or the worker's log.",
    ),
    (
        found(words(), read_at=None),
        "warning roster-missing: Redis holds no roster: nobody counts as online.",
        "Do the workers and this command name the same Redis?",
    ),
    (
        found(words(), read_at=NOON - timedelta(minutes=3)),
        "warning roster-old: The roster in Redis is 3 min old.",
        "Do the workers and this command name the same Redis?",
    ),
    (
        found(words(drift=DRIFT)),
        (
            "warning webhooks-lost: w1 repaired our record 1 min ago: 2 admitted whose webhook"
            " was lost, 1 settled that Qiscus contradicted."
        ),
        "Webhooks get lost: look at the way from Qiscus to sebastian-webhook.",
    ),
    (
        found(words(reconcile={"at": ago(1), "too_old": 3})),
        (
            "warning rooms-too-old: 3 rooms wait at Qiscus for longer than reconcile.max_age,"
            " and are not taken in."
        ),
        "Serve or resolve them there, or raise reconcile.max_age.",
    ),
    (
        found(words(reconcile={"at": ago(1), "unreadable": 2})),
        "warning rooms-unreadable: 2 rooms in Qiscus's list of waiting rooms cannot be read.",
        "Report it with that list: rooms whose webhook is lost are looked for there.",
    ),
    (
        found(words(), {**OTHER, "policy": PUT_ASIDE}),
        (
            "warning policy-suspended: ours:Gold was put aside: it hung or crashed its worker,"
            " 2 times; the shipped one serves."
        ),
        "Mend the policy and restart sebastian-worker, or: sebastian policy retry",
    ),
    (
        found(words(policy={**PUT_ASIDE, "suspended": None, "refusals": 3})),
        "warning policy-refused: ours:Gold could not be used 3 times: KeyError.",
        "The shipped policy served instead. The worker's log tells more; mend yours.",
    ),
    (
        found(words(honours_user_ids=False)),
        (
            "warning user-ids-ignored: Qiscus ignores user_ids: chats that others gave cannot"
            " be told apart."
        ),
        "Nothing here; capacity does not count chats that Sebastian did not give.",
    ),
    (
        found(words(version="0.0.9"), {**OTHER, "version": None}),
        (
            f"warning versions-differ: This is version {own_version()}, but w1 runs 0.0.9, w2"
            f" runs an older one."
        ),
        "Restart what is old, when the upgrade is done.",
    ),
]


@pytest.mark.parametrize(
    ("findings", "golden", "remedy"), GOLDEN, ids=[text.split()[1] for _, text, _ in GOLDEN]
)
def test_each_finding_says_what_is_wrong_and_what_helps(
    findings: list[Finding], golden: str, remedy: str
) -> None:
    (told,) = findings

    assert f"{told.verdict} {told.name}: {told.text}" == golden
    assert told.remedy == remedy


@pytest.mark.parametrize("duty", ["refresh", "reconcile"])
def test_a_worker_that_has_just_started_is_not_late(duty: str) -> None:
    (told,) = found(words(started_at=ago(5), **{duty: None}))

    assert told.name == "workers"


def test_only_who_has_the_duties_is_asked_when_they_were_done() -> None:
    (told,) = found(words(), {**OTHER, "refresh": {"at": ago(900)}})

    assert told.name == "workers"


def test_nothing_is_said_of_a_roster_that_could_not_be_asked_for() -> None:
    (told,) = found(words(), read_at=None, roster_is_known=False)

    assert told.name == "workers"
