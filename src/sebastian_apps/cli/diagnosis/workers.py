"""The workers: what they last said of themselves, and whether they do their duties."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from sebastian_apps.cli.diagnosis.findings import Finding, fine, problem, warning
from sebastian_apps.settings import Settings
from sebastian_apps.telling import counted, duration
from sebastian_apps.worker.notes import own_version
from sebastian_apps.worker.words import WorkerWords, living
from sebastian_core.domain.permits import Standing
from sebastian_core.ports.room_repo import Report

TURNS_MISSED = 3
"""A duty is late when so many of its turns are over without one that came to its end."""

LATE_AT_LEAST = timedelta(seconds=30)
SAME_REDIS = "Do the workers and this command name the same Redis?"
DRIFT_TOLD = timedelta(minutes=30)


@frozen(kw_only=True)
class Seen:
    """What the workers left in the stores. `read_at` is how old the shared roster is.

    It is None where there is no roster; then `roster_is_known` tells whether Redis answered at all.
    """

    now: datetime
    reports: Sequence[Report]
    read_at: datetime | None = None
    roster_is_known: bool = True

    @property
    def alive(self) -> list[WorkerWords]:
        """The words of the workers that spoke lately."""
        return living(self.reports, self.now)


async def look_at_workers(settings: Settings) -> list[Finding]:
    """Read their reports and the roster; a store that is away is another area's finding."""
    from sebastian_apps.container import open_stores
    from sebastian_core.domain.errors import SebastianError

    try:
        async with open_stores(settings) as (room_repo, roster):
            staffing, reports = await room_repo.staffing(), await room_repo.reports()
            known = await roster.roster()
            seen = Seen(
                now=staffing.now,
                reports=reports,
                read_at=known.read_at if known else None,
                roster_is_known=roster.store_is_up,
            )
    except SebastianError:
        return []
    return judged(seen, settings)


def judged(seen: Seen, settings: Settings) -> list[Finding]:
    """What is wrong with the workers, and what helps; one line where nothing is."""
    if not seen.alive:
        return [_silent(seen)]
    found = [finding for look in _LOOKS for finding in look(seen, settings)]
    return found or [_well(seen)]


def _silent(seen: Seen) -> Finding:
    last = max((report.at for report in seen.reports), default=None)
    since = f"for {duration(seen.now - last)}" if last else "in the last hour"
    text = f"A worker holds the duties, but none has reported {since}."
    remedy = "Look whether its process is frozen, and into its log; restart it."
    return problem("workers-silent", text, remedy)


def _well(seen: Seen) -> Finding:
    doing = next((words for words in seen.alive if words.has_duties), None)
    read = _ago("agents read", doing.refreshed_at if doing else None, seen.now)
    compared = _ago("line compared", doing.reconciled_at if doing else None, seen.now)
    told = "".join(f"; {each}" for each in (read, compared) if each)
    return fine("workers", f"{counted(len(seen.alive), 'worker')} at work{told}.")


def _ago(what: str, at: datetime | None, now: datetime) -> str:
    return f"{what} {duration(now - at)} ago" if at else ""


def _credentials(seen: Seen, settings: Settings) -> Iterator[Finding]:
    refused = [words for words in seen.alive if words.standing == Standing.CREDENTIALS_REFUSED]
    if refused:
        text = f"Qiscus refuses the credentials of {_names(refused)}: nothing is assigned there."
        remedy = "Correct qiscus.app_id and qiscus.secret_key, then restart the workers."
        yield problem("worker-credentials-refused", text, remedy)


def _platform(seen: Seen, settings: Settings) -> Iterator[Finding]:
    cut_off = [words for words in seen.alive if words.standing == Standing.DOWN]
    if not cut_off:
        return
    since = min(filter(None, (words.down_since for words in cut_off)), default=None)
    lasting = f" for {duration(seen.now - since)}" if since else ""
    text = f"Qiscus has not answered {_names(cut_off)}{lasting}."
    if len(cut_off) == len(seen.alive):
        remedy = "Nothing if Qiscus is down: the line is kept. Else look at the network and proxy."
        yield problem("worker-platform-down", text, remedy)
    else:
        remedy = "Others reach it: look at the network of the machine that it runs on."
        yield warning("worker-platform-down", text, remedy)


def _duties(seen: Seen, settings: Settings) -> Iterator[Finding]:
    for words in seen.alive:
        for trouble in words.troubles:
            ago = f", last {duration(seen.now - trouble.at)} ago" if trouble.at else ""
            text = f"The duty {trouble.duty!r} of {words.name} fails{ago}: {trouble.why}."
            remedy = (
                "It is tried again. Its log tells more: docs/runbook.md, SebastianDutiesFailing."
            )
            yield warning("duty-failing", text, remedy)


