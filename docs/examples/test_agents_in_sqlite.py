"""It keeps the word of the port: pytest -o asyncio_mode=auto test_agents_in_sqlite.py"""

from __future__ import annotations

from pathlib import Path

import pytest
from agents_in_sqlite import SqliteAgentStore

from sebastian_adapters.testing.contracts.agent_store import AgentStoreContract, AnotherStore


@pytest.fixture
def store(tmp_path: Path) -> SqliteAgentStore:
    return SqliteAgentStore(str(tmp_path / "agents.db"))


@pytest.fixture
def another(tmp_path: Path) -> AnotherStore:
    return lambda: SqliteAgentStore(str(tmp_path / "agents.db"))


class TestSqliteAgentStore(AgentStoreContract):
    """All that every agent store promises."""
