"""What the processes told Prometheus, held against what the record and the platform say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from sebastian_core.domain.chat import ChatState, Doubt, Transition
from sebastian_core.domain.errors import Fault
from tests.oracle import Record
from tests.oracle.perfect import presence_of
from tests.oracle.record import Delivered, Row
from tests.scraping import Scrape

ARRIVALS, RESOLVES = "webhook-incoming-message", "webhook-mark-as-resolved"
ADMITTED = ("admitted", "doubtful", "succeeded")
CLOSED = ("closed", "closed_and_next")
ANSWERED_200 = ("assigned", "assigned_again", "assigned_resolved")
WAIT_BOUNDS = (0.5, 1.0, 2.5, 5.0)

_OPERATIONS = {
    "agents": "agents",
    "available_agents": "eligible_agents",
    "assign_agent": "assign",
    "customer_room": "room",
    "customer_rooms": "room listings",
    "profile": "account",
}
"""The platform's name of each call, and ours."""

_LISTINGS = ("waiting_rooms", "rooms_of")
"""Two questions of ours that are one call to the platform."""

_FAILED_AS = {"status": "500"}
"""What a planted fault of the scenarios answers."""


@frozen(kw_only=True)
class Scraped:
    """The metrics of all processes when the floor was quiet, and the platform's own counts."""

    webhook: Scrape
    workers: Sequence[Scrape]
    answered: Mapping[str, int]

    def of_workers(self, name: str, **labels: str) -> float:
        """The sum over the workers."""
        return sum(worker.total(name, **labels) for worker in self.workers)


@frozen
class Compared:
    """One number as the metrics tell it, and as it truly is."""

    what: str
    told: float
    true: float
    untold: float = 0
    """How many more there may have been, of which the record does not tell what they were."""
    unheard: float = 0
    """How many of them the process may not have told, because it did not hear how they ended."""

    @property
    def agrees(self) -> bool:
        """Equal, as far as that can be known; sums of seconds to the millisecond."""
        least, most = self.true - self.unheard, self.true + self.untold
        return least - 0.001 <= self.told <= most + 0.001

    def __str__(self) -> str:
        least, most = self.true - self.unheard, self.true + self.untold
        true = f"{least:g}" if least == most else f"{least:g} to {most:g}"
        return f"{self.what}: the metrics say {self.told:g}, it was {true}"


def compared(scraped: Scraped, record: Record, *, capacity: int) -> list[Compared]:
    """Every number that both sides know."""
    return [
        *_webhooks(scraped.webhook, record),
        *_endings(scraped, record),
        *_waits(scraped, record),
        *_platform_calls(scraped),
        *_findings(scraped, record),
        *_floor_at_rest(scraped, record, capacity),
    ]


def _webhooks(told: Scrape, record: Record) -> Iterator[Compared]:
    for webhook, kind in _KINDS.items():
        answered = [
            each for each in record.deliveries if each.kind == kind and each.status is not None
        ]
        total = told.total("webhooks_total", webhook=webhook)
        timed = told.total("webhook_seconds_count", webhook=webhook)
        yield Compared(f"{kind} webhooks", total, len(answered))
        yield Compared(f"{kind} webhooks timed", timed, len(answered))
    written = written_by_webhooks(record)
    for webhook, outcome, move, reason in _OUTCOMES:
        number = told.total("webhooks_total", webhook=webhook, outcome=outcome)
        rows = written[move, reason]
        unheard = unheard_rows(webhook, rows, record)
        yield Compared(f"webhooks {outcome}", number, len(rows), unheard=unheard)
    number = sum(told.total("webhooks_total", webhook=RESOLVES, outcome=each) for each in CLOSED)
    closed = written[Transition.CLOSE, "resolved"]
    unheard = unheard_rows(RESOLVES, closed, record)
    yield Compared("chats closed by a webhook", number, len(closed), unheard=unheard)


