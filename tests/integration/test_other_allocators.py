"""Allocators that are not ours, on the stand-in: how they work, in a few lines of our own."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from sebastian_adapters.memory.platform import Truth
from sebastian_apps.fake_qiscus import FakeConfig, FakeQiscus, FloorConfig, serve
from sebastian_apps.fake_qiscus.http_server import Exchange, HttpServer, Response

CREDENTIAL = {
    "Qiscus-App-Id": "demoapp-x1y2z3a4b5c6d7e",
    "Qiscus-Secret-Key": "FAKE_SECRET",
}
CAPACITY = 2
PONDERED_SECONDS = 0.5
SET_ASIDE_SECONDS = 3.0
DEADLINE_SECONDS = 60
A_DAY = FloorConfig(
    agents=6,
    capacity=CAPACITY,
    chats=50,
    rate_per_second=20,
    service_seconds=0.25,
    returning_share=0.2,
    quick_return_share=0.0,
    message_every_seconds=0.2,
    by_hand_share=0.0,
    seed=3,
)
"""A tenth of the times of a floor that a public allocator was tried on."""


class TakesTheListAtItsWord:
    """A webhook means: give every room of the unserved list to somebody, a moment later.

    It asks `other_agents` for the first who is there and not full, and `assign_agent` without a
    limit. A room under way is not taken up again, nor for a while one that it failed to give.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._rooms: dict[str, asyncio.Task[None]] = {}
        self._lists: set[asyncio.Task[None]] = set()
        self._server = HttpServer(self._receive)

    async def start(self) -> str:
        """Take webhooks; where."""
        return f"http://127.0.0.1:{await self._server.start('127.0.0.1', 0)}"

    async def stop(self) -> None:
        """Take no more, and forget what is under way."""
        await self._server.stop()
        tasks = [*self._rooms.values(), *self._lists]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _receive(self, exchange: Exchange) -> None:
        exchange.send(Response(200, b"{}"))
        if "resolved" not in exchange.request.path:
            task = asyncio.create_task(self._take_up())
            self._lists.add(task)
            task.add_done_callback(self._lists.discard)

    async def _take_up(self) -> None:
        wanted = {"serve_status": "unserved", "limit": 50, "user_ids": None, "status": None}
        listed = (await self._client.post("/api/v2/customer_rooms", json=wanted)).json()
        for room in listed["data"]["customer_rooms"]:
            if room["room_id"] not in self._rooms:
                self._rooms[room["room_id"]] = asyncio.create_task(self._give(room["room_id"]))

    async def _give(self, room_id: str) -> None:
        try:
            await asyncio.sleep(PONDERED_SECONDS)
            query = {"room_id": room_id, "limit": "15"}
            answer = await self._client.get("/api/v2/admin/service/other_agents", params=query)
            for agent in answer.json()["data"]["agents"]:
                is_free = agent["current_customer_count"] < CAPACITY
                if agent["is_available"] and not agent["force_offline"] and is_free:
                    body = {"room_id": int(room_id), "agent_id": agent["id"], "max_agent": None}
                    path = "/api/v1/admin/service/assign_agent"
                    if (await self._client.post(path, json=body)).status_code == 200:
                        return
                    break
            await asyncio.sleep(SET_ASIDE_SECONDS)
        finally:
            del self._rooms[room_id]


@pytest.fixture
async def fake() -> AsyncIterator[FakeQiscus]:
    async with serve(FakeConfig()) as running:
        yield running


@pytest.fixture
async def allocator(fake: FakeQiscus) -> AsyncIterator[TakesTheListAtItsWord]:
    async with httpx.AsyncClient(base_url=fake.url, headers=CREDENTIAL, timeout=5) as client:
        running = TakesTheListAtItsWord(client)
        fake.send_webhooks_to(await running.start())
        yield running
        await running.stop()


@pytest.mark.usefixtures("allocator")
async def test_who_takes_the_unserved_list_at_its_word_gives_every_chat_to_somebody(
    fake: FakeQiscus,
) -> None:
    fake.start_floor(A_DAY)
    await asyncio.wait_for(fake.floor_done(), DEADLINE_SECONDS)

    services = Truth.of(fake.platform.log).services.values()
    assert sum(service.assigned_at is not None for service in services) == len(services) == 50
    servers = {serving.agent_id for service in services for serving in service.servings}
    assert fake.platform.account.admin_id in servers, "it does not look at the kind of user"
