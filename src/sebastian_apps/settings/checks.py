"""What single values cannot tell: values that must fit each other, and what a process needs."""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

from sebastian_apps.settings.model import Settings, all_keys, is_loopback
from sebastian_apps.settings.problems import ConfigProblem, SettingsError
from sebastian_apps.settings.secret import Secret
from sebastian_apps.settings.values import format_duration

#: What a process cannot do without. `exposure`: webhooks that nobody else can forge, and tokens
#: that nobody can guess; `metrics-exposure`: the latter for metrics that others can reach.
Need = Literal["db", "redis", "qiscus", "set-webhook", "exposure", "metrics-exposure"]

Role = Literal["webhook", "worker", "set-webhook", "migrate"]

#: What each process needs.
ROLES: dict[Role, frozenset[Need]] = {
    "webhook": frozenset({"db", "redis", "exposure"}),
    "worker": frozenset({"db", "redis", "qiscus", "metrics-exposure"}),
    "set-webhook": frozenset({"qiscus", "set-webhook"}),
    "migrate": frozenset({"db"}),
}

#: The command that makes a token that nobody guesses.
NEW_TOKEN = "openssl rand -hex 24"
_SHORTEST_TOKEN = 20
_FEWEST_DIFFERENT = 8


def require(settings: Settings, needs: Collection[Need]) -> None:
    """Make sure that everything is there that a process needs; raises SettingsError."""
    if problems := list(missing(settings, needs)):
        raise SettingsError(problems)


def missing(settings: Settings, needs: Collection[Need]) -> Iterator[ConfigProblem]:
    """Everything that these needs want and that is not there."""
    for key in all_keys():
        if key.need in needs and settings.value_of(key.path) is None:
            variables = " or ".join((key.variables[0], *key.file_variables[:1]))
            message = f"missing; expected {key.parser.expected} (or set {variables})"
            yield ConfigProblem(settings.place_of(key.path), key.path, message)
    if "exposure" in needs:
        yield from exposure(settings)
    elif "metrics-exposure" in needs:
        yield from _metrics_exposure(settings)


def contradictions(settings: Settings, unread: Collection[str] = ()) -> Iterator[ConfigProblem]:
    """Values that do not fit each other; those of keys that could not be read are passed over."""
    for check in CHECKS:
        yield from check(settings, unread)


def _orders(settings: Settings, unread: Collection[str]) -> Iterator[ConfigProblem]:
    """Durations in the wrong order: the longer one is told if somebody set it, else the shorter."""
    for shorter, times, longer in _ORDERS:
        least, span = _span(settings, shorter) * times, _span(settings, longer)
        is_kept = least < span or (least == span and times == 1)
        if is_kept or shorter in unread or longer in unread:
            continue
        if longer in settings.places:
            path, other = longer, shorter
            words = "at least" if times == 1 else f"more than {times:g} times"
        else:
            path, other = shorter, longer
            words = "at most" if times == 1 else f"less than {1 / times:.0%} of"
        default = "" if other in settings.places else ", its default"
        limit = f"{other} ({format_duration(_span(settings, other))}{default})"
        message = f"expected {words} {limit}, found {format_duration(_span(settings, path))}"
        yield ConfigProblem(settings.place_of(path), path, message)


def _span(settings: Settings, path: str) -> timedelta:
    value = settings.value_of(path)
    assert isinstance(value, timedelta), path  # noqa: S101 - the table names only durations
    return value


def _shared_tokens(settings: Settings, _unread: Collection[str]) -> Iterator[ConfigProblem]:
    """One token for two people would let one act in the name of the other."""
    first: dict[Secret, str] = {}
    for path, token in settings.admin.by_path.items():
        if token in first:
            message = f"the same token as {first[token]}; give each a token of its own"
            yield ConfigProblem(settings.place_of("admin.tokens"), path, message)
        first.setdefault(token, path)


def exposure(settings: Settings) -> Iterator[ConfigProblem]:
    """The problems of a webhook service that strangers can talk to, if it is one.

    They must neither forge webhooks (it needs `webhook.token`, or a clear word:
    `webhook.insecure`) nor guess tokens.
    """
    host, webhook = settings.listen.host, settings.webhook
    if settings.listens_on_loopback:
        yield from _metrics_exposure(settings)
        return
    if not webhook.insecure and not webhook.token:
        message = (
            f"{host} can be reached from elsewhere, and without webhook.token anybody could forge "
            "a webhook; set webhook.token to a long random text, or webhook.insecure to true where "
            "something else keeps strangers out"
        )
        yield ConfigProblem(settings.place_of("listen.host"), "listen.host", message)
    if not webhook.insecure:
        yield from _guessable(settings, host, [("webhook.token", each) for each in webhook.token])
    yield from _guessable(settings, host, settings.admin.by_path.items())


def _metrics_exposure(settings: Settings) -> Iterator[ConfigProblem]:
    """The problems of metrics that anybody can ask for, if they are."""
    metrics = settings.metrics
    if metrics.port and not is_loopback(metrics.host):
        yield from _guessable(settings, metrics.host, settings.admin.by_path.items())


def _guessable(
    settings: Settings, host: str, tokens: Iterable[tuple[str, Secret]]
) -> Iterator[ConfigProblem]:
    for path, token in tokens:
        if why := weakness(token, settings):
            message = (
                f"{why}, and {host} can be reached from elsewhere; set it to a long random text: "
                f"{NEW_TOKEN}"
            )
            key = ".".join(path.split(".")[:2])
            yield ConfigProblem(settings.place_of(key), path, message)


def weakness(token: Secret, settings: Settings) -> str | None:
    """Why a token keeps nobody out, if so; completes "admin.token is …"."""
    text = token.reveal()
    if len(text) < _SHORTEST_TOKEN or len(set(text)) < _FEWEST_DIFFERENT:
        return "short or simple enough to be guessed"
    if token in settings.webhook.token and token in settings.admin.by_path.values():
        return "an admin token and a webhook token at once, and those stand in URLs"
    return None


def file_for_all_eyes(settings: Settings) -> Path | None:
    """The configuration file, if it holds secrets and every user of this machine may read it."""
    file = settings.places.get("")
    places = [settings.places.get(key.path) for key in all_keys() if key.parser.secret]
    if file is None or not any(each and each.source == file.source for each in places):
        return None
    path = Path(file.source)
    try:
        return path if path.stat().st_mode & stat.S_IROTH else None
    except OSError:
        return None


#: Durations of which the first, so many times, must fit into the second; more than once, with time
#: to spare: a reservation leaves room for the reading before the call, or no call would ever begin.
_ORDERS = (
    ("presence.interval", 1, "presence.max_age"),
    ("assign.timeout", 1.5, "assign.reservation"),
    ("reconcile.interval", 1, "reconcile.max_age"),
)

#: What every configuration is checked for, whoever reads it: a function of the settings, and of the
#: paths of the keys that could not be read and so have their defaults.
CHECKS: tuple[Callable[[Settings, Collection[str]], Iterator[ConfigProblem]], ...] = (
    _orders,
    _shared_tokens,
)