def _refresh(seen: Seen, settings: Settings) -> Iterator[Finding]:
    interval = settings.presence.interval
    remedy = "See duty-failing here, or the worker's log; is qiscus.rate_limit far too low?"
    late = _late("The agents were", "read", lambda words: words.refreshed_at, interval, seen)
    if late:
        yield warning("refresh-late", late, remedy)
    elif not seen.roster_is_known:
        return
    elif seen.read_at is None:
        text = "Redis holds no roster: nobody counts as online."
        yield warning("roster-missing", text, SAME_REDIS)
    elif seen.now - seen.read_at > max(2 * settings.presence.max_age, LATE_AT_LEAST):
        text = f"The roster in Redis is {duration(seen.now - seen.read_at)} old."
        yield warning("roster-old", text, SAME_REDIS)


def _reconcile(seen: Seen, settings: Settings) -> Iterator[Finding]:
    interval = settings.reconcile.interval
    late = _late("The line was", "compared", lambda words: words.reconciled_at, interval, seen)
    if late:
        text = f"{late[:-1]}: lost webhooks stay lost."
        yield warning("reconcile-late", text, "See duty-failing here, or the worker's log.")


def _late(
    what: str,
    done: str,
    at: Callable[[WorkerWords], datetime | None],
    interval: timedelta,
    seen: Seen,
) -> str:
    """That the duty was last done too long ago; nothing of one that began its work just now."""
    doing = next((words for words in seen.alive if words.has_duties), None)
    if doing is None:
        return ""
    allowed = max(TURNS_MISSED * interval, LATE_AT_LEAST)
    since = at(doing) or doing.started_at
    if since is not None and seen.now - since <= allowed:
        return ""
    last = f"last {done} {duration(seen.now - since)} ago" if at(doing) and since else None
    return f"{what} {last or f'never {done} by {doing.name}'}."


def _differences(seen: Seen, settings: Settings) -> Iterator[Finding]:
    for words in seen.alive:
        if words.drift_at is None or seen.now - words.drift_at > DRIFT_TOLD:
            continue
        text = (
            f"{words.name} repaired our record {duration(seen.now - words.drift_at)} ago: "
            f"{words.admitted} admitted whose webhook was lost, "
            f"{words.settled} settled that Qiscus contradicted."
        )
        remedy = "Webhooks get lost: look at the way from Qiscus to sebastian-webhook."
        yield warning("webhooks-lost", text, remedy)
    too_old = max((words.too_old for words in seen.alive), default=0)
    if too_old:
        wait = "wait" if too_old > 1 else "waits"
        text = (
            f"{counted(too_old, 'room')} {wait} at Qiscus for longer than reconcile.max_age, "
            f"and {'are' if too_old > 1 else 'is'} not taken in."
        )
        remedy = "Serve or resolve them there, or raise reconcile.max_age."
        yield warning("rooms-too-old", text, remedy)

    silent = max((words.without_message for words in seen.alive), default=0)
    if silent:
        text = f"No customer has written yet in {counted(silent, 'waiting room')} at Qiscus."
        yield fine("rooms-without-message", f"{text} They are taken in when the customer writes.")
    unreadable = max((words.unreadable_rooms for words in seen.alive), default=0)
    if unreadable:
        text = f"{counted(unreadable, 'room')} in Qiscus's list of waiting rooms cannot be read."
        remedy = "Report it with that list: rooms whose webhook is lost are looked for there."
        yield warning("rooms-unreadable", text, remedy)


def _policies(seen: Seen, settings: Settings) -> Iterator[Finding]:
    suspended = [words.policy for words in seen.alive if words.policy_is_suspended]
    refused = [words.policy for words in seen.alive if words.policy.get("refusals")]
    if suspended:
        policy = suspended[0]
        text = f"{policy['name']} was put aside: {policy['suspended']}; the shipped one serves."
        remedy = "Mend the policy and restart sebastian-worker, or: sebastian policy retry"
        yield warning("policy-suspended", text, remedy)
    elif refused:
        policy = refused[0]
        times = counted(policy["refusals"], "time")
        text = f"{policy['name']} could not be used {times}: {policy['last_refusal']}."
        remedy = "The shipped policy served instead. The worker's log tells more; mend yours."
        yield warning("policy-refused", text, remedy)


def _user_ids(seen: Seen, settings: Settings) -> Iterator[Finding]:
    if any(words.ignores_user_ids for words in seen.alive):
        yield user_ids_ignored()


def _versions(seen: Seen, settings: Settings) -> Iterator[Finding]:
    others = [words for words in seen.alive if words.version != own_version()]
    if others:
        told = ", ".join(f"{words.name} runs {words.version or 'an older one'}" for words in others)
        text = f"This is version {own_version()}, but {told}."
        yield warning("versions-differ", text, "Restart what is old, when the upgrade is done.")


_LOOKS: tuple[Callable[[Seen, Settings], Iterator[Finding]], ...] = (
    _credentials,
    _platform,
    _duties,
    _refresh,
    _reconcile,
    _differences,
    _policies,
    _user_ids,
    _versions,
)


def user_ids_ignored() -> Finding:
    """The platform lists everybody's rooms, whomever one asks for."""
    text = "Qiscus ignores user_ids: chats that others gave cannot be told apart."
    remedy = "Nothing here; capacity does not count chats that Sebastian did not give."
    return warning("user-ids-ignored", text, remedy)


def _names(workers: Sequence[WorkerWords]) -> str:
    return ", ".join(words.name for words in workers)
