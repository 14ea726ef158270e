"""Calls whose answers are meant to harm, in a process of its own: what each costs that process.

Run with the platform's URL, what is asked, and how often. Each call asks about the next number;
0 is the first and answered usually, so that it brings in what is loaded once. Writes a line for
each further call: its outcome, the growth of the process in MB, its processor time in seconds.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path

import uvloop

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.qiscus.client import HttpxQiscusClient
from sebastian_core.domain.errors import PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId, RoomId


async def main(url: str, asked: str, times: str) -> None:
    async with HttpxQiscusClient(
        base_url=url,
        app_id="app",
        secret_key="SECRET",
        clock=InMemoryClock(),
        timeout=timedelta(seconds=5),
    ) as client:
        for number in range(int(times) + 1):
            before, cpu = megabytes(), time.process_time()
            told = await outcome(client, asked, number)
            cost = round(megabytes() - before, 1), round(time.process_time() - cpu, 3)
            if number:
                sys.stdout.write(f"{told} {cost[0]} {cost[1]}\n")


async def outcome(client: HttpxQiscusClient, asked: str, number: int) -> str:
    try:
        if asked == "assign":
            await client.assign(RoomId(str(number)), AgentId(1))
        elif asked == "agents":
            await client.eligible_agents(RoomId(str(number)), AgentId(1))
        else:
            await client.rooms_of(AgentId(number), _at_once)
    except PlatformUnavailable as error:
        return str(error.fault)
    except PlatformRefused as error:
        return str(error.status)
    return "read"


async def _at_once() -> None:
    """No pace."""


def megabytes() -> float:
    """The most that this process has held since it was asked last (or ever, on macOS)."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
