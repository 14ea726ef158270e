"""A user's policy that cheats, dawdles or hangs, in real worker processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from signal import SIGALRM, SIGKILL

import pytest

from sebastian_adapters.testing.waiting import until
from tests.integration.cli_world import World, a_world
from tests.worker_process import worker_process

POLICIES = """
import os, re, time
from sebastian_core.domain.policy import LeastLoaded, Placement

class Mine(LeastLoaded):
    pass

class Cheats:
    def place(self, chats, agents):
        return [Placement(chat.id, 4711) for chat in chats]

class Dawdles:
    def place(self, chats, agents):
        time.sleep(2.5)
        return LeastLoaded().place(chats, agents)

class Hangs:
    def place(self, chats, agents):
        while True:
            time.sleep(0.01)

class Quotes:
    def place(self, chats, agents):
        raise KeyError("my number is 4711")

class HoldsTheInterpreter:
    def place(self, chats, agents):
        re.match(r"(a+)+$", "a" * 60 + "b")

class Crashes:
    def place(self, chats, agents):
        os.kill(os.getpid(), 9)

"""
MENDED = """
class Crashes(LeastLoaded):
    pass
"""


HANGS_WHEN_IMPORTED = """
import time
while True:
    time.sleep(0.01)
"""


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[World]:
    (tmp_path / "theirs.py").write_text(POLICIES)
    async with a_world(tmp_path, postgres_url, redis_url) as world:
        world.configure("log", format="json")
        world.configure("worker", state_dir=str(tmp_path / "state"))
        world.configure("webhook", max_current_customer=10)
        world.configure("reconcile", interval="500ms")
        world.fake.platform.add_agent("Anne", agent_id=7)
        yield world


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Where Python finds the policies, for worker processes and for the commands of the test."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return {"PYTHONPATH": str(tmp_path)}


def arrive(world: World, customers: int = 2) -> None:
    """So many customers wait at the platform; the worker's first reconcile takes them in."""
    for _ in range(customers):
        world.fake.platform.customer_message(world.fake.platform.new_room_id())


def served(world: World) -> int:
    return world.fake.platform.loads().get(7, 0)


async def found(world: World) -> dict[str, str]:
    findings = (await world.json("doctor"))["findings"]
    return {each["name"]: each["text"] for each in findings}


async def found_of(world: World, name: str, seconds: float = 30.0) -> str:
    """What doctor tells under this name, as soon as it does: a busy worker may be silent."""
    async with asyncio.timeout(seconds):
        while (told := (await found(world)).get(name)) is None:
            await asyncio.sleep(0)
    return told


async def reasons(world: World) -> set[str]:
    """Which policies gave the chats, as the history tells."""
    async with world.worker() as allocator:
        rows = await allocator.journal.decisions(100)
    return {str(row.reason) for row in rows if row.move == "reserve"}


async def test_a_policy_of_ones_own_serves_and_the_history_names_it(
    world: World, theirs: Mapping[str, str]
) -> None:
    world.configure("assign", policy="theirs:Mine")
    arrive(world)

    async with worker_process(world.config, environ=theirs):
        await until(lambda: served(world) == 2)

    assert await reasons(world) == {"Mine"}
    assert (await found(world))["policy"] == "theirs:Mine can be made."


async def test_one_that_cheats_is_replaced_for_that_pass_and_told(
    world: World, theirs: Mapping[str, str]
) -> None:
    world.configure("assign", policy="theirs:Cheats")
    arrive(world)

    async with worker_process(world.config, environ=theirs) as worker:
        await until(lambda: served(world) == 2)
        await until_reported(world, "refusals")
        told = await found(world)

    assert "the shipped policy serves" in worker.said
    assert "agent 4711 is not online and free" in told["policy-refused"]
    assert await reasons(world) == {"LeastLoaded"}


