"""schemathesis against the service's own OpenAPI document, and what we ask of its answers."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from attrs import frozen

from tests.hostile.stage import ADMIN_TOKEN, HOOK_TOKEN, Stage

PHASES = ("examples", "coverage", "fuzzing", "stateful")
CONFIG = f"""
[parameters]
"path.token" = "{HOOK_TOKEN}"

# An action refuses what it cannot use, and which action wants what is in its name.
[[operations]]
include-path = "/floor/actions/{{name}}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "422"]
"""


@frozen
class Case:
    """One request and its answer."""

    phase: str
    method: str
    url: str
    body: bytes
    status: int

    @property
    def is_taken(self) -> bool:
        """Whether it was answered as recorded."""
        return self.status == 200


@frozen
class Findings:
    """What came of a run. `said` is what schemathesis printed, `failed` that it found something."""

    failed: bool
    said: str
    cases: tuple[Case, ...]
    strange_rooms: tuple[str, ...]

    @property
    def by_phase(self) -> dict[str, int]:
        """How many requests each phase sent."""
        counted = Counter(case.phase for case in self.cases)
        return {phase: counted[phase] for phase in PHASES}

    @property
    def statuses(self) -> dict[int, int]:
        """How many answers of each status."""
        return dict(sorted(Counter(case.status for case in self.cases).items()))

    @property
    def server_errors(self) -> list[Case]:
        """Requests that were answered 5xx."""
        return [case for case in self.cases if case.status >= 500]


async def fuzz(stage: Stage, folder: Path, *, examples: int, seed: int) -> Findings:
    """Run all phases, then look which rooms are in the database that no accepted request named."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [Path(sys.executable).with_name("st"), "--config-file", config]
    command += ["run", f"{stage.url}/schema/openapi.json", "--seed", str(seed)]
    command += ["--max-examples", str(examples), "--phases", ",".join(PHASES)]
    command += ["--header", f"Authorization: Bearer {ADMIN_TOKEN}", "--continue-on-failure"]
    command += ["--checks", "all", "--report", "ndjson", "--report-ndjson-path", folder / "report"]
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    cases = tuple(_cases(folder / "report"))
    return Findings(
        failed=process.returncode != 0,
        said=said.decode(),
        cases=cases,
        strange_rooms=tuple(await strange_rooms(stage.database_url, cases)),
    )


async def strange_rooms(database_url: str, cases: tuple[Case, ...]) -> list[str]:
    """Rooms with a row although every request that named them was rejected."""
    taken = {room for case in cases if case.is_taken for room in _rooms(case.body)}
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(
            "select room_id from sebastian.room union select room_id from sebastian.chat"
        )
        return sorted({room for (room,) in await cursor.fetchall()} - taken)


def _cases(report: Path) -> Iterator[Case]:
    for line in report.read_text().splitlines():
        ((kind, event),) = json.loads(line).items()
        if kind == "ScenarioFinished":
            for exchange in event["recorder"].get("interactions", {}).values():
                yield from _case(event["phase"], exchange)


def _case(phase: str, exchange: dict[str, Any]) -> Iterator[Case]:
    request, response = exchange["request"], exchange["response"]
    if response is not None:
        body = b64decode((request.get("body") or {}).get("$base64", ""))
        yield Case(phase, request["method"], request["uri"], body, response["status_code"])


def _rooms(body: bytes) -> Iterator[str]:
    try:
        document = json.loads(body)
    except ValueError:
        return
    for holder in (document, document.get("service") if isinstance(document, dict) else None):
        if isinstance(holder, dict) and "room_id" in holder:
            yield _as_text(holder["room_id"])


def _as_text(room_id: object) -> str:
    """A room's id as it is kept; to JSON Schema 7.0 is a whole number too."""
    return f"{room_id:.0f}" if isinstance(room_id, float) else str(room_id)
