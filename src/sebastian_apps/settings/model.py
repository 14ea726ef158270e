"""The settings of a deployment: every key, with its default, its range and its meaning."""

# ruff: noqa: RUF009 - knows attrs.field(), not our option() and section(), which call it

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from types import MappingProxyType

from attrs import field, frozen

from sebastian_apps.settings.addresses import PROXY, DatabaseUrl, PublicUrl, RedisUrl, ServerUrl
from sebastian_apps.settings.compounds import Capacities, NamedTokens, Tokens
from sebastian_apps.settings.durations import parse_duration
from sebastian_apps.settings.options import Key, keys_of, option, section
from sebastian_apps.settings.problems import UNSET, Place
from sebastian_apps.settings.scalars import (
    Duration,
    Flag,
    Ignored,
    OneOf,
    Rate,
    SecretText,
    Text,
    Whole,
)
from sebastian_apps.settings.secret import ConnectionUrl, Secret
from sebastian_core.domain.ids import AgentId

_CAPACITY = Whole(0, 1000)


def _duration(least: str, most: str) -> Duration:
    return Duration(parse_duration(least), parse_duration(most))


@frozen(kw_only=True)
class Listen:
    """Where the webhook service listens."""

    host: str = option(
        Text("a host name or an IP address", r"[A-Za-z0-9_.:-]+"),
        "The address to listen on. Beyond loopback a `webhook.token` is needed.",
        default="127.0.0.1",
        example="0.0.0.0",  # noqa: S104 - an example, not a bind
    )
    port: int = option(Whole(1, 65535), "The port to listen on.", default=3000, example="8080")


@frozen(kw_only=True)
class Db:
    """PostgreSQL, which keeps the waiting line and the history."""

    connection_string: ConnectionUrl | None = option(
        DatabaseUrl(
            ("postgres", "postgresql"), expected="a postgresql:// URL or libpq's key=value words"
        ),
        "How to reach PostgreSQL. Sebastian's tables live in a schema of their own.",
        example="postgresql://sebastian:password@localhost:5432/sebastian",
        need="db",
    )
    migrate_connection_string: ConnectionUrl | None = option(
        DatabaseUrl(
            ("postgres", "postgresql"), expected="a postgresql:// URL or libpq's key=value words"
        ),
        "How `sebastian migrate` reaches it, as the owner of the tables; "
        "without it as `db.connection_string` says.",
        example="postgresql://sebastian_owner:password@localhost:5432/sebastian",
    )

    @property
    def owners_connection_string(self) -> ConnectionUrl | None:
        """How the owner of the tables reaches it."""
        return self.migrate_connection_string or self.connection_string


@frozen(kw_only=True)
class Redis:
    """Redis, which shares the roster between the processes; it may be flushed at any time."""

    url: ConnectionUrl | None = option(
        RedisUrl(("redis", "rediss", "unix"), expected="a redis:// URL or host:port"),
        "How to reach Redis: a URL, or `host:port` alone.",
        example="redis://localhost:6379/0",
        need="redis",
    )


@frozen(kw_only=True)
class Webhook:
    """The two webhooks that Qiscus calls, and how many customers an agent may have."""

    base_url: str | None = option(
        PublicUrl(),
        "The public address under which Qiscus reaches this service; `set-webhook` registers it.",
        example="https://sebastian.example.com",
        need="set-webhook",
    )
    token: tuple[Secret, ...] = option(
        Tokens(),
        "A secret last segment of both webhook paths. Several are valid at once, to change them.",
        default=(),
        example="a-long-random-text",
    )
    insecure: bool = option(
        Flag(),
        "Listen beyond loopback without a token: only behind something that lets Qiscus alone in.",
        default=False,
    )
    max_current_customer: int = option(
        _CAPACITY,
        "How many customers an agent has at once, unless `agents.capacity` says otherwise.",
        default=3,
    )


@frozen(kw_only=True)
class Admin:
    """Who may see the floor and steer it over HTTP."""

    token: Secret | None = option(
        SecretText("a token without spaces"),
        "The bearer token of the floor page, `/agents`, `/set-webhook` and, beyond loopback, of "
        "`/metrics`; without one (here or in `admin.tokens`) they are not there.",
        example="another-long-random-text",
    )
    tokens: Mapping[str, Secret] = option(
        NamedTokens(),
        "More such tokens, each with the name of who has it: the history then says who it was.",
        default=MappingProxyType({}),
        example="{sari: a-token-of-her-own, budi: a-token-of-his-own}",
    )

    @property
    def by_path(self) -> Mapping[str, Secret]:
        """Every admin token, by the path of the key that sets it."""
        unnamed = {} if self.token is None else {"admin.token": self.token}
        return {**unnamed, **{f"admin.tokens.{name}": each for name, each in self.tokens.items()}}


