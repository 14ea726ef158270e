"""A steady floor: from the webhook to the assignment, and from a freed slot to the next."""

from __future__ import annotations

import heapq
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psycopg
from attrs import frozen

from benchmarks.line import invented_rooms
from benchmarks.measuring import Percentiles, median
from benchmarks.report import Figure
from benchmarks.stage import (
    FakePlatform,
    Program,
    Stage,
    fake_platform,
    settings,
    wait_until,
)
from sebastian_apps.dev.servers import free_port

WEBHOOK, WORKER = "sebastian_apps.entry.webhook", "sebastian_apps.entry.worker"
LATENCY_SECONDS = 0.02
SERVICE_SECONDS = 1.0
IDLE_SECONDS = 5.0


@frozen
class Deployment:
    """Everything that runs in one measurement."""

    stage: Stage
    platform: FakePlatform
    webhook: Program
    worker: Program
    webhook_url: str
    database_url: str

    def cpu(self) -> dict[str, float]:
        """Processor seconds that each part has used so far."""
        return {
            "webhook": self.webhook.cpu,
            "worker": self.worker.cpu,
            "PostgreSQL": self.stage.postgres_cpu,
            "Redis": self.stage.valkey_cpu,
            "platform": self.platform.program.cpu,
        }


@frozen
class Played:
    """What happened on the platform, and the processor seconds of each part meanwhile."""

    events: list[dict[str, Any]]
    cpu_seconds: Mapping[str, float]

    def cpu_milliseconds(self) -> dict[str, float]:
        """Of each part for each chat with its resolve."""
        chats = sum(each["kind"] == "assigned" for each in self.events)
        return {part: used / chats * 1000 for part, used in self.cpu_seconds.items()}


@frozen
class Waits:
    """How long chats waited, and what each cost."""

    seconds: Percentiles
    cpu_milliseconds: Mapping[str, float]


@frozen(kw_only=True)
class Floor:
    """How much comes in, and how many slots there are; seconds of service are fixed."""

    rate: float
    slots: int
    seconds: float

    def script(self, agents: int) -> dict[str, Any]:
        """What the platform's floor is told."""
        return {
            "agents": agents,
            "capacity": self.slots // agents,
            "chats": int(self.rate * self.seconds),
            "rate_per_second": self.rate,
            "service_seconds": SERVICE_SECONDS,
            "returning_share": 0.0,
            "quick_return_share": 0.0,
            "message_every_seconds": 0.0,
            "by_hand_share": 0.0,
        }


def measure(
    stage: Stage, *, rounds: int, seconds: float, rates: tuple[int, ...] = (50, 200, 400)
) -> list[Figure]:
    """Both doorbells, `assign.verify` off and on, in turns."""
    waits: dict[tuple[int, str, bool], list[Waits]] = defaultdict(list)
    slots: dict[tuple[str, bool], list[Percentiles]] = defaultdict(list)
    for _ in range(rounds):
        for doorbell in ("dramatiq", "postgres"):
            for verify in (False, True):
                for rate in rates:
                    key = (rate, doorbell, verify)
                    waits[key].append(wait_times(stage, doorbell, verify, rate, seconds))
            slots[doorbell, False].append(slot_times(stage, doorbell, seconds))
    return [*_wait_figures(waits), *_slot_figures(slots)]


def measure_idle_slot(stage: Stage, *, trials: int) -> list[Figure]:
    """A slot that comes free after five quiet seconds, with somebody waiting."""
    figures = []
    for doorbell, wanted in (("dramatiq", "≤ 150 ms"), ("postgres", "≤ 30 ms")):
        found = Percentiles.of(idle_slot_times(stage, doorbell, trials))
        figures.append(
            Figure(
                subject="freed slot",
                what=f"→ next assign call after {IDLE_SECONDS:g} s of idleness, {doorbell}: p99",
                value=found.p99 * 1000,
                unit="ms",
                wanted=wanted,
                beside=f"p50 {found.p50 * 1000:.1f} ms, {found.count} trials",
            )
        )
    return figures