def written_by_webhooks(record: Record) -> Mapping[tuple[Transition, str], list[Row]]:
    """History rows by move and reason, without those that workers write with the same words.

    A resolve of a reserved chat waits for its call, so it is a worker that closes such a chat and
    opens the next one, in one transaction.
    """
    by_worker = {
        (row.room_id, row.xid)
        for row in record.history
        if row.move is Transition.CLOSE and row.before is ChatState.RESERVED
    }
    written: defaultdict[tuple[Transition, str], list[Row]] = defaultdict(list)
    for row in record.history:
        if (row.room_id, row.xid) not in by_worker:
            written[row.move, row.reason].append(row)
    return written


def unheard_rows(webhook: str, rows: Sequence[Row], record: Record) -> int:
    """How many of these rows may stem from a webhook that was answered 503, or not at all.

    The service gives up on a commit after a second; the database may carry it out nevertheless.
    """
    given_up: defaultdict[str, list[Delivered]] = defaultdict(list)
    for each in record.deliveries:
        if each.kind == _KINDS[webhook] and each.status in (None, 503) and not each.is_lost:
            given_up[each.room_id].append(each)
    return sum(any(_may_have_written(each, row) for each in given_up[row.room_id]) for row in rows)


def _may_have_written(delivered: Delivered, row: Row) -> bool:
    if delivered.sent_at is None or row.at < delivered.sent_at - _CLOCKS_APART_SECONDS:
        return False
    ended_at = delivered.answered_at or delivered.sent_at + _ANSWER_SECONDS
    return row.at <= ended_at + _CARRIED_OUT_SECONDS


_KINDS = {ARRIVALS: "allocation", RESOLVES: "resolved"}
_CLOCKS_APART_SECONDS = 0.005
_ANSWER_SECONDS = 10.0
"""How long the platform waits for an answer."""
_CARRIED_OUT_SECONDS = 1.0
"""How long after an answer 503 the database may carry the transaction out."""

_OUTCOMES = (
    (ARRIVALS, "admitted", Transition.ADMIT, "the customer asked"),
    (ARRIVALS, "doubtful", Transition.ADMIT, Doubt.LATE_REPEAT),
    (ARRIVALS, "succeeded", Transition.ADMIT, "the customer asked again"),
    (
        ARRIVALS,
        "proven",
        Transition.CLEAR,
        "the customer asked again, behind a service that is resolved",
    ),
    (RESOLVES, "closed_and_next", Transition.ADMIT, Doubt.NEXT_UNPROVEN),
    (RESOLVES, "doubted", Transition.DOUBT, Doubt.UNNAMED_RESOLVE),
)
"""Each outcome of a webhook that leaves a history row of its own."""


_CALL_MAY_HAVE_WORKED = (Doubt.UNKNOWN_ANSWER, Doubt.OUTAGE, Doubt.LATE_SUCCESS)
"""Then the platform may have served somebody of whom we never heard before it was over."""


def _endings(scraped: Scraped, record: Record) -> Iterator[Compared]:
    rows = [row for row in record.history if row.reason != "the call failed and was not applied"]
    moves = Counter(row.move for row in rows)
    reserved = moves[Transition.RESERVE]
    confirmed = sum(row.reason == "the platform confirmed" for row in rows)
    ended = scraped.of_workers
    yield Compared("reservations", ended("assignments_total"), reserved)
    yield Compared("assigned", ended("assignments_total", ending="assigned"), confirmed)
    closed = sum(
        row.reason == Doubt.RESOLVED_IN_CALL for row in rows if row.move is Transition.CLOSE
    )
    for ending, move in (("refused", Transition.REFUSE), ("passed over", Transition.PASS_OVER)):
        told = ended("assignments_total", ending=ending)
        yield Compared(ending, told, moves[move], untold=closed)
    if any(row.move is Transition.DOUBT and row.reason in _CALL_MAY_HAVE_WORKED for row in rows):
        return
    served = {
        (event.room_id, event.service_id)
        for event in record.events
        if event.kind in ANSWERED_200 and event.by == "api"
    }
    settled = sum(row.reason == "the platform shows the room as served" for row in record.history)
    told = ended("assignments_total", ending="assigned") + settled
    overtaken = {row.chat_id for row in rows if row.reason == Doubt.RESOLVED_UNSURE}
    unheard = sum(
        row.chat_id in overtaken and row.before is ChatState.RESERVED
        for row in rows
        if row.move is Transition.CLOSE
    )
    yield Compared("services that we gave", told, len(served), unheard=unheard)


