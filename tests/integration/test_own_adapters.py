"""An adapter of the user's own: by its line in the configuration it serves like one of ours."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from sebastian_adapters.testing.waiting import until
from sebastian_apps import from_config
from tests.installed import install
from tests.integration.cli_world import World, a_world
from tests.worker_process import worker_process

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ENVIRON = {"PYTHONPATH": str(EXAMPLES)}


@pytest.fixture
async def world(
    tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """One whose configuration names the agent store of the page, and that has an agent."""
    monkeypatch.syspath_prepend(EXAMPLES)
    async with a_world(tmp_path, postgres_url, redis_url) as world:
        options = {"path": str(tmp_path / "agents.db")}
        world.configure("adapters", agent_store="agents_in_sqlite:make", options=options)
        world.configure("reconcile", interval="500ms")
        world.fake.platform.add_agent("Anne", agent_id=7)
        yield world


async def test_a_worker_serves_with_an_agent_store_on_sqlite(world: World, tmp_path: Path) -> None:
    for _ in range(2):
        world.fake.platform.customer_message(world.fake.platform.new_room_id())

    async with worker_process(world.config, environ=ENVIRON):
        await until(lambda: world.fake.platform.loads().get(7) == 2, 30)

    with closing(sqlite3.connect(tmp_path / "agents.db")) as db:
        assert "Anne" in db.execute("select text from roster").fetchone()[0]
    (anne,) = (await world.json("agents"))["agents"]
    assert (anne["online"], anne["load"]) == (True, 2)


async def test_a_program_of_ones_own_runs_what_the_worker_runs(world: World) -> None:
    world.fake.platform.customer_message(world.fake.platform.new_room_id())

    async with from_config(world.config) as allocator:
        await until(lambda: world.fake.platform.loads().get(7) == 1, 30)
        assert allocator.leads
        reports = await allocator.leadership.reports()

    assert [each.name for each in reports] == [allocator.name]


async def test_doctor_asks_it_how_it_is(world: World, tmp_path: Path) -> None:
    findings = (await world.json("doctor"))["findings"]
    assert [each["verdict"] for each in findings if each["name"] == "adapters"] == ["ok"]

    (tmp_path / "agents.db").write_text("not a database")
    told = {each["name"]: each["text"] for each in (await world.json("doctor"))["findings"]}
    assert "agents_in_sqlite:make cannot be made: StoreUnavailable" in told["adapter-unusable"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("agents_in_sqlite:mak", "cannot be found: AttributeError"),
        ("nowhere_to_be_found:make", "cannot be found: ModuleNotFoundError"),
        ("agents_in_sqlite:NOBODY", "is nothing that can be called"),
    ],
)
async def test_what_cannot_be_made_is_told_at_start_with_the_line_of_its_key(
    world: World, name: str, why: str
) -> None:
    world.configure("adapters", agent_store=name)

    async with worker_process(world.config, environ=ENVIRON) as worker:
        await until(lambda: not worker.process.running)

    assert f"adapters.agent_store: {name} {why}" in worker.said
    assert f"{world.config}:1:" in worker.said
    assert "Traceback" not in worker.said


def test_the_agent_store_of_the_page_passes_the_suite_that_the_wheel_brings(
    tmp_path: Path,
) -> None:
    installed = install(tmp_path)
    run = (
        f"import sys; sys.path[:0] = {[str(installed), str(EXAMPLES)]!r}\n"
        "import pytest, sebastian_core\n"
        f"assert sebastian_core.__file__.startswith({str(installed)!r})\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', '-c', '/dev/null',"
        f" '--rootdir', {str(tmp_path)!r}, '-o', 'asyncio_mode=auto',"
        f" {str(EXAMPLES / 'test_agents_in_sqlite.py')!r}]))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-B", "-c", run],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "23 passed" in ran.stdout
