"""The settings of a deployment: every key with what it takes, its default, and what it is for.

The text below a setting is what people read of it: in docs/configuration.md, and in editors.
"""

# ruff: noqa: RUF009 - knows attrs.field(), not our setting() and optional(), which call it

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from types import MappingProxyType

from attrs import field, frozen

from sebastian_apps.settings.connection_url import ConnectionUrl
from sebastian_apps.settings.keys import Key, keys_of, optional, setting
from sebastian_apps.settings.problems import UNSET, ConfigPlace
from sebastian_apps.settings.secret import Secret
from sebastian_apps.settings.values import (
    BROKER_URL,
    CAPACITIES,
    CAPACITY,
    DATABASE_URL,
    FLAG,
    IGNORED,
    NAMED_TOKENS,
    PROXY_URL,
    PUBLIC_URL,
    REDIS_URL,
    TOKENS,
    duration,
    one_of,
    rate,
    secret_text,
    text,
    whole,
)
from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.ids import AgentId

_HOST = text("a host name or an IP address", r"[A-Za-z0-9_.:-]+")


@frozen(kw_only=True)
class ListenSettings:
    """Where the webhook service listens."""

    host: str = setting(_HOST, "127.0.0.1", example="0.0.0.0")  # noqa: S104 - an example, not a bind
    """The address to listen on. Beyond loopback a `webhook.token` is needed."""
    port: int = setting(whole(1, 65535), "3000", example="8080")
    """The port to listen on."""


@frozen(kw_only=True)
class DbSettings:
    """PostgreSQL, which keeps the waiting line and the history."""

    connection_string: ConnectionUrl | None = optional(
        DATABASE_URL,
        example="postgresql://sebastian:password@localhost:5432/sebastian",
        need="db",
    )
    """How to reach PostgreSQL. Sebastian's tables live in a schema of their own."""
    migrate_connection_string: ConnectionUrl | None = optional(
        DATABASE_URL,
        example="postgresql://sebastian_owner:password@localhost:5432/sebastian",
    )
    """How `sebastian migrate` reaches it, as the owner of the tables; without it as
    `db.connection_string` says."""

    @property
    def owners_connection_string(self) -> ConnectionUrl | None:
        """How the owner of the tables reaches it."""
        return self.migrate_connection_string or self.connection_string


@frozen(kw_only=True)
class RedisSettings:
    """Redis, which shares the roster between the processes; it may be flushed at any time."""

    url: ConnectionUrl | None = optional(
        REDIS_URL, example="redis://localhost:6379/0", need="redis"
    )
    """How to reach Redis: a URL, or `host:port` alone."""


@frozen(kw_only=True)
class WebhookSettings:
    """The two webhooks that Qiscus calls, and how many customers an agent may have."""

    base_url: str | None = optional(
        PUBLIC_URL, example="https://sebastian.example.com", need="set-webhook"
    )
    """The public address under which Qiscus reaches this service; `set-webhook` registers it."""
    token: tuple[Secret, ...] = setting(TOKENS, (), example="a-long-random-text")
    """A secret last segment of both webhook paths. Several are valid at once, to change them."""
    insecure: bool = setting(FLAG, "false")
    """Listen beyond loopback without a token: only behind something that lets Qiscus alone in."""
    max_current_customer: int = setting(CAPACITY, "3")
    """How many customers an agent has at once, unless `agents.capacity` says otherwise."""


@frozen(kw_only=True)
class AdminSettings:
    """Who may see the floor and steer it over HTTP."""

    token: Secret | None = optional(
        secret_text("a token without spaces"), example="another-long-random-text"
    )
    """The bearer token of the floor page, `/agents`, `/set-webhook` and, beyond loopback, of
    `/metrics`; without one (here or in `admin.tokens`) they are not there."""
    tokens: Mapping[str, Secret] = setting(
        NAMED_TOKENS,
        MappingProxyType({}),
        otherwise="{}",
        example="{sari: a-token-of-her-own, budi: a-token-of-his-own}",
    )
    """More such tokens, each with the name of who has it: the history then says who it was."""

    @property
    def by_path(self) -> Mapping[str, Secret]:
        """Every admin token, by the path of the key that sets it."""
        unnamed = {} if self.token is None else {"admin.token": self.token}
        return {**unnamed, **{f"admin.tokens.{name}": each for name, each in self.tokens.items()}}