@frozen(kw_only=True)
class Qiscus:
    """The Qiscus Omnichannel account, and how hard it may be asked."""

    base_url: str = option(
        PublicUrl(),
        "The address of the platform's API.",
        default="https://omnichannel.qiscus.com",
    )
    app_id: str | None = option(
        Text("an app id without spaces", "[!-~]+"),
        "The app id (app code) of the account.",
        example="abcde-fghijklmnopqrstu",
        need="qiscus",
    )
    secret_key: Secret | None = option(
        SecretText("a secret key without spaces"),
        "The secret key of the account.",
        example="0123456789abcdef",
        need="qiscus",
    )
    email: str | None = option(
        Text("an e-mail address", r"[^\s@]+@[^\s@]+"),
        "An administrator's address: only where Qiscus wants a login to set or show the webhooks.",
        example="admin@example.com",
    )
    password: Secret | None = option(
        SecretText("a password of one line", r"[^\x00-\x1f\x7f]+"),
        "That administrator's password.",
        example="correct horse battery staple",
    )
    channel_id: None = option(
        Ignored(),
        "Accepted without effect, as it always was.",
        default=None,
        env=("QT_QISCUS_ChannelID", "QT_QISCUS_CHANNEL_ID"),
    )
    settle: timedelta = option(
        _duration("0s", "5m"),
        "How far the platform's answers may lag behind the truth.",
        default=timedelta(seconds=5),
    )
    rate_limit: float = option(
        Rate(0.1, 10_000),
        "Calls per second, for each process: three processes may make three times as many.",
        default=20.0,
    )
    burst: int = option(
        Whole(1, 10_000),
        "Calls that may start at once after a quiet time, per process; 1 counts as 2.",
        default=20,
    )
    in_flight: int = option(
        Whole(1, 1_000),
        "Assignments that may be under way at once, per process; the duties have 16 calls more.",
        default=64,
    )
    timeout: timedelta = option(
        _duration("100ms", "2m"),
        "How long one request may take.",
        default=timedelta(seconds=5),
    )
    proxy: ConnectionUrl | None = option(
        PROXY,
        "The HTTP proxy on the way to Qiscus. Without this key HTTPS_PROXY, HTTP_PROXY, ALL_PROXY "
        "and NO_PROXY count, as they are when the process starts.",
        example="http://proxy.example.com:3128",
    )


@frozen(kw_only=True)
class Presence:
    """How often the agents are read, and how long a reading is good."""

    interval: timedelta = option(
        _duration("100ms", "1h"), "How often all agents are read.", default=timedelta(seconds=10)
    )
    max_age: timedelta = option(
        _duration("100ms", "24h"),
        "With `assign.verify: false`, how old a reading may be for an agent to count as online.",
        default=timedelta(seconds=30),
    )


@frozen(kw_only=True)
class Assign:
    """How a chat is given to an agent."""

    verify: bool = option(
        Flag(),
        "Read again that the agent is online, right before each assignment: one call more.",
        default=True,
    )
    match_channels: bool = option(
        Flag(), "Give a chat only to agents who serve its channel.", default=True
    )
    alert_refusals: int = option(
        Whole(1, 1_000), "A chat that was refused this often is shown as stuck.", default=5
    )
    timeout: timedelta = option(
        _duration("100ms", "2m"),
        "How much time an assign call must have left to begin; no request takes longer.",
        default=timedelta(seconds=6),
    )
    reservation: timedelta = option(
        _duration("200ms", "10m"),
        "How long a slot is held for an assign call; more than 1.5 times `assign.timeout`.",
        default=timedelta(seconds=10),
    )
    policy: str | None = option(
        Text(
            "the name of a policy, package.module:ClassName",
            r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
        ),
        "A policy of your own instead of the shipped one, to choose who gets which chat.",
        example="ourdesk.policies:ImportantFirst",
        effective_default="the shipped policy",
    )


@frozen(kw_only=True)
class Worker:
    """What a worker keeps on its machine."""

    state_dir: str | None = option(
        Text("a folder, as a path from the root", r"/.*"),
        "Where a worker remembers, when it is started again, that a policy of yours took it along. "
        "It must outlive the process; a container's must outlive its restart.",
        example="/var/lib/sebastian",
        effective_default="$RUNTIME_DIRECTORY, else a folder in the temp folder",
    )