def wait_times(stage: Stage, doorbell: str, verify: bool, rate: float, seconds: float) -> Waits:
    """From the firing of the webhook to the moment at which the platform has applied the call."""
    floor = Floor(rate=rate, slots=int(rate * SERVICE_SECONDS * 2.5) // 50 * 50, seconds=seconds)
    played = _played(stage, doorbell, verify, floor)
    events = played.events
    opened = {each["service_id"]: each["at"] for each in events if each["kind"] == "opened"}
    first = _warm_up_ends(events)
    waited = [
        each["at"] - opened[each["service_id"]]
        for each in events
        if each["kind"] == "assigned" and opened[each["service_id"]] >= first
    ]
    return Waits(Percentiles.of(waited), played.cpu_milliseconds())


def slot_times(stage: Stage, doorbell: str, seconds: float) -> Percentiles:
    """From a resolve to the next call that fills its slot, on a floor that is always full.

    A call counts from the moment at which it reaches the platform, which applies it later.
    """
    floor = Floor(rate=230, slots=200, seconds=seconds)
    events = _played(stage, doorbell, False, floor).events
    first = _warm_up_ends(events) + 2 * SERVICE_SECONDS
    last = max(each["at"] for each in events if each["kind"] == "opened")
    freed: dict[int, list[float]] = defaultdict(list)
    took = []
    for each in events:
        if each["kind"] == "resolved" and each["agent_id"]:
            freed[each["agent_id"]].append(each["at"])
        elif each["kind"] == "assigned" and freed[each["agent_id"]]:
            free_at = freed[each["agent_id"]].pop(0)
            if first <= free_at <= last:
                took.append(each["at"] - LATENCY_SECONDS / 2 - free_at)
    return Percentiles.of(took)


def measure_behind_perfect(stage: Stage, *, rounds: int) -> list[Figure]:
    """How much longer customers wait than if every slot that comes free were filled at once."""
    behind: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for doorbell in ("dramatiq", "postgres"):
            for verify in (False, True):
                behind[doorbell, verify].append(behind_perfect(stage, doorbell, verify))
    return [
        Figure(
            subject="behind perfect",
            what=f"mean wait above a perfect allocator's, {doorbell}, "
            f"verify {'on' if verify else 'off'}",
            value=median(found) * 1000,
            unit="ms",
            wanted="≤ 30 ms",
            beside="500 chats at 50/s, 20 agents × 2, 1 s each: a slot is filled 12 times in turn",
            details={"seconds": found},
        )
        for (doorbell, verify), found in behind.items()
    ]


def behind_perfect(stage: Stage, doorbell: str, verify: bool) -> float:
    """The difference of the mean waits, in seconds; the platform answers without delay."""
    floor = Floor(rate=50, slots=40, seconds=10)
    played = _played(stage, doorbell, verify, floor, agents=20, latency_seconds=0.0)
    events = played.events
    opened, ended = ({e["service_id"]: e["at"] for e in events if e["kind"] == kind}
                     for kind in ("opened", "resolved"))  # fmt: skip
    given = {e["service_id"]: e["at"] for e in events if e["kind"] == "assigned"}
    free = [0.0] * floor.slots
    behind = []
    for service, came_at in sorted(opened.items(), key=lambda each: each[1]):
        perfect = max(came_at, heapq.heappop(free))
        heapq.heappush(free, perfect + ended[service] - given[service])
        behind.append(given[service] - perfect)
    return statistics.fmean(behind)


def idle_slot_times(stage: Stage, doorbell: str, trials: int) -> list[float]:
    """One agent with one slot, one chat served and others waiting; resolve after a quiet time."""
    took = []
    with deployed(stage, doorbell, verify=False, agents=1, capacity=1) as deployment:
        platform = deployment.platform
        platform.told("message", {"count": trials + 1})
        _wait_for_assignments(platform, 1)
        for number in range(1, trials + 1):
            time.sleep(IDLE_SECONDS)
            (served,) = _served(platform)
            platform.told("resolve", {"room_id": served})
            _wait_for_assignments(platform, number + 1)
        events = platform.events()
    freed = [each["at"] for each in events if each["kind"] == "resolved"]
    given = [each["at"] for each in events if each["kind"] == "assigned"][1:]
    for free_at, given_at in zip(freed, given, strict=True):
        took.append(given_at - LATENCY_SECONDS / 2 - free_at)
    return took


def _served(platform: FakePlatform) -> set[str]:
    truth = platform.told("truth")
    return set(truth["unresolved"]) - set(truth["waiting"])


def _wait_for_assignments(platform: FakePlatform, number: int) -> None:
    def assigned() -> bool:
        return bool(platform.told("calls")["answered"].get("assign_agent 200", 0) >= number)

    wait_until(f"{number} assignments", assigned)


def _played(
    stage: Stage,
    doorbell: str,
    verify: bool,
    floor: Floor,
    *,
    agents: int = 50,
    latency_seconds: float = LATENCY_SECONDS,
) -> Played:
    with deployed(
        stage,
        doorbell,
        verify=verify,
        agents=agents,
        capacity=floor.slots // agents,
        latency_seconds=latency_seconds,
    ) as deployment:
        before = deployment.cpu()
        play(deployment.platform, floor, agents)
        used = {part: now - before[part] for part, now in deployment.cpu().items()}
        return Played(deployment.platform.events(), used)


def play(platform: FakePlatform, floor: Floor, agents: int) -> None:
    """Let the platform play the floor to its end."""
    platform.told("floor", floor.script(agents))
    wait_until(
        "the floor is done",
        lambda: platform.told("floor")["is_done"],
        seconds=floor.seconds * 4 + 60,
    )


def _warm_up_ends(events: list[dict[str, Any]]) -> float:
    return float(next(each["at"] for each in events if each["kind"] == "opened")) + 1.0


@contextmanager
def deployed(
    stage: Stage,
    doorbell: str,
    *,
    verify: bool,
    agents: int,
    capacity: int,
    latency_seconds: float = LATENCY_SECONDS,
) -> Iterator[Deployment]:
    port = free_port()
    database_url, url = stage.new_database(), f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        platform = stack.enter_context(
            fake_platform(stage, agents=agents, latency_seconds=latency_seconds, webhook_base=url)
        )
        config = stage.config(
            "steady",
            settings(
                database_url=database_url,
                redis_url=stage.new_redis(),
                platform_url=platform.url,
                port=port,
                webhook={"max_current_customer": capacity},
                assign={"verify": verify},
                queue={"doorbell": doorbell},
            ),
        )
        webhook = stack.enter_context(stage.program("webhook", WEBHOOK, "-c", str(config)))
        worker = stack.enter_context(stage.program("worker", WORKER, "-c", str(config)))
        wait_until("the webhook service is ready", lambda: _is_ready(url), webhook)
        wait_until("the worker has begun", lambda: _has_begun(platform), worker)
        yield Deployment(stage, platform, webhook, worker, url, database_url)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _has_begun(platform: FakePlatform) -> bool:
    answered: Mapping[str, int] = platform.told("calls")["answered"]
    return bool(answered.get("agents 200") and answered.get("customer_rooms 200"))


def _wait_figures(waits: Mapping[tuple[int, str, bool], list[Waits]]) -> list[Figure]:
    wanted = {False: "p50 ≤ 45, p99 ≤ 100 ms", True: "p50 ≤ 70, p99 ≤ 150 ms"}
    figures = []
    for (rate, doorbell, verify), runs in waits.items():
        figures.append(
            Figure(
                subject="webhook → assigned",
                what=f"{rate}/s, {doorbell}, verify {'on' if verify else 'off'}: p50",
                value=median([each.seconds.p50 for each in runs]) * 1000,
                unit="ms",
                wanted=wanted[verify] if rate == 200 else "",
                beside=f"p99 {median([each.seconds.p99 for each in runs]) * 1000:.0f} ms, "
                f"of which the platform {LATENCY_SECONDS * (1.5 if verify else 0.5) * 1000:.0f} "
                f"ms; processor time for a chat with its resolve: {_told(runs)}",
                details={
                    "p50": [each.seconds.p50 for each in runs],
                    "p99": [each.seconds.p99 for each in runs],
                    "cpu_milliseconds": [dict(each.cpu_milliseconds) for each in runs],
                },
            )
        )
    return figures


def _told(runs: list[Waits]) -> str:
    parts = runs[0].cpu_milliseconds
    used = {part: median([each.cpu_milliseconds[part] for each in runs]) for part in parts}
    by_part = ", ".join(f"{part} {milliseconds:.2f}" for part, milliseconds in used.items())
    return f"{sum(used.values()):.1f} ms ({by_part})"


def _slot_figures(slots: Mapping[tuple[str, bool], list[Percentiles]]) -> list[Figure]:
    return [
        Figure(
            subject="freed slot",
            what=f"→ next assign call on a full floor of 200 chats/s, {doorbell}: p50",
            value=median([each.p50 for each in runs]) * 1000,
            unit="ms",
            wanted="p50 ≤ 15, p99 ≤ 50 ms",
            beside=f"p99 {median([each.p99 for each in runs]) * 1000:.0f} ms",
            details={"p50": [each.p50 for each in runs], "p99": [each.p99 for each in runs]},
        )
        for (doorbell, _), runs in slots.items()
    ]


def idle_and_memory(stage: Stage, *, seconds: float, waiting: int) -> list[Figure]:
    """What the processes cost while nothing happens, with an empty line and with a long one."""
    figures = []
    for length in (0, waiting):
        figures += _idle(stage, seconds, length)
    return figures


def _idle(stage: Stage, seconds: float, waiting: int) -> list[Figure]:
    from benchmarks.line import fill_line
    from benchmarks.measuring import cpu_seconds, resident_mebibytes

    with deployed(stage, "dramatiq", verify=True, agents=50, capacity=0) as deployment:
        for first in range(0, waiting, 100_000):
            fill_line(deployment.database_url, invented_rooms(min(100_000, waiting), first))
        time.sleep(15 if waiting else 6)
        pids = {"webhook": _pid_of("webhook.main"), "worker": _pid_of("worker.main")}
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        calls, statements = deployment.platform.calls(), _statements(deployment.database_url)
        began = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        per_second = (deployment.platform.calls() - calls) / elapsed
        transactions = (_statements(deployment.database_url) - statements) / elapsed
        where = f"{waiting:,} waiting"
        figures = [
            Figure(
                subject="idle",
                what=f"CPU of the {name}, {where}",
                value=(cpu_seconds(pid) - before[name]) / elapsed * 100,
                unit="%",
                wanted="≤ 3 %",
                beside=f"{transactions:.1f} transactions/s in PostgreSQL, all processes",
            )
            for name, pid in pids.items()
        ]
        figures += [
            Figure(
                subject="memory",
                what=f"resident size of the {name}, {where}",
                value=resident_mebibytes(pid),
                unit="MiB",
                wanted="≤ 120 MiB",
            )
            for name, pid in pids.items()
        ]
        figures.append(
            Figure(
                subject="idle",
                what=f"calls to the platform, 50 agents in one page, {where}",
                value=per_second,
                unit="calls/s",
                wanted="≤ 0.2/s",
                beside="pages of agents / presence.interval + pages of rooms / reconcile.interval",
            )
        )
        return figures


def _pid_of(module: str) -> int:
    import psutil

    mine = psutil.Process().children(recursive=True)
    return next(each.pid for each in mine if any(module in part for part in each.cmdline()))


def _statements(database_url: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(
            "select xact_commit + xact_rollback from pg_stat_database"
            " where datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0
