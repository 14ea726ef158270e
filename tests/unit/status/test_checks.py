"""What the checks say of a floor, word by word."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from sebastian_adapters.testing.builders import NOON, an_agent
from sebastian_apps.settings import load_settings
from sebastian_apps.status.checks import CheckResult, check_floor
from sebastian_apps.status.floor_state import FloorRules, FloorState
from sebastian_apps.status.heartbeat import own_version
from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting
from sebastian_core.domain.roster import Roster
from sebastian_core.ports.journal import Minute, Summary
from sebastian_core.ports.leadership import Report

RULES = FloorRules.of(load_settings(None, {}))


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


def found(*states: dict[str, Any], silent: float = 1, **seen: Any) -> list[CheckResult]:
    """What is found if workers said this, `silent` seconds before noon, on a calm floor."""
    reports = [
        Report(name=f"w{number}", at=NOON - timedelta(seconds=silent), state=state)
        for number, state in enumerate(states, 1)
    ]
    agent = an_agent()
    calm: dict[str, Any] = {
        "agent_loads": AgentLoads(NOON),
        "summary": Summary(at=NOON),
        "roster": Roster(NOON, {agent.agent_id: agent}),
        "agent_store_is_up": True,
        "reports": reports,
        "minutes": (),
    }
    told = check_floor(FloorState(**{**calm, **seen}), RULES)
    return [each for each in told if each.name != "workers"] or told


OTHER = {"standing": "up", "version": own_version(), "started_at": ago(60), "duties": False}
DRIFT = {"at": ago(60), "admitted": 2, "settled": 1}
PUT_ASIDE = {
    "name": "ours:Gold",
    "suspended": "it hung or crashed its worker, 2 times",
    "refusals": 0,
    "last_refusal": "KeyError",
}

START = "Start one: sebastian-worker. If it runs, see its log."
LATE = "See duty-failing here, or the worker's log; is qiscus.rate_limit far too low?"
SAME_REDIS = "Do the workers and this process name the same Redis? Is a worker's refresh late?"

ANNE = an_agent().agent_id
ONLINE = Roster(NOON, {ANNE: an_agent()})
OFFLINE = Roster(NOON, {ANNE: an_agent(online=False)})
ALL_PAUSED = AgentLoads(NOON, settings={ANNE: AgentSetting(paused=True)})
ALL_FULL = AgentLoads(NOON, loads={ANNE: 3})


def waiting(number: int, minutes: float = 1) -> Summary:
    """So many chats in the line, the first since so many minutes."""
    since = NOON - timedelta(minutes=minutes)
    return Summary(at=NOON, waiting=number, ready=number, oldest_arrived_at=since)


def minute(arrived: int, assigned: int) -> Minute:
    """The minute before noon."""
    return Minute(began_at=NOON - timedelta(minutes=1), arrived=arrived, assigned=assigned)


GOLDEN: list[tuple[list[CheckResult], str, str]] = [
    (
        found(words(), OTHER),
        "ok workers: 2 workers at work; agents read 4 s ago; line compared 41 s ago.",
        "",
    ),
    (
        found(words(), silent=125),
        (
            "problem no-worker: No worker runs: chats come in, and nobody gives them to agents. "
            "The last one, w1, was heard 2 min 5 s ago."
        ),
        START,
    ),
    (
        found(),
        "problem no-worker: No worker runs: chats come in, and nobody gives them to agents.",
        START,
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
        (
            "If Qiscus is down, nothing has to be done: everybody keeps their place, and the line "
            "goes on as soon as it answers. Else look at the network and the proxy."
        ),
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
        LATE,
    ),
    (
        found(words(refresh=None)),
        "warning refresh-late: The agents were never read by w1.",
        LATE,
    ),
    (
        found(words(reconcile={"at": ago(600)})),
        "warning reconcile-late: The line was last compared 10 min ago: lost webhooks stay lost.",
        LATE,
    ),
    (
        found(words(), roster=None),
        "warning roster-missing: The agents have not been read yet: nobody counts as online.",
        SAME_REDIS,
    ),
    (
        found(words(), roster=evolve(ONLINE, read_at=NOON - timedelta(minutes=3))),
        "warning roster-old: The agents were last read 3 min ago: who is online may have changed.",
        SAME_REDIS,
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
        "Serve or resolve them there, or raise that limit.",
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
            "notice user-ids-ignored: Qiscus ignores user_ids: chats that others gave cannot"
            " be told apart."
        ),
        "Nothing here; capacity does not count chats that Sebastian did not give.",
    ),
    (
        found(words(done={"sweep": {"at": ago(400), "every": 120, "leader_only": True}})),
        "warning sweep-late: The duty 'sweep' was last done 6 min 40 s ago.",
        LATE,
    ),
    (
        found(words(), roster=OFFLINE),
        "warning nobody-online: None of 1 agent is online. The next customer will wait.",
        "An agent logs in to Qiscus and sets themselves available.",
    ),
    (
        found(words(), roster=OFFLINE, summary=waiting(3)),
        "problem nobody-online: None of 1 agent is online. 3 customers wait, in their places.",
        "An agent logs in to Qiscus and sets themselves available.",
    ),
    (
        found(words(), agent_loads=ALL_PAUSED, summary=waiting(1)),
        (
            "problem nobody-free: No agent can take a chat: of 1 agent 1 is paused. "
            "1 customer waits, in their places."
        ),
        "Resume an agent who is paused, give them room, or have somebody come online.",
    ),
    (
        found(words(), agent_loads=ALL_PAUSED),
        (
            "warning nobody-free: No agent can take a chat: of 1 agent 1 is paused. "
            "The next customer will wait."
        ),
        "Resume an agent who is paused, give them room, or have somebody come online.",
    ),
    (
        found(words(), agent_loads=ALL_FULL, summary=waiting(2)),
        (
            "warning nobody-free: No agent can take a chat: of 1 agent 1 is full. "
            "2 customers wait, in their places."
        ),
        "Resolve what is over, raise a capacity, or have more agents come online.",
    ),
    (
        found(words(), summary=waiting(4, minutes=11)),
        "warning line-long: The first in the line has waited 11 min (4 chats waiting).",
        "See: sebastian queue. It says of each chat why it is not given yet.",
    ),
    (
        found(words(), summary=waiting(30), minutes=[minute(45, 15)]),
        (
            "warning line-growing: The line grows: in 10 minutes 45 chats came and 15 were given "
            "to agents; 30 wait."
        ),
        "More agents, or more capacity. See: sebastian queue, sebastian agents.",
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
    findings: list[CheckResult], golden: str, remedy: str
) -> None:
    (told,) = findings

    assert f"{told.level} {told.name}: {told.text}" == golden
    assert told.remedy == remedy


@pytest.mark.parametrize("duty", ["refresh", "reconcile"])
def test_a_worker_that_has_just_started_is_not_late(duty: str) -> None:
    (told,) = found(words(started_at=ago(5), **{duty: None}))

    assert told.name == "workers"


def test_only_who_has_the_duties_is_asked_when_they_were_done() -> None:
    (told,) = found(words(), {**OTHER, "refresh": {"at": ago(900)}})

    assert told.name == "workers"


def test_nothing_is_said_of_a_roster_that_could_not_be_asked_for() -> None:
    (told,) = found(words(), roster=None, agent_store_is_up=False)

    assert told.name == "redis-unreachable"


def test_a_full_floor_without_a_line_is_no_trouble() -> None:
    (told,) = found(words(), agent_loads=ALL_FULL)

    assert told.name == "workers"


def test_what_fails_because_qiscus_does_not_answer_is_told_once() -> None:
    down = words(
        standing="down",
        trouble={"refresh": {"at": ago(3), "why": "no answer"}},
        refresh={"at": ago(300)},
    )
    (told,) = found(down, roster=evolve(ONLINE, read_at=NOON - timedelta(minutes=5)))

    assert told.name == "worker-platform-down"


def test_a_duty_that_fails_everywhere_is_told_once_with_all_who_do_it() -> None:
    trouble = {"trouble": {"clock": {"at": ago(3), "why": "no answer"}}}
    (told,) = found(words(**trouble), {**OTHER, **trouble})

    assert "of w1, w2 fails" in told.text


def test_a_worker_that_has_just_become_the_leader_is_not_late() -> None:
    new = words(done={"sweep": {"at": None, "every": 5, "leader_only": True}}, leader_since=ago(10))
    (told,) = found(new)

    assert told.name == "workers"


def test_a_line_that_is_given_as_fast_as_it_comes_does_not_grow() -> None:
    (told,) = found(words(), summary=waiting(30), minutes=[minute(45, 40)])

    assert told.name == "workers"


def test_nothing_is_said_of_workers_that_cannot_report() -> None:
    state = FloorState(
        agent_loads=AgentLoads(NOON),
        summary=Summary(at=NOON),
        roster=ONLINE,
        agent_store_is_up=True,
        reports=[],
        minutes=[],
    )

    assert check_floor(state, RULES, takes_writes=False) == []
