from __future__ import annotations

import pytest

from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_adapters.testing.contracts.agent_store import (
    NOON,
    AgentStoreContract,
    AnotherStore,
    listed,
)


@pytest.fixture
def store() -> InMemoryAgentStore:
    return InMemoryAgentStore()


@pytest.fixture
def another(store: InMemoryAgentStore) -> AnotherStore:
    return lambda: store


class TestInMemoryAgentStore(AgentStoreContract):
    async def test_what_it_lost_is_there_again_after_the_next_listing(
        self, store: InMemoryAgentStore
    ) -> None:
        await store.replace(listed(NOON, 1), NOON)

        store.lose()

        assert await store.roster() is None
        assert await store.replace(listed(NOON, 1), NOON)