async def test_one_that_raises_is_told_by_its_place_and_not_by_its_words(
    world: World, theirs: Mapping[str, str], tmp_path: Path
) -> None:
    world.configure("assign", policy="theirs:Quotes")
    arrive(world)

    async with worker_process(world.config, environ=theirs) as worker:
        await until(lambda: served(world) == 2)
        await until_reported(world, "refusals")
        told = await found(world)

    lines = POLICIES.splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "KeyError" in text)
    place = f"KeyError in {tmp_path / 'theirs.py'}, line {line}"
    assert place in worker.said
    assert place in told["policy-refused"]
    assert "my number" not in worker.said + str(told)


async def test_one_that_dawdles_is_put_aside_before_the_floor_stands_still(
    world: World, theirs: Mapping[str, str]
) -> None:
    world.configure("assign", policy="theirs:Dawdles")
    arrive(world)

    async with worker_process(world.config, environ=theirs):
        await until(lambda: served(world) == 2, seconds=30)
        await until_reported(world, "suspended")
        told = await found_of(world, "policy-suspended")

    assert "took longer than 1 s, 2 times in a row" in told


@pytest.mark.parametrize(
    ("policy", "end", "sign"),
    [
        ("Hangs", 70, "the event loop did not answer for 1 s, busy with the policy theirs:Hangs"),
        ("HoldsTheInterpreter", -SIGALRM, "Timeout (0:00:04"),
        ("Crashes", -SIGKILL, ""),
    ],
)
async def test_after_it_has_taken_its_worker_along_twice_the_shipped_policy_serves(
    world: World, theirs: Mapping[str, str], policy: str, end: int, sign: str
) -> None:
    world.configure("assign", policy=f"theirs:{policy}")
    arrive(world)

    async with worker_process(
        world.config, "--patience", "1", environ=theirs, restarts=True
    ) as worker:
        await until(lambda: served(world) == 2, seconds=40)
        await until_reported(world, "suspended")
        told = await found_of(world, "policy-suspended")

    said = worker.said
    assert worker.ends == [end, end]
    assert said.count("worker started") == 3
    if sign:
        assert said.count(sign) == 2
        assert "theirs.py" in said, "the stack names the code"
    assert "the shipped policy serves until yours changes" in said
    assert "it hung or crashed its worker, 2 times" in told
    assert await reasons(world) == {"LeastLoaded"}


async def test_a_policy_that_was_mended_serves_when_its_worker_starts_again(
    world: World, theirs: Mapping[str, str], tmp_path: Path
) -> None:
    world.configure("assign", policy="theirs:Crashes")
    arrive(world)
    async with worker_process(world.config, environ=theirs, restarts=True) as worker:
        await until(lambda: served(world) == 2, seconds=40)

        (tmp_path / "theirs.py").write_text(POLICIES + MENDED)
        worker.process.kill()
        arrive(world)
        await until(lambda: served(world) == 4, seconds=40)

    assert "Crashes" in await reasons(world)


async def test_a_service_that_is_stopped_and_started_asks_the_policy_again(
    world: World, theirs: Mapping[str, str]
) -> None:
    world.configure("assign", policy="theirs:Crashes")
    arrive(world)
    async with worker_process(world.config, environ=theirs, restarts=True) as worker:
        await until(lambda: served(world) == 2, seconds=40)
    assert worker.ends == [-SIGKILL, -SIGKILL]

    arrive(world)
    async with worker_process(world.config, environ=theirs, restarts=True) as worker:
        await until(lambda: served(world) == 4, seconds=40)
    assert worker.ends == [-SIGKILL, -SIGKILL]