def _waits(scraped: Scraped, record: Record) -> Iterator[Compared]:
    arrived = {chat.id: chat.arrived_at for chat in record.chats}
    waits = [
        row.at - arrived[row.chat_id]
        for row in record.history
        if row.move is Transition.CONFIRM and row.reason == "the platform confirmed"
    ]
    yield Compared("waits", scraped.of_workers("wait_seconds_count"), len(waits))
    yield Compared("seconds waited", scraped.of_workers("wait_seconds_sum"), sum(waits))
    for bound in WAIT_BOUNDS:
        within = scraped.of_workers("wait_seconds_bucket", le=str(bound))
        yield Compared(f"waits up to {bound:g} s", within, sum(wait <= bound for wait in waits))


def _platform_calls(scraped: Scraped) -> Iterator[Compared]:
    told: Counter[str] = Counter()
    for worker in scraped.workers:
        for (name, labels), number in worker.samples.items():
            if name == "sebastian_platform_calls_total":
                told[_call(**dict(labels))] += int(number)
    answered: Counter[str] = Counter()
    for call, number in scraped.answered.items():
        operation, end = call.split(" ")
        answered[f"{_OPERATIONS.get(operation, operation)} {_FAILED_AS.get(end, end)}"] += number
    given_up: Counter[str] = Counter()
    for call in [each for each in told if each.endswith(_GIVEN_UP)]:
        given_up[call.rpartition(" ")[0]] += told.pop(call)
    for call in sorted({*told, *answered}):
        unheard = given_up[call.rpartition(" ")[0]]
        yield Compared(f"platform calls {call}", told[call], answered[call], unheard=unheard)


_GIVEN_UP = (Fault.TIMEOUT, Fault.BROKEN)
"""What a worker tells of a call whose answer it did not wait for, or that broke off."""


def _call(operation: str, code: str) -> str:
    return f"{'room listings' if operation in _LISTINGS else operation} {code}"


def _findings(scraped: Scraped, record: Record) -> Iterator[Compared]:
    reasons = Counter(row.reason for row in record.history)
    for duty, finding, reason in _FOUND:
        number = scraped.of_workers("findings_total", duty=duty, finding=finding)
        true = reasons[reason]
        failed = scraped.of_workers("duty_failures_total", duty=duty) > 0
        yield Compared(f"{duty}: {finding}", number, true, unheard=true if failed else 0)


_FOUND = (
    ("refresh", "adopted", "somebody else gave it"),
    ("refresh", "converted", "somebody else gave it while it waited"),
    ("refresh", "transferred", "somebody moved it to another agent"),
    ("refresh", "suspect", Doubt.NOT_LISTED),
    ("reconcile", "admitted", "found waiting; its webhook was lost"),
)
"""Each finding of a duty that leaves a history row of its own.

A run of the duty that fails midway does not tell what it found until then.
"""


def _floor_at_rest(scraped: Scraped, record: Record, capacity: int) -> Iterator[Compared]:
    floor, at_rest = scraped.webhook, 0
    yield Compared("chats waiting", floor.value("chats_waiting"), at_rest)
    yield Compared("oldest wait", floor.value("oldest_wait_seconds"), at_rest)
    yield Compared("chats stuck", floor.value("chats_stuck"), at_rest)
    yield Compared("chats held", floor.total("chats_held"), at_rest)
    yield Compared("slots taken", floor.value("slots", state="taken"), at_rest)
    yield Compared("calls in flight", scraped.of_workers("calls_in_flight"), at_rest)
    yield Compared("workers", floor.value("workers"), len(scraped.workers))
    yield Compared("database up", floor.value("database_up"), True)
    yield Compared("Redis up", floor.value("redis_up"), True)
    up = scraped.of_workers("platform_standing", standing="up")
    yield Compared("workers that see the platform up", up, len(scraped.workers))
    presence = presence_of(record)
    if all(is_online for _, _, is_online in presence):
        online = len({agent_id for _, agent_id, _ in presence})
        yield Compared("agents free", floor.value("agents", standing="free"), online)
        yield Compared("slots free", floor.value("slots", state="free"), online * capacity)