@frozen(kw_only=True)
class Reconcile:
    """How our record is compared with the platform's."""

    interval: timedelta = option(
        _duration("100ms", "24h"), "How often to compare.", default=timedelta(seconds=60)
    )
    max_age: timedelta = option(
        _duration("1s", "365d"),
        "Rooms that wait longer than this at Qiscus are shown, not taken into the line.",
        default=timedelta(hours=24),
    )


@frozen(kw_only=True)
class Agents:
    """What differs from agent to agent."""

    capacity: Mapping[AgentId, int] = option(
        Capacities(_CAPACITY),
        "How many customers at once, by agent id; for all others `webhook.max_current_customer`.",
        default=MappingProxyType({}),
        example="{12345: 5, 12346: 1}",
    )


@frozen(kw_only=True)
class Queue:
    """The doorbell that wakes the workers."""

    doorbell: str = option(
        OneOf(("dramatiq", "postgres")),
        "What rings: Dramatiq over a broker, or PostgreSQL's NOTIFY "
        "(faster; not behind a transaction-pooling PgBouncer).",
        default="dramatiq",
    )
    broker_url: ConnectionUrl | None = option(
        ServerUrl(("redis", "rediss", "unix"), expected="a redis:// URL"),
        "Dramatiq's broker: a Redis.",
        example="redis://localhost:6379/1",
        effective_default="the value of redis.url",
    )


@frozen(kw_only=True)
class History:
    """What is remembered."""

    keep: timedelta = option(
        _duration("1h", "3650d"),
        "How long closed chats and their history are kept.",
        default=timedelta(days=90),
    )


@frozen(kw_only=True)
class Log:
    """What is told, and in which form."""

    level: str = option(
        OneOf(("debug", "info", "warning", "error")), "The least that is told.", default="info"
    )
    format: str = option(
        OneOf(("auto", "console", "json")),
        "How it is told; `auto` is console on a terminal, else json.",
        default="auto",
    )


@frozen(kw_only=True)
class Metrics:
    """Where a worker shows its metrics, and a webhook service that systemd hands its socket to.

    A webhook service that listens by itself has `/metrics` beside its webhooks.
    """

    host: str = option(
        Text("a host name or an IP address", r"[A-Za-z0-9_.:-]+"),
        "The address on which workers show them; beyond loopback they want an admin token.",
        default="127.0.0.1",
        example="0.0.0.0",  # noqa: S104 - an example, not a bind
    )
    port: int = option(
        Whole(0, 65535),
        "The port of the first service, 0 for none; further ones of a machine take the next.",
        default=0,
        example="9464",
    )


@frozen(kw_only=True)
class Settings:
    """Everything that a deployment can set, read and checked.

    `places` says where each value came from, by key path; a key that is not in it has its default.
    Two settings with the same values are equal, wherever the values came from.
    """

    listen: Listen = section(Listen)
    db: Db = section(Db)
    redis: Redis = section(Redis)
    webhook: Webhook = section(Webhook)
    admin: Admin = section(Admin)
    qiscus: Qiscus = section(Qiscus)
    presence: Presence = section(Presence)
    assign: Assign = section(Assign)
    worker: Worker = section(Worker)
    reconcile: Reconcile = section(Reconcile)
    agents: Agents = section(Agents)
    queue: Queue = section(Queue)
    history: History = section(History)
    log: Log = section(Log)
    metrics: Metrics = section(Metrics)
    places: Mapping[str, Place] = field(factory=dict, eq=False, repr=False)

    def value_of(self, path: str) -> object:
        """The value of a key by its path, `presence.interval`; raises AttributeError."""
        name, _, key = path.partition(".")
        return getattr(getattr(self, name), key)

    def place_of(self, path: str) -> Place:
        """Where a key was set; else its section, else the file, else the environment."""
        for known in (path, path.partition(".")[0], ""):
            if known in self.places:
                return self.places[known]
        return UNSET

    def capacity_of(self, agent: AgentId) -> int:
        """How many customers an agent may have at once."""
        return self.agents.capacity.get(agent, self.webhook.max_current_customer)

    @property
    def broker_url(self) -> ConnectionUrl | None:
        """Dramatiq's broker: its own URL, else Redis."""
        return self.queue.broker_url or self.redis.url

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the webhook service."""
        return is_loopback(self.listen.host)

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that is set, for whoever must keep them out of what is written."""
        values = (self.value_of(key.path) for key in all_keys() if key.secret)
        return tuple(secret for value in values for secret in _secrets_in(value))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on this address."""
    if host.lower() == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def all_keys() -> tuple[Key, ...]:
    """Every key that exists, in the order in which people read them."""
    return tuple(keys_of(Settings))


def _secrets_in(value: object) -> Iterable[Secret]:
    if isinstance(value, Secret):
        return (value,)
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, tuple) else ()
