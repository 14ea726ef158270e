"""A deployment of real processes with one customer in the line, and all places that tell of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
import yaml
from attrs import define, field, frozen

from sebastian_apps.dev.owned_process import OwnedProcess
from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey, free_port
from tests.alerts import promtool
from tests.integration.cli_world import ADMIN_TOKEN, TOKEN, World, a_world
from tests.webhook_service import ARRIVAL
from tests.worker_process import WorkerProcess, worker_process

ANNE = 7
HEADERS = {"authorization": f"Bearer {ADMIN_TOKEN}"}
IN_PLACE_SECONDS = 40.0


@frozen
class Told:
    """What all places say at one moment. Names of checks are those that calm floors lack."""

    page: Sequence[str]
    row: str
    dialog: str
    queue: str
    why: str
    doctor: Sequence[str]
    readyz: str
    alerts: Sequence[str]


@define
class Stage:
    """The processes, and what a calm doctor says."""

    world: World
    webhook: OwnedProcess
    worker: WorkerProcess
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    http: httpx.AsyncClient
    rooms: list[str] = field(factory=list)
    calm: set[str] = field(factory=set)

    async def arrives(self) -> str:
        """A customer writes, and the platform tells our webhook service."""
        room = self.world.fake.platform.new_room_id()
        self.world.fake.platform.customer_message(room)
        answer = await self.http.post(f"{ARRIVAL}/{TOKEN}", json={"room_id": room})
        assert answer.status_code == 200, answer.text
        self.rooms.append(room)
        return room

    async def page(self) -> dict[str, Any]:
        """What a browser is shown that opens the page now."""
        async with self.http.stream("GET", "/floor/events", headers=HEADERS) as answer:
            async with asyncio.timeout(20):
                async for line in answer.aiter_lines():
                    if line.startswith("data: {"):
                        view: dict[str, Any] = json.loads(line.removeprefix("data: "))
                        return view
        raise AssertionError("the stream ended")

    async def shows(self, name: str, seconds: float = IN_PLACE_SECONDS) -> None:
        """Come back when the page shows this banner."""
        async with asyncio.timeout(seconds):
            while name not in _names((await self.page())["banners"]):
                await asyncio.sleep(0.5)

    async def told(self) -> Told:
        """Ask everywhere."""
        room = self.rooms[-1]
        view, ready = await self.page(), await self.http.get("/readyz")
        dialog = await self.http.get("/floor/why", params={"room": room}, headers=HEADERS)
        queue, why = await self._json("queue"), await self._json("why", room)
        found = await self.findings()
        return Told(
            page=[f"{each['level']} {each['name']}" for each in view["banners"]],
            row=next((each["why"] for each in view["line"] if each["room"] == room), "-"),
            dialog=_sentence(dialog.json().get("lines", [])) or dialog.json().get("detail", ""),
            queue=_why_of(queue, room),
            why=_sentence(why.get("text", [])) or why["error"],
            doctor=sorted(found - self.calm),
            readyz=f"{ready.status_code} {ready.json().get('detail', '')}".strip(),
            alerts=firing((await self.http.get("/metrics", headers=HEADERS)).text),
        )

    async def findings(self) -> set[str]:
        """What the doctor finds that is not fine."""
        findings = (await self.world.json("doctor"))["findings"]
        return {
            f"{each['verdict']} {each['name']}"
            for each in findings
            if each["verdict"] not in {"ok", "notice"}
        }

    async def _json(self, *arguments: str) -> dict[str, Any]:
        result = await self.world.run(*arguments, "--json")
        with contextlib.suppress(ValueError):
            document: dict[str, Any] = json.loads(result.output)
            return document
        return {"error": result.output.strip()}


@asynccontextmanager
async def on_stage(
    directory: Path,
    postgres: EmbeddedPostgres,
    valkey: EmbeddedValkey,
    **settings: Mapping[str, object],
) -> AsyncIterator[Stage]:
    """Webhook service and worker as processes of their own; Anne is online and has one slot."""
    async with a_world(directory, postgres.url, valkey.url) as world:
        port = free_port()
        world.configure("listen", port=port)
        world.configure("webhook", base_url=f"http://127.0.0.1:{port}", max_current_customer=1)
        account = world.fake.config.account
        world.configure("qiscus", email=account.admin_email, password=account.admin_password)
        world.configure("presence", interval="1s")
        for section, values in settings.items():
            world.configure(section, **values)
        world.fake.platform.add_agent("Anne", agent_id=ANNE)
        world.fake.send_webhooks_to(f"http://127.0.0.1:{port}", TOKEN)
        command = [sys.executable, "-m", "sebastian_apps.entry.webhook", "-c", str(world.config)]
        log = directory / "webhook.log"
        webhook = OwnedProcess.spawn(command, log=log, stop_signal=SIGTERM)
        try:
            async with (
                worker_process(world.config) as worker,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http,
            ):
                stage = Stage(world, webhook, worker, postgres, valkey, http)
                await _calm(stage)
                yield stage
        finally:
            await asyncio.to_thread(webhook.stop)


async def _calm(stage: Stage) -> None:
    """Until the page shows nothing that is wrong."""
    async with asyncio.timeout(IN_PLACE_SECONDS):
        while True:
            with contextlib.suppress(httpx.TransportError):
                view = await stage.page()
                if not view["banners"] and view["numbers"]["workers"] and view["agents"]:
                    break
            await asyncio.sleep(0.2)
    stage.calm = await stage.findings()


def firing(metrics: str) -> list[str]:
    """The alerts that fire if the webhook service shows these numbers for an hour."""
    series = {
        f"{name}": f"{value}x240"
        for name, value in re.findall(r"^(sebastian_\S+(?:\{.*\})?) (\S+)$", metrics, re.MULTILINE)
    }
    test = promtool.a_test(series, [])
    document = {
        "rule_files": [str(promtool.RULES_FILE)],
        "evaluation_interval": promtool.STEP,
        "tests": [test],
    }
    done = subprocess.run(
        [promtool.promtool(), "test", "rules", "/dev/stdin"],
        input=yaml.safe_dump(document),
        capture_output=True,
        text=True,
        check=False,
    )
    return sorted(re.findall(r'alertname="(\w+)"', done.stdout + done.stderr))


def _names(banners: Sequence[Mapping[str, Any]]) -> set[str]:
    return {each["name"] for each in banners}


def _why_of(queue: Mapping[str, Any], room: str) -> str:
    if "error" in queue:
        return str(queue["error"])
    return next((str(each["why"]) for each in queue["line"] if each["room_id"] == room), "-")


def _sentence(lines: Sequence[str]) -> str:
    """The one that says what holds a chat: the first after the headline."""
    return lines[2] if len(lines) > 2 else ""
