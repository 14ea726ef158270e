"""What is wrong on the floor, worst first, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sebastian_apps.floor.look import FloorRules, Look
from sebastian_apps.floor.view import Banner, Level, Numbers
from sebastian_apps.telling import counted, duration, left_aside
from sebastian_apps.worker.words import WorkerWords, living
from sebastian_core.domain.permits import Standing

DRIFT_SHOWN = timedelta(minutes=10)
"""For how long a difference that reconcile repaired is shown."""

_WORST_FIRST = (Level.WRONG, Level.WARNING, Level.NOTICE)


def signs(look: Look, numbers: Numbers, rules: FloorRules) -> tuple[Banner, ...]:
    """All banners of this moment."""
    alive = living(look.reports, look.now)
    found = [
        *_of_workers(alive),
        *_of_policy(alive),
        *_of_platform(alive, look.now),
        *_of_agents(look, numbers, rules),
        *_of_line(numbers, rules),
        *_of_stores(look),
        *_of_reconcile(look),
    ]
    return tuple(sorted(found, key=lambda banner: _WORST_FIRST.index(banner.level)))


def halt(look: Look) -> str | None:
    """What keeps everything that waits from being given, whoever is free."""
    alive = living(look.reports, look.now)
    if not alive:
        return "no worker is running"
    standings = {words.standing for words in alive}
    if standings == {Standing.DOWN}:
        return "until Qiscus answers again"
    if standings == {Standing.CREDENTIALS_REFUSED}:
        return "until Qiscus takes our credentials again"
    return None


def database_away(since: datetime, why: str) -> Banner:
    """The one banner that is left when nothing can be read."""
    return Banner(
        name="database",
        level=Level.WRONG,
        title="The database does not answer",
        text=f"What you see is as of then. Webhooks are answered 503; reconcile finds what Qiscus "
        f"does not send again. ({why})",
        at=since,
    )


def _of_workers(alive: list[WorkerWords]) -> Iterator[Banner]:
    if not alive:
        yield Banner(
            name="workers",
            level=Level.WRONG,
            title="No worker is running",
            text="Chats come into the line, and nobody gives them away. Start sebastian-worker.",
        )


def _of_policy(alive: list[WorkerWords]) -> Iterator[Banner]:
    suspended = [words.policy for words in alive if words.policy_is_suspended]
    refused = [words.policy for words in alive if words.policy.get("refusals")]
    if suspended:
        policy = suspended[0]
        yield Banner(
            name="policy",
            level=Level.WARNING,
            title="The shipped policy serves, not yours",
            text=f"{policy['name']} was put aside: {policy['suspended']}. Chats are given first "
            "come, first served. Mend it and restart sebastian-worker, or: sebastian policy retry",
        )
    elif refused:
        policy = refused[0]
        yield Banner(
            name="policy",
            level=Level.WARNING,
            title="A choice of your policy could not be used",
            text=f"{policy['name']}: {policy['last_refusal']}. The shipped policy served instead, "
            f"{counted(sum(each['refusals'] for each in refused), 'time')} so far.",
        )


def _of_platform(alive: list[WorkerWords], now: datetime) -> Iterator[Banner]:
    standings = [words.standing for words in alive]
    if Standing.CREDENTIALS_REFUSED in standings:
        yield Banner(
            name="credentials",
            level=Level.WRONG,
            title="Qiscus refuses our credentials",
            text="Nothing is assigned until it takes them again. Check qiscus.app_id and "
            "qiscus.secret_key, then restart; a probe goes out every minute.",
        )
    elif alive and all(standing == Standing.DOWN for standing in standings):
        since = min(filter(None, (words.down_since for words in alive)), default=None)
        how_long = f" for {duration(now - since)}" if since else ""
        yield Banner(
            name="platform",
            level=Level.WRONG,
            title=f"Qiscus has not answered{how_long}",
            text="The line is kept; everybody keeps their place. All that waits becomes ready as "
            "soon as Qiscus answers a probe.",
        )
    elif Standing.DOWN in standings:
        yield Banner(
            name="platform",
            level=Level.WARNING,
            title="A worker cannot reach Qiscus",
            text="Others can. Look at the network of the machine that it runs on.",
        )


def _of_agents(look: Look, numbers: Numbers, rules: FloorRules) -> Iterator[Banner]:
    roster = look.roster
    if roster is None:
        yield Banner(
            name="presence",
            level=Level.WARNING,
            title="The agents have not been read yet",
            text="A worker reads them when it starts. Until then nobody counts as online.",
        )
        return
    age = look.now - roster.read_at
    if age > 2 * rules.presence_max_age:
        yield Banner(
            name="presence",
            level=Level.WARNING,
            title=f"The agents were last read {duration(age)} ago",
            text="Who is online may have changed since. Each assignment still asks first."
            if rules.verify
            else "With assign.verify off nobody counts as online any more.",
        )
    if not numbers.online:
        yield Banner(
            name="nobody",
            level=Level.WRONG if numbers.waiting else Level.WARNING,
            title="Nobody is online",
            text=f"{counted(numbers.waiting, 'customer')} waiting. They keep their places."
            if numbers.waiting
            else "The next customer will wait.",
        )


def _of_line(numbers: Numbers, rules: FloorRules) -> Iterator[Banner]:
    if numbers.stuck:
        yield Banner(
            name="stuck",
            level=Level.WARNING,
            title=f"{counted(numbers.stuck, 'chat')} stuck",
            text=f"Qiscus refused each at least {rules.alert_refusals} times. They are tried "
            "again, ever less often, and stop nobody behind them.",
        )
    if numbers.left_aside:
        yield Banner(
            name="left-aside",
            level=Level.WARNING,
            title=f"{counted(numbers.left_aside, 'chat')} left aside",
            text=left_aside(numbers.left_aside),
        )


def _of_stores(look: Look) -> Iterator[Banner]:
    if not look.agent_store_is_up:
        yield Banner(
            name="redis",
            level=Level.WARNING,
            title="Redis does not answer",
            text="Nothing is lost: workers look at the line every two seconds. Who comes online "
            "meanwhile gets chats from the worker with the duties only.",
        )


def _of_reconcile(look: Look) -> Iterator[Banner]:
    said = [WorkerWords(report) for report in look.reports]
    drift = _newest_drift(said, look.now)
    if drift is not None:
        yield Banner(
            name="drift",
            level=Level.NOTICE,
            title=f"Reconcile found {counted(drift.admitted + drift.settled, 'difference')}",
            text=f"Admitted, because their webhook was lost: {drift.admitted}. "
            f"Settled, because Qiscus contradicted us: {drift.settled}.",
            at=drift.drift_at,
        )
    too_old = max((words.too_old for words in said), default=0)
    if too_old:
        yield Banner(
            name="too old",
            level=Level.NOTICE,
            title=f"{counted(too_old, 'room')} wait at Qiscus for longer than reconcile.max_age",
            text="They are shown there, and not taken into the line here.",
        )
    yield from _of_what_is_left_out(said)
    if any(words.ignores_user_ids for words in said):
        yield Banner(
            name="user_ids",
            level=Level.NOTICE,
            title="Qiscus ignores user_ids in this account",
            text="Chats that others give cannot be told apart there, so they fill no slots here.",
        )


def _of_what_is_left_out(said: list[WorkerWords]) -> Iterator[Banner]:
    agents = max((words.unreadable_agents for words in said), default=0)
    rooms = max((words.unreadable_rooms for words in said), default=0)
    if agents or rooms:
        what = [counted(agents, "agent")] * bool(agents) + [counted(rooms, "room")] * bool(rooms)
        yield Banner(
            name="unreadable",
            level=Level.WARNING,
            title=f"{' and '.join(what)} in Qiscus's lists cannot be read",
            text="They are left out: such agents get no chats, and such rooms are not found when "
            "their webhook is lost. All others are served.",
        )
    silent = max((words.without_message for words in said), default=0)
    if silent:
        yield Banner(
            name="no message",
            level=Level.NOTICE,
            title=f"No customer has written yet in {counted(silent, 'room')} at Qiscus",
            text="They are taken into the line when the customer writes.",
        )


def _newest_drift(said: list[WorkerWords], now: datetime) -> WorkerWords | None:
    """Who last found a difference, if that was lately."""
    dated = [(words.drift_at, words) for words in said if words.drift_at is not None]
    recent = [(at, words) for at, words in dated if now - at <= DRIFT_SHOWN]
    return max(recent, key=lambda each: each[0], default=(None, None))[1]