async def test_policy_retry_makes_the_workers_try_it_again_as_it_is_now(
    world: World, theirs: Mapping[str, str], tmp_path: Path
) -> None:
    world.configure("assign", policy="theirs_too:Mine")
    (tmp_path / "theirs_too.py").write_text("import os; os.kill(os.getpid(), 9)")
    arrive(world)
    async with worker_process(world.config, environ=theirs, restarts=True) as worker:
        await until(lambda: served(world) == 2, seconds=40)
        await until_reported(world, "suspended")

        (tmp_path / "theirs_too.py").write_text(POLICIES)
        done = await world.run("policy", "retry")
        arrive(world)
        await until(lambda: served(world) == 4, seconds=40)

        assert "tries theirs_too:Mine again when it next gives chats" in done.output
        assert done.exit_code == 0
        assert worker.said.count("worker started") == 1
    assert "Mine" in await reasons(world)


async def test_policy_retry_has_nothing_to_do_where_no_policy_was_put_aside(world: World) -> None:
    assert "No worker has put a policy aside" in await world.output("policy", "retry")


async def test_where_nothing_can_be_kept_it_is_told_and_the_policy_serves(
    world: World, theirs: Mapping[str, str], tmp_path: Path
) -> None:
    world.configure("assign", policy="theirs:Mine")
    world.configure("worker", state_dir=str(tmp_path / "theirs.py" / "no-folder"))
    arrive(world)

    async with worker_process(world.config, environ=theirs) as worker:
        await until(lambda: served(world) == 2)

    assert "cannot be counted" in worker.said
    assert "worker.state_dir" in worker.said
    assert await reasons(world) == {"Mine"}


async def test_several_processes_are_refused_with_what_to_do_instead(world: World) -> None:
    async with worker_process(world.config, "--processes", "2") as worker:
        await until(lambda: not worker.process.running)

    assert worker.process._child.returncode == 2
    assert "A worker is one process" in worker.said
    assert "sebastian-worker@1 sebastian-worker@2" in worker.said


async def test_one_that_hangs_when_it_is_imported_is_named_and_put_aside(
    world: World, theirs: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "theirs_too.py").write_text(HANGS_WHEN_IMPORTED)
    world.configure("assign", policy="theirs_too:Mine")
    arrive(world)

    async with worker_process(
        world.config, "--patience", "1", environ=theirs, restarts=True
    ) as worker:
        await until(lambda: served(world) == 2, seconds=40)

    assert worker.said.count("busy with the policy theirs_too:Mine") == 2
    assert worker.ends == [70, 70]
    assert "theirs_too.py" in worker.said, "the stack names the code"


async def test_the_check_of_the_configuration_tells_of_a_policy_that_cannot_be_made(
    world: World, theirs: Mapping[str, str]
) -> None:
    world.configure("assign", policy="theirs:Nobody")

    checked = await world.run("config", "check", "--offline")

    assert checked.exit_code == 2
    assert "assign.policy: theirs:Nobody cannot be made" in checked.output
    assert "cannot be made" in (await found(world))["policy-unusable"]


async def test_a_policy_that_crashes_python_does_not_take_the_commands_that_look_at_it_along(
    world: World, theirs: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "crashes.py").write_text("import os; os.abort()")
    world.configure("assign", policy="crashes:Mine")

    checked = await world.run("config", "check", "--offline")

    why = "crashes:Mine cannot be made: the attempt ended its process (SIGABRT)"
    assert checked.exit_code == 2
    assert why in checked.output
    assert "can be used" not in checked.output
    assert why in (await found(world))["policy-unusable"]


async def test_a_worker_with_a_policy_that_cannot_be_made_ends_with_2_and_says_why(
    world: World, theirs: Mapping[str, str]
) -> None:
    world.configure("assign", policy="theirs:Nobody")

    async with worker_process(world.config, environ=theirs) as worker:
        await until(lambda: not worker.process.running)

    assert "assign.policy: theirs:Nobody cannot be made" in worker.said
    assert "Traceback" not in worker.said


async def until_reported(world: World, what: str) -> None:
    """Come back when a worker has reported this of its policy."""
    async with world.worker() as allocator:
        while True:
            states = [each.state.get("policy") for each in await allocator.leadership.reports()]
            if any(state and state[what] for state in states):
                return
            await until(lambda: True)
