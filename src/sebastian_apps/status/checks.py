"""What is wrong, and what helps: one list, which doctor, page, metrics and alerts show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import frozen

from sebastian_adapters.postgres.sessions import READ_ONLY
from sebastian_apps.status.floor_state import GROWTH_MINUTES, FloorRules, FloorState
from sebastian_apps.status.heartbeat import DutyStatus, WorkerStatus, own_version
from sebastian_apps.wording import counted, duration, left_aside, standings_told
from sebastian_core.domain.matcher import Availability
from sebastian_core.domain.rate_limit import CircuitState

#: For how long a difference that the reconcile repaired is told.
DRIFT_TOLD = timedelta(minutes=30)

ROSTER_OLD_AT_LEAST = timedelta(seconds=30)


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTICE = "notice"
    WARNING = "warning"
    PROBLEM = "problem"


WORST_FIRST = (Level.PROBLEM, Level.WARNING, Level.NOTICE)


@frozen
class CheckResult:
    """What was found under a name that never changes, and what helps if it is not fine.

    `about` is the one of several things that the name may stand for, such as a duty. `at` is when
    it was found, if that is not now.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""
    about: str = ""
    at: datetime | None = None


def fine(name: str, text: str) -> CheckResult:
    """It is as it should be."""
    return CheckResult(name, Level.OK, text)


def notice(name: str, text: str, remedy: str) -> CheckResult:
    """It is worth knowing, and nothing has to be done."""
    return CheckResult(name, Level.NOTICE, text, remedy)


def warning(name: str, text: str, remedy: str, about: str = "") -> CheckResult:
    """It works, but not as well or as safely as it should."""
    return CheckResult(name, Level.WARNING, text, remedy, about)


def problem(name: str, text: str, remedy: str) -> CheckResult:
    """It keeps Sebastian from doing its work."""
    return CheckResult(name, Level.PROBLEM, text, remedy)


def once(found: Iterable[CheckResult]) -> list[CheckResult]:
    """Each name and subject once, as it was found first."""
    known: dict[tuple[str, str], CheckResult] = {}
    for each in found:
        known.setdefault((each.name, each.about), each)
    return list(known.values())


def worst_first(found: Iterable[CheckResult]) -> list[CheckResult]:
    """What is not fine, the worst before the others."""
    told = [each for each in once(found) if each.level is not Level.OK]
    return sorted(told, key=lambda each: WORST_FIRST.index(each.level))


def check_floor(
    state: FloorState, rules: FloorRules, *, takes_writes: bool = True
) -> list[CheckResult]:
    """Everything that the state of the floor shows.

    While the database takes no writes, the workers cannot report: then nothing is said of them.
    """
    of_workers = _CHECKS_OF_WORKERS if state.workers else (check_no_worker,)
    checks = (*(of_workers if takes_writes else ()), *_CHECKS_OF_FLOOR)
    return [each for check in checks for each in check(state, rules)]


DATABASE_REFUSES = "database-refuses"


def takes_no_writes(why: str) -> bool:
    """Whether a StoreUnavailable, by its words, means that the database is read-only."""
    return READ_ONLY in why


def database_away(since: datetime, why: str) -> CheckResult:
    """The one thing that can be said while nothing can be read, for this reason."""
    name = DATABASE_REFUSES if takes_no_writes(why) else "database-unreachable"
    text = f"{why}. What you see is as of then."
    remedy = (
        "Webhooks are answered 503 meanwhile; the reconcile finds what Qiscus does not send again."
    )
    return CheckResult(name, Level.PROBLEM, text, remedy, at=since)


def database_refuses(why: str) -> CheckResult:
    """The database answers, but a webhook cannot be recorded there."""
    text = f"A webhook cannot be recorded: {why}."
    remedy = "Look at PostgreSQL's log and its disk; is it the primary, and not read-only?"
    return problem(DATABASE_REFUSES, text, remedy)