@frozen(kw_only=True)
class QiscusSettings:
    """The Qiscus Omnichannel account, and how hard it may be asked."""

    base_url: str = setting(PUBLIC_URL, "https://omnichannel.qiscus.com")
    """The address of the platform's API."""
    app_id: str | None = optional(
        text("an app id without spaces", "[!-~]+"), example="abcde-fghijklmnopqrstu", need="qiscus"
    )
    """The app id (app code) of the account."""
    secret_key: Secret | None = optional(
        secret_text("a secret key without spaces"), example="0123456789abcdef", need="qiscus"
    )
    """The secret key of the account."""
    email: str | None = optional(
        text("an e-mail address", r"[^\s@]+@[^\s@]+"), example="admin@example.com"
    )
    """An administrator's address: only where Qiscus wants a login to set or show the webhooks."""
    password: Secret | None = optional(
        secret_text("a password of one line", r"[^\x00-\x1f\x7f]+"),
        example="correct horse battery staple",
    )
    """That administrator's password."""
    channel_id: None = setting(
        IGNORED, None, variables=("QT_QISCUS_ChannelID", "QT_QISCUS_CHANNEL_ID")
    )
    """Accepted without effect, as it always was."""
    settle: timedelta = setting(duration("0s", "5m"), "5s")
    """How far the platform's answers may lag behind the truth."""
    rate_limit: float = setting(rate(0.1, 10_000), "20")
    """Calls per second, for each process: three processes may make three times as many."""
    burst: int = setting(whole(1, 10_000), "20")
    """Calls that may start at once after a quiet time, per process; 1 counts as 2."""
    in_flight: int = setting(whole(1, 1_000), "64")
    """Assignments that may be under way at once, per process; the duties have 16 calls more."""
    timeout: timedelta = setting(duration("100ms", "2m"), "5s")
    """How long one request may take."""
    proxy: ConnectionUrl | None = optional(PROXY_URL, example="http://proxy.example.com:3128")
    """The HTTP proxy on the way to Qiscus. Without this key HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and
    NO_PROXY count, as they are when the process starts."""


@frozen(kw_only=True)
class PresenceSettings:
    """How often the agents are read, and how long a reading is good."""

    interval: timedelta = setting(duration("100ms", "1h"), "10s")
    """How often all agents are read."""
    max_age: timedelta = setting(duration("100ms", "24h"), "30s")
    """With `assign.verify: false`, how old a reading may be for an agent to count as online."""


@frozen(kw_only=True)
class AssignSettings:
    """How a chat is given to an agent."""

    verify: bool = setting(FLAG, "true")
    """Read again that the agent is online, right before each assignment: one call more."""
    match_channels: bool = setting(FLAG, "true")
    """Give a chat only to agents who serve its channel."""
    alert_refusals: int = setting(whole(1, 1_000), "5")
    """A chat that was refused this often is shown as stuck."""
    alert_wait: timedelta = setting(duration("10s", "7d"), "10m")
    """If the first in the line waits longer, page, `doctor` and an alert say so."""
    alert_growth: int = setting(whole(1, 100_000), "20")
    """So many more chats come than are given, within ten minutes: the line grows."""
    timeout: timedelta = setting(duration("100ms", "2m"), "6s")
    """How much time an assign call must have left to begin; no request takes longer."""
    reservation: timedelta = setting(duration("200ms", "10m"), "10s")
    """How long a slot is held for an assign call; more than 1.5 times `assign.timeout`."""
    policy: str | None = optional(
        text(
            "the name of a policy, package.module:ClassName",
            r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
        ),
        example="ourdesk.policies:ImportantFirst",
        otherwise="the shipped policy",
    )
    """A policy of your own instead of the shipped one, to choose who gets which chat."""


_CALLABLE = text(
    "the name of a callable, package.module:name",
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
)


@frozen(kw_only=True)
class AdaptersSettings:
    """Adapters of your own in place of the shipped ones; docs/library.md says how to write one."""

    agent_store: str | None = optional(
        _CALLABLE, example="ourdesk.adapters:agent_store", otherwise="Redis"
    )
    """What makes the adapter for the roster."""
    room_repo: str | None = optional(
        _CALLABLE, example="ourdesk.adapters:room_repo", otherwise="PostgreSQL"
    )
    """What makes the adapter for rooms and chats, what people set, the history and who leads."""
    job_queue: str | None = optional(
        _CALLABLE, example="ourdesk.adapters:job_queue", otherwise="what queue.doorbell names"
    )
    """What makes the adapter for the doorbell."""
    qiscus_client: str | None = optional(
        _CALLABLE, example="ourdesk.adapters:qiscus_client", otherwise="Qiscus"
    )
    """What makes the adapter for the platform."""
    options: Mapping[str, Secret] = setting(
        NAMED_TOKENS,
        MappingProxyType({}),
        otherwise="{}",
        example="{path: /var/lib/ourdesk/agents.db}",
    )
    """What your adapters must know; it is masked wherever settings are shown."""


