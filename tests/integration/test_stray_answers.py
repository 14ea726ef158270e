"""A platform, or a proxy before it, that answers once too often."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.qiscus.client import HttpxQiscusClient
from sebastian_core.domain.errors import PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId, RoomId
from tests.loops import Run, on_both_loops
from tests.raw_http import RawRequest, Respond, answer, raw_server

PAIRS = 150
LANES = 16
REFUSAL = answer({"errors": {"message": "agent is offline"}}, 400)
TIMED_OUT = answer(b"<h1>Request Time-out</h1>", 408, connection="close")


def platform(late_seconds: float, stray: str) -> Respond:
    """Assigns rooms that begin with `ok` and refuses others; most answers are not the last."""

    async def respond(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        form = parse_qs(request.body.decode())
        room_id, agent_id = form["room_id"][0], int(form["agent_id"][0])
        service = {"room_id": room_id, "user_id": agent_id}
        whole = answer({"data": {"service": service, "added_agent": {"id": agent_id}}})
        if not room_id.startswith("ok"):
            await asyncio.sleep(0.01)
            whole = REFUSAL
        writer.write(whole)
        if stray == "none" or (stray != "refusals too" and whole is REFUSAL):
            return
        await writer.drain()
        await asyncio.sleep(late_seconds)
        writer.write(TIMED_OUT if stray == "408" else whole)

    return respond


@on_both_loops
@pytest.mark.parametrize("stray", ["doubled", "refusals too", "408"])
@pytest.mark.parametrize("late_ms", [0.0, 0.3, 1.0, 3.0])
def test_no_stray_answer_is_told_of_another_call(
    run: Run[Counter[str]], late_ms: float, stray: str
) -> None:
    told = run(pairs_told(platform(late_ms / 1000, stray), PAIRS))

    assert {what for what in told if what.startswith("wrong")} == set()
    assert told["ok assigned"] + told["no refused"] > PAIRS / 2


@on_both_loops
def test_a_platform_that_answers_once_is_told_rightly_always(run: Run[Counter[str]]) -> None:
    assert run(pairs_told(platform(0, "none"), 100)) == {"ok assigned": 100, "no refused": 100}


async def pairs_told(respond: Respond, pairs: int) -> Counter[str]:
    """What the client makes of calls that are carried out, each followed by one that is refused."""
    told: Counter[str] = Counter()
    async with (
        raw_server(respond) as server,
        HttpxQiscusClient(
            base_url=server.url,
            app_id="app",
            secret_key="SECRET",
            clock=InMemoryClock(),
            in_flight=LANES,
            timeout=timedelta(seconds=30),
        ) as client,
    ):

        async def some(first: int) -> None:
            for number in range(first, pairs, LANES):
                for kind in ("ok", "no"):
                    told[await outcome(client, kind, number)] += 1

        await asyncio.gather(*(some(first) for first in range(LANES)))
    return told


async def outcome(client: HttpxQiscusClient, kind: str, number: int) -> str:
    agent_id = AgentId(number + 1)
    try:
        named = await client.assign(RoomId(f"{kind}{number}"), agent_id)
    except PlatformRefused:
        return "no refused" if kind == "no" else "wrong: ok refused"
    except PlatformUnavailable as error:
        return "wrong: not sent" if error.surely_not_applied else "unknown"
    return "ok assigned" if (kind, named.agent_id) == ("ok", agent_id) else "wrong: assigned"