def check_no_worker(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """Somebody must give the chats away."""
    last = max(state.reports, key=lambda report: report.at, default=None)
    text = "No worker runs: chats come in, and nobody gives them to agents."
    if last is not None:
        text += f" The last one, {last.name}, was heard {duration(state.now - last.at)} ago."
    yield problem("no-worker", text, "Start one: sebastian-worker. If it runs, see its log.")


def check_credentials(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """Qiscus must take our credentials."""
    refused = [each for each in state.workers if each.circuit == CircuitState.CREDENTIALS_REFUSED]
    if refused:
        text = f"Qiscus refuses the credentials of {_names(refused)}: nothing is assigned there."
        remedy = "Correct qiscus.app_id and qiscus.secret_key, then restart the workers."
        yield problem("worker-credentials-refused", text, remedy)


def check_platform(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """Qiscus must answer the workers."""
    cut_off = [each for each in state.workers if each.circuit == CircuitState.OPEN]
    if not cut_off:
        return
    since = min(filter(None, (each.down_since for each in cut_off)), default=None)
    lasting = f" for {duration(state.now - since)}" if since else ""
    text = f"Qiscus has not answered {_names(cut_off)}{lasting}."
    if len(cut_off) == len(state.workers):
        remedy = (
            "If Qiscus is down, nothing has to be done: everybody keeps their place, and the line "
            "goes on as soon as it answers. Else look at the network and the proxy."
        )
        yield problem("worker-platform-down", text, remedy)
    else:
        remedy = "Others reach it: look at the network of the machine that it runs on."
        yield warning("worker-platform-down", text, remedy)


def check_duties(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """Each duty must come to its end, and in time.

    A worker whose calls the platform does not answer is told of once, by that.
    """
    cared_for = [worker for worker in state.workers if worker.reaches_platform]
    failing: dict[str, list[tuple[WorkerStatus, DutyStatus]]] = defaultdict(list)
    for worker in cared_for:
        for duty in worker.duties.values():
            if duty.failed_at:
                failing[duty.name].append((worker, duty))
    for name, them in failing.items():
        _, last = max(them, key=lambda each: each[1].failed_at or state.now)
        ago = duration(state.now - (last.failed_at or state.now))
        who = _names([worker for worker, _ in them])
        text = f"The duty {name!r} of {who} fails, last {ago} ago: {last.why}."
        remedy = "It is tried again. Its log tells more: docs/runbook.md, SebastianDutiesFailing."
        yield warning("duty-failing", text, remedy, about=name)
    for worker in cared_for:
        for duty in worker.late(state.now):
            yield _late(duty, worker, state.now)


def _late(duty: DutyStatus, worker: WorkerStatus, now: datetime) -> CheckResult:
    words = _DUTIES_TOLD.get(duty.name, (f"The duty {duty.name!r} was", "done", ""))
    what, done, consequence = words
    if duty.done_at:
        text = f"{what} last {done} {duration(now - duty.done_at)} ago{consequence}."
    else:
        text = f"{what} never {done} by {worker.name}{consequence}."
    remedy = "See duty-failing here, or the worker's log; is qiscus.rate_limit far too low?"
    return warning(f"{duty.name}-late", text, remedy, about=duty.name)


_DUTIES_TOLD = {
    "refresh": ("The agents were", "read", ""),
    "reconcile": ("The line was", "compared", ": lost webhooks stay lost"),
}


def check_roster(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """The list of agents that all share must be there, and fresh, if Qiscus can be asked at all."""
    same_redis = "Do the workers and this process name the same Redis? Is a worker's refresh late?"
    if not any(worker.reaches_platform for worker in state.workers):
        return
    if state.roster is None:
        if state.agent_store_is_up:
            text = "The agents have not been read yet: nobody counts as online."
            yield warning("roster-missing", text, same_redis)
        return
    age = state.now - state.roster.read_at
    if age > max(2 * rules.presence_max_age, ROSTER_OLD_AT_LEAST):
        text = f"The agents were last read {duration(age)} ago: who is online may have changed."
        if not rules.verify:
            text = (
                f"The agents were last read {duration(age)} ago: nobody counts as online any more."
            )
        yield warning("roster-old", text, same_redis)


def check_agents(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """Somebody must be able to take a chat, at least while somebody waits."""
    if state.roster is None:
        return
    waiting = state.summary.waiting
    make = problem if waiting else warning
    told = (
        f"{counted(waiting, 'customer')} wait{'s' * (waiting == 1)}, in their places."
        if waiting
        else "The next customer will wait."
    )
    if not any(presence.online for presence in state.roster.agents.values()):
        text = f"None of {counted(len(state.roster.agents), 'agent')} is online. {told}"
        remedy = "An agent logs in to Qiscus and sets themselves available."
        yield make("nobody-online", text, remedy)
        return
    standings = state.standings(rules)
    full = standings.get(Availability.FULL, 0)
    if standings.get(Availability.FREE) or (full and not waiting):
        return
    text = f"No agent can take a chat: {standings_told(standings)}. {told}"
    if full:
        remedy = "Resolve what is over, raise a capacity, or have more agents come online."
        yield warning("nobody-free", text, remedy)
    else:
        remedy = "Resume an agent who is paused, give them room, or have somebody come online."
        yield make("nobody-free", text, remedy)


def check_line(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """The line must not be long, and must not grow."""
    oldest = state.summary.oldest_arrived_at
    if oldest is not None and state.now - oldest > rules.alert_wait:
        text = (
            f"The first in the line has waited {duration(state.now - oldest)} "
            f"({counted(state.summary.waiting, 'chat')} waiting)."
        )
        remedy = "See: sebastian queue. It says of each chat why it is not given yet."
        yield warning("line-long", text, remedy)
    lately = state.minutes[-GROWTH_MINUTES:]
    arrived, given = sum(each.arrived for each in lately), sum(each.assigned for each in lately)
    if min(arrived - given, state.summary.waiting) >= rules.alert_growth:
        text = (
            f"The line grows: in {GROWTH_MINUTES} minutes {counted(arrived, 'chat')} came and "
            f"{given} {'was' if given == 1 else 'were'} given to agents; "
            f"{state.summary.waiting} wait."
        )
        remedy = "More agents, or more capacity. See: sebastian queue, sebastian agents."
        yield warning("line-growing", text, remedy)


def check_chats(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """No chat may be stuck or left aside."""
    if state.summary.stuck:
        text = (
            f"{counted(state.summary.stuck, 'chat')} refused again and again: "
            f"{rules.alert_refusals} times or more."
        )
        remedy = (
            "They are tried ever less often, and stop nobody behind them. See: sebastian queue; "
            "then sebastian why ROOM, and drop or assign it. When the cause is mended: "
            "sebastian queue release --stuck"
        )
        yield warning("stuck-chats", text, remedy)
    if state.summary.left_aside:
        remedy = "Restart what is old, when the upgrade is done; or go back no further."
        yield warning("chats-left-aside", left_aside(state.summary.left_aside), remedy)


def check_agent_store(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """Redis must answer this process."""
    if not state.agent_store_is_up:
        text = "Redis does not answer. Nothing is lost: workers look at the line every two seconds."
        remedy = (
            "Start Redis, or correct redis.url. Who comes online meanwhile gets chats from the "
            "worker with the duties only."
        )
        yield problem("redis-unreachable", text, remedy)


def check_differences(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """Our record must be the platform's, and its lists must be readable."""
    for worker in state.workers:
        at = worker.drift_at
        if at is not None and state.now - at <= DRIFT_TOLD:
            text = (
                f"{worker.name} repaired our record {duration(state.now - at)} ago: "
                f"{worker.drift.get('admitted', 0)} admitted whose webhook was lost, "
                f"{worker.drift.get('settled', 0)} settled that Qiscus contradicted."
            )
            remedy = "Webhooks get lost: look at the way from Qiscus to sebastian-webhook."
            yield warning("webhooks-lost", text, remedy)
    if too_old := _most(state, "reconcile", "too_old"):
        wait, are = ("waits", "is") if too_old == 1 else ("wait", "are")
        text = (
            f"{counted(too_old, 'room')} {wait} at Qiscus for longer than reconcile.max_age, "
            f"and {are} not taken in."
        )
        yield warning("rooms-too-old", text, "Serve or resolve them there, or raise that limit.")
    if silent := _most(state, "reconcile", "without_message"):
        text = f"No customer has written yet in {counted(silent, 'waiting room')} at Qiscus."
        yield notice("rooms-without-message", text, "They are taken in when the customer writes.")
    if rooms := _most(state, "reconcile", "unreadable"):
        text = f"{counted(rooms, 'room')} in Qiscus's list of waiting rooms cannot be read."
        remedy = "Report it with that list: rooms whose webhook is lost are looked for there."
        yield warning("rooms-unreadable", text, remedy)
    if agents := _most(state, "refresh", "unreadable"):
        yield agents_unreadable(agents)
    if any(worker.honours_user_ids is False for worker in state.workers):
        yield user_ids_ignored()


def agents_unreadable(number: int) -> CheckResult:
    """So many agents of the platform's list cannot be read."""
    text = f"{counted(number, 'agent')} in Qiscus's list cannot be read."
    remedy = "They get no chats; all others do. Look at that list, and report what it shows."
    return warning("agents-unreadable", text, remedy)


def user_ids_ignored() -> CheckResult:
    """The platform lists everybody's rooms, whomever one asks for."""
    text = "Qiscus ignores user_ids: chats that others gave cannot be told apart."
    remedy = "Nothing here; capacity does not count chats that Sebastian did not give."
    return notice("user-ids-ignored", text, remedy)


def check_policy(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """A policy of the user's own must serve wherever it is meant to."""
    suspended = [each.policy for each in state.workers if each.policy_is_suspended]
    refused = [each.policy for each in state.workers if each.policy.get("refusals")]
    if suspended:
        policy = suspended[0]
        text = f"{policy['name']} was put aside: {policy['suspended']}; the shipped one serves."
        remedy = "Mend the policy and restart sebastian-worker, or: sebastian policy retry"
        yield warning("policy-suspended", text, remedy)
    elif refused:
        policy = refused[0]
        times = counted(sum(each["refusals"] for each in refused), "time")
        text = f"{policy['name']} could not be used {times}: {policy['last_refusal']}."
        remedy = "The shipped policy served instead. The worker's log tells more; mend yours."
        yield warning("policy-refused", text, remedy)


def check_versions(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """All processes must be of one version, but for the time of an upgrade."""
    others = [each for each in state.workers if each.version != own_version()]
    if others:
        told = ", ".join(f"{each.name} runs {each.version or 'an older one'}" for each in others)
        text = f"This is version {own_version()}, but {told}."
        yield warning("versions-differ", text, "Restart what is old, when the upgrade is done.")


def check_workers(state: FloorState, rules: FloorRules) -> Iterator[CheckResult]:
    """How many are at work, and what the one with the duties last did."""
    leader = next((each for each in state.workers if each.is_leader), None)
    told = "".join(
        f"; {what} {duration(state.now - duty.done_at)} ago"
        for what, name in (("agents read", "refresh"), ("line compared", "reconcile"))
        if leader and (duty := leader.duties.get(name)) and duty.done_at
    )
    yield fine("workers", f"{counted(len(state.workers), 'worker')} at work{told}.")


_Check = Callable[[FloorState, FloorRules], Iterator[CheckResult]]

_CHECKS_OF_FLOOR: tuple[_Check, ...] = (
    check_agents,
    check_line,
    check_chats,
    check_agent_store,
)
_CHECKS_OF_WORKERS: tuple[_Check, ...] = (
    check_credentials,
    check_platform,
    check_duties,
    check_roster,
    check_differences,
    check_policy,
    check_versions,
    check_workers,
)


def _most(state: FloorState, duty: str, what: str) -> int:
    """How many of something a duty counted in its last run; the most that a worker tells."""
    return max((worker.found(duty, what) for worker in state.workers), default=0)


def _names(workers: Sequence[WorkerStatus]) -> str:
    return ", ".join(worker.name for worker in workers)
