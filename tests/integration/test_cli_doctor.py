"""The doctor finds every planted misconfiguration by its name, on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg
import pytest
from attrs import evolve

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from sebastian_apps.worker.worker import Worker
from tests.integration.cli_world import World, a_world
from tests.integration.transaction_pooler import transaction_pooler

NOBODY_LISTENS = "127.0.0.1:1"


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[World]:
    """All is fine, but for a worker and for agents who may take rooms themselves."""
    async with a_world(tmp_path, postgres_url, redis_url, serves=True) as world:
        world.fake.platform.add_agent("Anne", agent_id=7)
        own_app = world.fake.platform.app._own_app
        world.flags = {"is_agent_takeover_enabled": False}
        world.fake.platform.app._own_app = lambda: {**own_app(), **world.flags}  # type: ignore[method-assign]
        async with world.worker() as parts:
            await parts.room_repo.hold_duty("test", Worker.__init__.__doc__ and LEASE or LEASE)
        yield world


async def found(world: World) -> dict[str, str]:
    """What the doctor finds that is not fine: verdicts by name."""
    document = await world.json("doctor")
    for each in document["findings"]:
        assert each["verdict"] == "ok" or each["remedy"], each
    return {
        each["name"]: each["verdict"]
        for each in document["findings"]
        if each["verdict"] != "ok"
    }


async def test_where_all_is_fine_nothing_is_found(world: World) -> None:
    result = await world.run("doctor")

    assert result.exit_code == 0, result.output
    assert "ok      database: PostgreSQL 18 answers and takes writes." in result.output
    assert "ok      agents: 1 of 1 agent online." in result.output
