"""What single values cannot tell: values that must fit each other, and what a process needs."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

from attrs import frozen

from sebastian_apps.settings.durations import format_duration
from sebastian_apps.settings.model import Settings, all_keys, is_loopback
from sebastian_apps.settings.options import Key
from sebastian_apps.settings.problems import Problem, SettingsError
from sebastian_apps.settings.secret import Secret

Need = Literal["db", "redis", "qiscus", "set-webhook", "exposure", "metrics-exposure"]
"""What a process cannot do without.

`exposure`: webhooks that nobody else can forge, and tokens that nobody can guess;
`metrics-exposure`: the latter for metrics that others can reach.
"""

Role = Literal["webhook", "worker", "set-webhook", "migrate"]

ROLES: dict[Role, frozenset[Need]] = {
    "webhook": frozenset({"db", "redis", "exposure"}),
    "worker": frozenset({"db", "redis", "qiscus", "metrics-exposure"}),
    "set-webhook": frozenset({"qiscus", "set-webhook"}),
    "migrate": frozenset({"db"}),
}
"""What each process needs."""


SHORTEST_TOKEN = 20
FEWEST_DIFFERENT = 8
NEW_TOKEN = "openssl rand -hex 24"
"""The command that makes a token that nobody guesses."""


@frozen(eq=False)
class _Order:
    """Two durations of which one, so many times, must not exceed the other.

    A reservation leaves room for the reading before the call, or no call would ever begin.
    """

    smaller: str
    greater: str
    strictly: bool
    times: float = 1


_ORDERS = (
    _Order("presence.interval", "presence.max_age", strictly=False),
    _Order("assign.timeout", "assign.reservation", strictly=True, times=1.5),
    _Order("reconcile.interval", "reconcile.max_age", strictly=False),
)


def require(settings: Settings, needs: Collection[Need]) -> None:
    """Make sure that everything is there that a process needs; raises SettingsError."""
    _raise_any(missing(settings, needs))


def check_webhook_exposure(settings: Settings) -> None:
    """Make sure that strangers can neither forge webhooks nor guess tokens; raises SettingsError.

    A service that others can reach needs `webhook.token`, or a clear word (`webhook.insecure`).
    """
    _raise_any(exposure(settings))


def missing(settings: Settings, needs: Collection[Need]) -> Iterator[Problem]:
    """Everything that these needs want and that is not there."""
    for key in all_keys():
        if key.option.need in needs and settings.value_of(key.path) is None:
            yield _missing(settings, key)
    if "exposure" in needs:
        yield from exposure(settings)
    elif "metrics-exposure" in needs:
        yield from metrics_exposure(settings)


def exposure(settings: Settings) -> Iterator[Problem]:
    """The problems of a webhook service that anybody can talk to, if it is one."""
    if settings.listens_on_loopback:
        yield from metrics_exposure(settings)
        return
    yield from _forgeable(settings)
    yield from _guessable_people(settings, settings.listen.host)


def metrics_exposure(settings: Settings) -> Iterator[Problem]:
    """The problems of metrics that anybody can ask for, if they are."""
    if settings.metrics.port and not is_loopback(settings.metrics.host):
        yield from _guessable_people(settings, settings.metrics.host)


def weakness(token: Secret, settings: Settings) -> str | None:
    """Why a token keeps nobody out, if so; completes "admin.token is …"."""
    text = token.reveal()
    if len(text) < SHORTEST_TOKEN or len(set(text)) < FEWEST_DIFFERENT:
        return "short or simple enough to be guessed"
    if token in settings.webhook.token and token in settings.admin.by_path.values():
        return "an admin token and a webhook token at once, and those stand in URLs"
    return None


def file_for_all_eyes(settings: Settings) -> Path | None:
    """The configuration file, if it holds secrets and every user of this machine may read it."""
    place = settings.places.get("")
    if place is None:
        return None
    secret_places = (settings.places.get(key.path) for key in all_keys() if key.secret)
    holds_secrets = any(each and each.source == place.source for each in secret_places)
    path = Path(place.source)
    try:
        return path if holds_secrets and path.stat().st_mode & stat.S_IROTH else None
    except OSError:
        return None


def _forgeable(settings: Settings) -> Iterator[Problem]:
    if settings.webhook.insecure:
        return
    if settings.webhook.token:
        for token in settings.webhook.token:
            yield from _guessable(settings, settings.listen.host, "webhook.token", token)
        return
    message = (
        f"{settings.listen.host} can be reached from elsewhere, and without webhook.token anybody "
        "could forge a webhook; set webhook.token to a long random text, or webhook.insecure to "
        "true where something else keeps strangers out"
    )
    yield Problem(settings.place_of("listen.host"), "listen.host", message)


def _guessable_people(settings: Settings, host: str) -> Iterator[Problem]:
    for path, token in settings.admin.by_path.items():
        yield from _guessable(settings, host, path, token)


def _guessable(settings: Settings, host: str, path: str, token: Secret) -> Iterator[Problem]:
    if why := weakness(token, settings):
        message = (
            f"{why}, and {host} can be reached from elsewhere; set it to a long random text: "
            f"{NEW_TOKEN}"
        )
        section, key, *_ = path.split(".")
        yield Problem(settings.place_of(f"{section}.{key}"), path, message)


def contradictions(settings: Settings, unread: Collection[str] = ()) -> Iterator[Problem]:
    """Values that do not fit each other; those of keys that could not be read are passed over."""
    for order in _ORDERS:
        if order.smaller in unread or order.greater in unread:
            continue
        if not _holds(settings, order):
            yield _contradiction(settings, order)
    yield from _shared_tokens(settings)


def _shared_tokens(settings: Settings) -> Iterator[Problem]:
    """One token for two people would let one act in the name of the other."""
    first: dict[Secret, str] = {}
    for path, token in settings.admin.by_path.items():
        if token in first:
            message = f"the same token as {first[token]}; give each a token of its own"
            yield Problem(settings.place_of("admin.tokens"), path, message)
        first.setdefault(token, path)


def _holds(settings: Settings, order: _Order) -> bool:
    smaller = _span(settings, order.smaller) * order.times
    greater = _span(settings, order.greater)
    return smaller < greater or (smaller == greater and not order.strictly)


def _contradiction(settings: Settings, order: _Order) -> Problem:
    if order.greater in settings.places:
        words = "more than" if order.strictly else "at least"
        words += f" {order.times:g} times" if order.times != 1 else ""
        return _unfit(settings, order.greater, words, order.smaller)
    words = "less than" if order.strictly else "at most"
    words += f" {1 / order.times:.0%} of" if order.times != 1 else ""
    return _unfit(settings, order.smaller, words, order.greater)


def _unfit(settings: Settings, path: str, words: str, other: str) -> Problem:
    default = "" if other in settings.places else ", its default"
    limit = f"{other} ({format_duration(_span(settings, other))}{default})"
    message = f"expected {words} {limit}, found {format_duration(_span(settings, path))}"
    return Problem(settings.place_of(path), path, message)


def _span(settings: Settings, path: str) -> timedelta:
    value = settings.value_of(path)
    assert isinstance(value, timedelta), path  # noqa: S101 - the table names only durations
    return value


def _missing(settings: Settings, key: Key) -> Problem:
    variables = " or ".join((key.variables[0], *key.file_variables[:1]))
    message = f"missing; expected {key.option.kind.expected} (or set {variables})"
    return Problem(settings.place_of(key.path), key.path, message)


def _raise_any(problems: Iterator[Problem]) -> None:
    if found := list(problems):
        raise SettingsError(found)