@frozen(kw_only=True)
class WorkerSettings:
    """What a worker keeps on its machine."""

    state_dir: str | None = optional(
        text("a folder, as a path from the root", r"/.*"),
        example="/var/lib/sebastian",
        otherwise="$RUNTIME_DIRECTORY, else a folder in the temp folder",
    )
    """Where a worker remembers, when it is started again, that a policy of yours took it along. It
    must outlive the process; a container's must outlive its restart."""


@frozen(kw_only=True)
class ReconcileSettings:
    """How our record is compared with the platform's."""

    interval: timedelta = setting(duration("100ms", "24h"), "1m")
    """How often to compare."""
    max_age: timedelta = setting(duration("1s", "365d"), "24h")
    """Rooms that wait longer than this at Qiscus are shown, not taken into the line."""


@frozen(kw_only=True)
class AgentsSettings:
    """What differs from agent to agent."""

    capacity: Mapping[AgentId, int] = setting(
        CAPACITIES,
        MappingProxyType({}),
        otherwise="{}",
        example="{12345: 5, 12346: 1}",
    )
    """How many customers at once, by agent id; for all others `webhook.max_current_customer`."""


@frozen(kw_only=True)
class QueueSettings:
    """The doorbell that wakes the workers."""

    doorbell: str = setting(one_of("dramatiq", "postgres"), "dramatiq")
    """What rings: Dramatiq over a broker, or PostgreSQL's NOTIFY (faster; not behind a
    transaction-pooling PgBouncer)."""
    broker_url: ConnectionUrl | None = optional(
        BROKER_URL,
        example="redis://localhost:6379/1",
        otherwise="the value of redis.url",
    )
    """Dramatiq's broker: a Redis."""


@frozen(kw_only=True)
class HistorySettings:
    """What is remembered."""

    keep: timedelta = setting(duration("1h", "3650d"), "90d")
    """How long closed chats and their history are kept."""


@frozen(kw_only=True)
class LogSettings:
    """What is told, and in which form."""

    level: str = setting(one_of("debug", "info", "warning", "error"), "info")
    """The least that is told."""
    format: str = setting(one_of("auto", "console", "json"), "auto")
    """How it is told; `auto` is console on a terminal, else json."""


@frozen(kw_only=True)
class MetricsSettings:
    """Where a worker shows its metrics, and a webhook service that systemd hands its socket to.

    A webhook service that listens by itself has `/metrics` beside its webhooks.
    """

    host: str = setting(_HOST, "127.0.0.1", example="0.0.0.0")  # noqa: S104 - an example, not a bind
    """The address on which workers show them; beyond loopback they want an admin token."""
    port: int = setting(whole(0, 65535), "0", example="9464")
    """The port of the first service, 0 for none; further ones of a machine take the next."""


@frozen(kw_only=True)
class Settings:
    """Everything that a deployment can set, read and checked.

    `places` says where each value came from, by key path; a key that is not in it has its default.
    Two settings with the same values are equal, wherever the values came from.
    """

    listen: ListenSettings = field(factory=ListenSettings)
    db: DbSettings = field(factory=DbSettings)
    redis: RedisSettings = field(factory=RedisSettings)
    webhook: WebhookSettings = field(factory=WebhookSettings)
    admin: AdminSettings = field(factory=AdminSettings)
    qiscus: QiscusSettings = field(factory=QiscusSettings)
    presence: PresenceSettings = field(factory=PresenceSettings)
    assign: AssignSettings = field(factory=AssignSettings)
    adapters: AdaptersSettings = field(factory=AdaptersSettings)
    worker: WorkerSettings = field(factory=WorkerSettings)
    reconcile: ReconcileSettings = field(factory=ReconcileSettings)
    agents: AgentsSettings = field(factory=AgentsSettings)
    queue: QueueSettings = field(factory=QueueSettings)
    history: HistorySettings = field(factory=HistorySettings)
    log: LogSettings = field(factory=LogSettings)
    metrics: MetricsSettings = field(factory=MetricsSettings)
    places: Mapping[str, ConfigPlace] = field(factory=dict, eq=False, repr=False)

    @property
    def capacity_rules(self) -> CapacityRules:
        """How many customers an agent may have, as far as the configuration says."""
        return CapacityRules(self.webhook.max_current_customer, self.agents.capacity)

    def value_of(self, path: str) -> object:
        """The value of a key by its path, `presence.interval`; raises AttributeError."""
        name, _, key = path.partition(".")
        return getattr(getattr(self, name), key)

    def place_of(self, path: str) -> ConfigPlace:
        """Where a key was set; else its section, else the file, else the environment."""
        for known in (path, path.partition(".")[0], ""):
            if known in self.places:
                return self.places[known]
        return UNSET

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
        found = (self.value_of(key.path) for key in all_keys() if key.parser.secret)
        return tuple(secret for value in found for secret in _secrets_in(value))


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
