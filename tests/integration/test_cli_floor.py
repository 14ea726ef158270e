"""A hand on the wheel and why, through the command line, on real stores and a stand-in platform."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from sebastian_apps.cli.main import main
from sebastian_apps.fake_qiscus import InjectedFault
from sebastian_apps.status.heartbeat import WorkerStatus
from sebastian_core.domain.chat import Transition
from sebastian_core.domain.ids import AgentId, RoomId
from tests.integration.cli_world import World, a_world

ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[World]:
    async with a_world(tmp_path, postgres_url, redis_url) as world:
        yield world


@pytest.fixture
async def room(world: World) -> str:
    """A room that waits, with one agent online who may hold one chat."""
    world.configure("webhook", max_current_customer=1)
    world.fake.platform.add_agent("Anne", agent_id=7)
    return await arrives(world)


async def arrives(world: World) -> str:
    """A customer's room that the platform shows waiting, taken into the line."""
    room_id = world.fake.platform.new_room_id()
    world.fake.platform.customer_message(room_id)
    async with world.worker() as allocator:
        await allocator.refresh()
        await allocator.reconcile()
    await says_that_it_lives(world)
    return room_id


async def says_that_it_lives(world: World) -> None:
    """A worker that Qiscus answers."""
    async with world.worker() as allocator:
        status = WorkerStatus()
        status.sees("up", allocator.clock.now())
        await allocator.leadership.report("w", status.document())


async def test_an_empty_line_says_so(world: World) -> None:
    assert await world.output("queue") == "Nothing waits.\n"


async def test_the_line_is_shown_with_why_each_chat_waits(world: World, room: str) -> None:
    lines = (await world.output("queue")).splitlines()

    assert lines[0].split() == ["place", "room", "waits", "channel", "source", "why", "not", "yet"]
    assert lines[1].split()[:2] == ["1", room]
    assert lines[1].endswith("ready: given within seconds")
    assert lines[2] == "1 waiting: 1 ready, 0 in doubt, 0 stuck"
    (shown,) = (await world.json("queue"))["line"]
    assert (shown["room_id"], shown["hold"]) == (room, "dispatch")


async def test_a_dropped_chat_leaves_the_line_and_stays_out(world: World, room: str) -> None:
    said = await world.output("queue", "drop", room)

    async with world.worker() as allocator:
        await allocator.reconcile()
        newest, *_ = await allocator.journal.history(RoomId(room))
    assert said == f"Room {room} is out of the line, until its customer writes again.\n"
    assert (newest.move, newest.actor) == (Transition.CLOSE, ME)
    assert await world.output("queue") == "Nothing waits.\n"


async def test_dropping_what_does_not_wait_fails_with_a_sentence(world: World) -> None:
    result = await world.run("queue", "drop", "4711")

    assert result.exit_code == 1
    expected = "Room 4711 does not wait: it has no live chat. See: sebastian why 4711\n"
    assert result.output == expected


async def test_a_ready_chat_can_be_released_without_effect(world: World, room: str) -> None:
    assert await world.output("queue", "release", room) == (
        f"Room {room} is ready; it keeps its place.\n"
    )


async def refused(world: World, postgres_url: str, **times: int) -> None:
    """Rooms that Qiscus refused so often, and that are tried again in an hour."""
    with psycopg.connect(postgres_url) as connection:
        for room, refusals in times.items():
            connection.execute(
                "update sebastian.chat set refusals = %s, ready_at = now() + interval '1 hour'"
                " where room_id = %s",
                (refusals, room.removeprefix("room")),
            )


async def test_all_that_are_stuck_are_released_at_once_and_no_others(
    world: World, room: str, postgres_url: str
) -> None:
    others = [await arrives(world), await arrives(world)]
    times = dict(zip((f"room{each}" for each in (room, *others)), (5, 1, 7), strict=True))
    await refused(world, postgres_url, **times)

    said = await world.output("queue", "release", "--stuck")
    ready = {each["room_id"]: each["until"] is None for each in (await world.json("queue"))["line"]}

    assert said == "2 chats are ready; all keep their places.\n"
    assert ready == {room: True, others[0]: False, others[1]: True}
    assert await world.output("queue", "release", "--all") == (
        "1 chat is ready; all keep their places.\n"
    )
    assert await world.output("queue", "release", "--all") == (
        "0 chats are ready; all keep their places.\n"
    )


