"""What the floor page says is wrong, and what keeps everything from being given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from sebastian_adapters.testing.builders import NOON, a_chat, an_agent
from sebastian_apps.floor.build_view import build_view
from sebastian_apps.floor.query import FloorData
from sebastian_apps.floor.view import FloorView, Waits
from sebastian_apps.observability.tracing import trace_of
from sebastian_apps.status.checks import Level
from sebastian_apps.status.floor_state import FloorRules
from sebastian_apps.status.heartbeat import own_version
from sebastian_core.domain.agent_loads import AgentLoads, CapacityRules
from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.ids import ChatId
from sebastian_core.domain.roster import Roster
from sebastian_core.ports.journal import Summary
from sebastian_core.ports.leadership import Report

RULES = FloorRules(
    capacities=CapacityRules(),
    alert_refusals=5,
    match_channels=True,
    presence_max_age=timedelta(seconds=30),
    verify=True,
)
UP = {"standing": "up", "version": own_version()}
DOWN = UP | {"standing": "down", "down_since": (NOON - timedelta(seconds=90)).isoformat()}
REFUSED = UP | {"standing": "credentials refused"}


def a_report(state: dict[str, Any], name: str = "worker-1", seconds_ago: float = 1) -> Report:
    """What a worker said a moment ago."""
    return Report(name=name, at=NOON - timedelta(seconds=seconds_ago), state=state)


def a_look(*reports: Report, **changes: Any) -> FloorData:
    """A calm floor: Anne is online, one worker is up, nobody waits."""
    values: dict[str, Any] = {
        "agent_loads": AgentLoads(NOON),
        "summary": Summary(at=NOON),
        "roster": Roster(NOON, {agent.agent_id: agent for agent in (an_agent(),)}),
        "agent_store_is_up": True,
        "line": [],
        "held": [],
        "rows": [],
        "reports": reports or (a_report(UP),),
        "minutes": [],
    }
    return FloorData(**(values | changes))


def seen(look: FloorData) -> FloorView:
    """The page."""
    return build_view(look, RULES)


def names(look: FloorData) -> list[str]:
    """What is wrong, worst first."""
    return [banner.name for banner in seen(look).banners]


def waiting(number: int = 1, stuck: int = 0) -> dict[str, Any]:
    """So many chats in the line."""
    summary = Summary(at=NOON, waiting=number, ready=number, stuck=stuck, oldest_arrived_at=NOON)
    return {"line": [a_chat()], "summary": summary}


PUT_ASIDE = {"name": "ours:Gold", "suspended": "it hung or crashed its worker, 2 times"}
RAISED = {"name": "ours:Gold", "suspended": None, "refusals": 3, "last_refusal": "KeyError"}
OLD = Roster(NOON - timedelta(minutes=3), {an_agent().agent_id: an_agent()})
OFFLINE = Roster(NOON, {an_agent().agent_id: an_agent(online=False)})
DRIFT = {"at": NOON.isoformat(), "admitted": 1, "settled": 2}


@pytest.mark.parametrize(
    ("look", "name"),
    [
        (a_look(a_report(UP, seconds_ago=60)), "no-worker"),
        (a_look(a_report({"stopped": True})), "no-worker"),
        (a_look(a_report(UP | {"policy": PUT_ASIDE})), "policy-suspended"),
        (a_look(a_report(UP | {"policy": RAISED})), "policy-refused"),
        (a_look(a_report(REFUSED)), "worker-credentials-refused"),
        (a_look(a_report(DOWN)), "worker-platform-down"),
        (a_look(a_report(DOWN), a_report(UP, "worker-2")), "worker-platform-down"),
        (a_look(roster=None), "roster-missing"),
        (a_look(roster=OLD), "roster-old"),
        (a_look(roster=OFFLINE), "nobody-online"),
        (a_look(**waiting(stuck=1)), "stuck-chats"),
        (a_look(agent_store_is_up=False), "redis-unreachable"),
        (a_look(a_report(UP | {"drift": DRIFT})), "webhooks-lost"),
        (a_look(a_report(UP | {"reconcile": {"too_old": 3}})), "rooms-too-old"),
        (a_look(a_report(UP | {"reconcile": {"without_message": 2}})), "rooms-without-message"),
        (a_look(a_report(UP | {"reconcile": {"unreadable": 2}})), "rooms-unreadable"),
        (a_look(a_report(UP | {"refresh": {"findings": {"unreadable": 1}}})), "agents-unreadable"),
        (a_look(a_report(UP | {"honours_user_ids": False})), "user-ids-ignored"),
    ],
)
def test_each_trouble_has_a_banner_of_its_own(look: FloorData, name: str) -> None:
    assert names(look) == [name]


def test_a_calm_floor_has_none() -> None:
    assert names(a_look()) == []


def test_the_worst_comes_first() -> None:
    look = a_look(a_report(DOWN | {"drift": DRIFT}), agent_store_is_up=False)

    assert names(look) == ["worker-platform-down", "redis-unreachable", "webhooks-lost"]


def test_nobody_online_is_worse_while_somebody_waits() -> None:
    calm, grave = seen(a_look(roster=OFFLINE)), seen(a_look(roster=OFFLINE, **waiting()))

    assert [calm.banners[0].level, grave.banners[0].level] == [Level.WARNING, Level.PROBLEM]


def test_an_old_drift_is_no_longer_news() -> None:
    old = DRIFT | {"at": (NOON - timedelta(hours=1)).isoformat()}

    assert names(a_look(a_report(UP | {"drift": old}))) == []


@pytest.mark.parametrize(
    ("look", "waits", "why"),
    [
        (a_look(**waiting()), Waits.NEXT, "ready: given within seconds"),
        (a_look(roster=OFFLINE, **waiting()), Waits.NOBODY, "nobody free: of 1 agent 1 is offline"),
        (a_look(roster=None, **waiting()), Waits.NOBODY, "the agents have not been read"),
        (a_look(a_report(DOWN), **waiting()), Waits.HALT, "on hold: Qiscus does not answer"),
        (
            a_look(a_report(REFUSED), **waiting()),
            Waits.HALT,
            "on hold: Qiscus refuses our credentials",
        ),
        (a_look(a_report({"stopped": True}), **waiting()), Waits.HALT, "on hold: no worker runs"),
    ],
)
def test_each_chat_in_the_line_says_why_not_yet(look: FloorData, waits: Waits, why: str) -> None:
    (row,) = seen(look).line

    assert (row.waits, row.why) == (waits, why)


def test_only_so_many_are_next_as_slots_are_free() -> None:
    line = [evolve(a_chat(), id=ChatId(number)) for number in range(1, 6)]
    capacity = RULES.capacities.default
    rows = seen(a_look(**(waiting(5) | {"line": line}))).line

    assert [row.waits for row in rows] == [Waits.NEXT] * capacity + [Waits.NOBODY] * (5 - capacity)
    assert rows[-1].why == f"4 before it, {capacity} slots free"


def test_a_chat_that_came_while_the_page_was_read_was_refused_by_nobody() -> None:
    young = evolve(a_chat(), ready_at=NOON + timedelta(milliseconds=20))
    (row,) = seen(a_look(**(waiting() | {"line": [young]}))).line

    assert row.waits is Waits.NEXT


def test_an_agent_holds_what_is_shown_of_them() -> None:
    chats = [
        evolve(a_chat(), id=ChatId(n), state=ChatState.ASSIGNED, agent_id=an_agent().agent_id)
        for n in (1, 2)
    ]
    look = a_look(agent_loads=AgentLoads(NOON, loads={an_agent().agent_id: 1}), held=chats)
    (agent,) = seen(look).agents

    assert agent.load == len(agent.places) == 2


def test_the_trace_of_a_chat_stays_whatever_becomes_of_it_and_is_nobody_elses() -> None:
    chat = a_chat()
    later = evolve(chat, version=9, refusals=3, ready_at=NOON + timedelta(hours=1))

    assert trace_of(chat) == trace_of(later)
    assert trace_of(chat) != trace_of(evolve(chat, id=ChatId(2)))
    assert len(trace_of(chat)) == 32
