from __future__ import annotations

import asyncio

import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.platform import Platform
from sebastian_adapters.memory.qiscus_client import Hook, InMemoryQiscusClient
from sebastian_adapters.testing.contracts.qiscus_client import (
    Delay,
    Pacer,
    QiscusClientContract,
    a_waiting_room,
    an_agent,
)
from sebastian_core.domain.errors import Fault, PlatformUnavailable


@pytest.fixture
def clock() -> InMemoryClock:
    return InMemoryClock()


@pytest.fixture
def platform(clock: InMemoryClock) -> Platform:
    return Platform(clock=clock.monotonic)


@pytest.fixture
def client(platform: Platform, clock: InMemoryClock) -> InMemoryQiscusClient:
    return InMemoryQiscusClient(platform, clock)


@pytest.fixture
def delay(client: InMemoryQiscusClient) -> Delay:
    def delay(seconds: float) -> None:
        async def wait(_: str) -> None:
            await asyncio.sleep(seconds)

        client.before = wait

    return delay


class TestInMemoryQiscusClient(QiscusClientContract):
    async def test_what_fails_before_is_not_applied(
        self, client: InMemoryQiscusClient, platform: Platform
    ) -> None:
        agent_id, room_id = an_agent(platform), a_waiting_room(platform)
        client.before = failing_on("assign", Fault.CONNECT)

        with pytest.raises(PlatformUnavailable) as unavailable:
            await client.assign(room_id, agent_id)

        assert unavailable.value.surely_not_applied
        assert platform.agents_in(room_id) == ()

    async def test_what_fails_after_was_applied(
        self, client: InMemoryQiscusClient, platform: Platform
    ) -> None:
        agent_id, room_id = an_agent(platform), a_waiting_room(platform)
        client.after = failing_on("assign", Fault.TIMEOUT)

        with pytest.raises(PlatformUnavailable) as unavailable:
            await client.assign(room_id, agent_id)

        assert not unavailable.value.surely_not_applied
        assert platform.agents_in(room_id) == (agent_id,)

    async def test_hooks_hear_the_name_of_every_request(
        self, client: InMemoryQiscusClient, platform: Platform
    ) -> None:
        agent_id, room_id = an_agent(platform), a_waiting_room(platform)
        heard: list[str] = []

        async def hear(operation: str) -> None:
            heard.append(operation)

        client.before = client.after = hear

        await client.agents(Pacer())
        await client.eligible_agents(room_id, agent_id)
        await client.assign(room_id, agent_id)
        await client.room(room_id)
        await client.waiting_rooms(Pacer())
        await client.rooms_of(agent_id, Pacer())
        await client.account()
        await client.register_webhooks("https://a.example.test", "https://b.example.test")

        once = [
            "agents",
            "eligible_agents",
            "assign",
            "room",
            "waiting_rooms",
            "rooms_of",
            "account",
        ]
        assert heard[::2] == heard[1::2] == [*once, "register_webhooks", "register_webhooks"]


def failing_on(operation: str, fault: Fault) -> Hook:
    async def fail(asked: str) -> None:
        if asked == operation:
            raise PlatformUnavailable(fault)

    return fail