async def test_releasing_names_one_room_or_many(world: World) -> None:
    for arguments in ((), ("4711", "--all"), ("--all", "--stuck")):
        result = await world.run("queue", "release", *arguments)

        assert result.exit_code == 2
        assert "Name one ROOM, or --stuck, or --all." in result.output


async def test_a_chat_is_assigned_by_hand_at_the_platform_too(world: World, room: str) -> None:
    said = await world.output("assign", room, "7")

    assert said == f"Room {room} is with agent 7, who now holds 1 of 1.\n"
    assert world.fake.platform.loads()[7] == 1
    why = await world.output("why", room)
    assert f"Why Anne (7): {ME} chose so; the agent held 0 of 1." in why


async def test_a_full_agent_is_refused_unless_over(world: World, room: str) -> None:
    await world.output("assign", room, "7")
    other = await arrives(world)

    refused = await world.run("assign", other, "7")
    given = await world.output("assign", other, "7", "--over")

    assert refused.exit_code == 1
    assert refused.output == "Agent 7 holds 1 of 1 chats already. Exceed it with --over.\n"
    assert given == f"Room {other} is with agent 7, who now holds 2 of 1.\n"


async def test_an_offline_or_unknown_agent_is_refused(world: World, room: str) -> None:
    world.fake.platform.add_agent("Ben", agent_id=8, online=False)
    async with world.worker() as allocator:
        await allocator.refresh()

    offline = await world.run("assign", room, "8")
    unknown = await world.run("assign", room, "9")

    assert offline.output == "Agent 8 is offline. Give it all the same with --offline.\n"
    assert unknown.output == "Agent 9 is not in the list of Qiscus. See: sebastian agents\n"


async def test_a_room_that_an_agent_has_is_not_assigned_again(world: World, room: str) -> None:
    await world.output("assign", room, "7")

    result = await world.run("assign", room, "7", "--over")

    assert result.exit_code == 1
    assert result.output == f"Room {room} is with agent 7 already: move it in Qiscus.\n"


async def test_agents_are_shown_with_what_they_hold(world: World, room: str) -> None:
    await world.output("assign", room, "7")

    lines = (await world.output("agents")).splitlines()

    assert lines[1].split()[:6] == ["7", "Anne", "online", "1", "of", "1"]
    assert lines[2].startswith("1 of 1 online, 0 slots free, read at ")


async def test_without_redis_the_line_is_shown_and_what_is_missing_is_told(
    world: World, room: str
) -> None:
    world.configure("redis", url="redis://127.0.0.1:1")

    result = await world.run("queue")

    assert result.exit_code == 0
    assert f"1      {room}" in result.stdout
    assert result.stderr == "Redis cannot be reached: who is online is not known here.\n"


async def test_a_chat_that_the_platform_does_not_give_waits_again(world: World, room: str) -> None:
    world.fake.add_fault(InjectedFault(kind="status", status=400, operation="assign_agent"))

    result = await world.run("assign", room, "7")

    assert result.exit_code == 1
    assert result.output.startswith(f"Room {room} was not given to agent 7, and waits again: ")
    assert (await world.json("queue"))["line"][0]["hold"] == "next_try"
    assert await world.output("queue", "release", room) == (
        f"Room {room} is ready; it keeps its place.\n"
    )
    assert (await world.json("queue"))["line"][0]["hold"] == "dispatch"


async def test_an_answer_that_never_came_leaves_the_chat_in_doubt(world: World, room: str) -> None:
    world.configure("qiscus", timeout="300ms")
    world.fake.add_fault(InjectedFault(kind="silence", operation="assign_agent", is_applied=True))

    result = await world.run("assign", room, "7")

    assert result.exit_code == 1
    assert result.output.startswith(f"Room {room} may be with agent 7: ")


async def test_pause_resume_and_capacity_hold_at_once_and_are_told(world: World, room: str) -> None:
    await world.output("agents", "pause", "7")
    await world.output("agents", "capacity", "7", "4")
    (paused,) = (await world.json("agents"))["agents"]
    await world.output("agents", "resume", "7")
    await world.output("agents", "capacity", "7", "default")
    await world.output("agents", "capacity", "--default", "2")
    (resumed,) = (await world.json("agents"))["agents"]

    assert (paused["paused"], paused["capacity"]) == (True, 4)
    assert (resumed["paused"], resumed["capacity"]) == (False, 2)
    log = await world.json("agents", "log")
    assert [each["change"] for each in log] == [
        {"default_capacity": 2},
        {"capacity": None},
        {"paused": False},
        {"capacity": 4},
        {"paused": True},
    ]
    assert {each["actor"] for each in log} == {ME}


async def test_the_history_says_whose_process_it_was_whatever_the_environment_says(
    world: World, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "page\x1b[31m\nadmin")

    await world.output("agents", "pause", "7")

    (newest,) = await world.json("agents", "log", "--limit", "1")
    assert newest["actor"] == ME


ESCAPE = "\x1b[31m\n2030-01-01 00:00:00  forged\x9b"


async def test_what_stands_in_the_database_moves_no_cursor(world: World, room: str) -> None:
    async with world.worker() as allocator:
        manual = allocator.manual
        await manual.pause(AgentId(7), paused=True, actor=f"cli:{ESCAPE}")
        await manual.release(RoomId(room), actor=f"cli:{ESCAPE}")
        await manual.drop(RoomId(room), actor=f"cli:{ESCAPE}")

    log, why = await world.output("agents", "log"), await world.output("why", room)
    as_json = (await world.run("agents", "log", "--json")).output

    for shown in (log, why, as_json):
        assert "forged" in shown
        assert all(line.isprintable() for line in shown.split("\n"))
        assert not any(line.startswith("2030") for line in shown.split("\n"))
    assert json.loads(as_json)[0]["actor"] == f"cli:{ESCAPE}"


def run_by_a_shell(command: str) -> list[str]:
    """The arguments that a command `sebastian` gets when somebody pastes this."""
    script = f"sebastian() {{ printf '%s\\n' \"$@\"; }}; {command}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("room_id", [";echo${IFS}x;", "-x", "$(true)"])
async def test_a_command_to_paste_runs_nothing_else(world: World, room_id: str) -> None:
    async def output(*words: str) -> str:
        arguments = ["-c", str(world.config), *words]
        return (await asyncio.to_thread(CliRunner().invoke, main, arguments)).output

    refused = await output("queue", "drop", "--", room_id)

    words = run_by_a_shell(refused.partition("See: ")[2])
    assert (words[0], words[-1]) == ("why", room_id)
    asked = await output(*words)
    assert asked.startswith(f"Nothing is known of room {room_id}.")


@pytest.mark.parametrize("words", ["pause 999", "resume 999", "capacity 999 3"])
async def test_an_agent_who_is_not_listed_is_refused(world: World, room: str, words: str) -> None:
    refused = await world.run("agents", *words.split())

    assert refused.exit_code == 1
    assert refused.output == "Error: agent 999 is not in the list of Qiscus\n"
    assert [agent["id"] for agent in (await world.json("agents"))["agents"]] == [7]


@pytest.mark.parametrize("agent", ["0", "-1", "99999999999999999999"])
async def test_what_is_no_agents_id_is_a_usage_error(world: World, agent: str) -> None:
    refused = await world.run("agents", "pause", "--", agent)

    assert refused.exit_code == 2


async def test_before_the_agents_were_read_anybody_can_be_paused(world: World) -> None:
    assert await world.output("agents", "pause", "999")


async def test_a_capacity_without_a_number_is_a_usage_error(world: World) -> None:
    result = await world.run("agents", "capacity", "7")

    assert result.exit_code == 2
    assert "Say whose" in result.output


async def test_why_tells_what_a_waiting_chat_waits_for(world: World, room: str) -> None:
    await world.output("agents", "pause", "7")

    said = await world.output("why", room)

    assert said.startswith(f"Room {room} waits for an agent: 1st in the line, for ")
    assert "No agent is free for it: of 1 agent 1 is paused." in said
    assert "  - Anne (7) takes part again: sebastian agents resume 7" in said
    told = await world.json("why", room)
    assert told["waiting"]["standings"] == {"paused": 1}


async def test_why_tells_how_the_agents_stood(world: World, room: str) -> None:
    world.fake.platform.add_agent("Ben", agent_id=8, online=False)
    async with world.worker() as allocator:
        await allocator.refresh()
        await allocator.dispatch()
        await allocator.dispatch.finish(5)

    said = await world.output("why", room)

    assert "Why Anne (7): of those who were free nobody held less (0 of 1)." in said
    assert "  nearest at that moment: Anne (7) 0 of 1" in said
    assert "  of 2 agents: 1 free, 1 offline" in said


async def test_why_of_an_unknown_room_fails(world: World) -> None:
    result = await world.run("why", "4711")

    assert result.exit_code == 1
    assert result.output.startswith("Nothing is known of room 4711.")
