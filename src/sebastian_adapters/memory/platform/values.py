"""What goes into and comes out of the platform's verbs."""

from typing import Any, Generic, Literal, TypeVar

from attrs import field, frozen

#: A decoded JSON object, as it goes over the wire.
Body = dict[str, Any]

Item = TypeVar("Item")

ADMIN, AGENT, SUPERVISOR = 1, 2, 3
TYPE_NAMES = {ADMIN: "admin", AGENT: "agent", SUPERVISOR: "supervisor"}


@frozen
class Channel:
    """Where customers write from; an agent serves the channels that are theirs."""

    id: int
    name: str = "Live chat"
    source: str = "qiscus"


@frozen
class Role:
    """A division."""

    id: int
    name: str = "General"


@frozen
class Tag:
    """A word that somebody put on rooms; the same word is the same tag in every room."""

    id: int
    name: str


LIVE_CHAT = Channel(id=130821)
GENERAL = Role(id=125015)

#: What is known of a customer, as keys and values.
Properties = tuple[tuple[str, str], ...]


@frozen(kw_only=True)
class FakeAccount:
    """The one account that this platform serves; all values are invented."""

    app_code: str = "demoapp-x1y2z3a4b5c6d7e"
    secret_key: str = field(default="FAKE_SECRET", repr=False)
    app_number: int = 77
    name: str = "Demo"
    admin_id: int = 11111
    admin_email: str = "admin@example.test"
    admin_password: str = field(default="FAKE_PASSWORD", repr=False)
    agent_password: str = field(default="FAKE_AGENT_PASSWORD", repr=False)
    """Of every agent and supervisor, beside their own e-mail."""


@frozen(kw_only=True)
class FakeAgentView:
    """One agent as a list of agents shows them; the count is as old as the list is."""

    id: int
    name: str
    email: str
    type: int
    is_available: bool
    force_offline: bool
    channels: tuple[Channel, ...]
    roles: tuple[Role, ...]
    customer_count: int | None
    """None where the platform leaves the count out."""
    created_at: float


@frozen(kw_only=True)
class RoomView:
    """What the platform says of one room; it never says who serves it."""

    id: int
    room_id: str
    channel: Channel
    name: str
    user_id: str
    is_resolved: bool
    is_waiting: bool | None
    """None before the customer's first message."""
    is_served: bool
    last_customer_at: float | None


@frozen(kw_only=True)
class RoomFilter:
    """What `customer_rooms` may be asked for; empty means everything."""

    status: str | None = None
    """`resolved` or `unresolved`; the other documented values match nothing here."""
    serve_status: str | None = None
    """`served` or `unserved`."""
    user_ids: tuple[int, ...] = ()
    channel_ids: tuple[int, ...] = ()
    name: str | None = None
    tag_ids: tuple[int, ...] = ()
    is_handled_by_bot: bool | None = None
    """The stand-in has no bot: true matches nothing, false everything."""


@frozen(kw_only=True)
class AgentFilter:
    """What lists of agents may be asked for; empty means everybody."""

    search: str | None = None
    scope: str | None = None
    """Where to search: `name`, `email` or `division`; None is the first two."""
    type_name: str | None = None
    """`admin`, `supervisor` or `agent`."""
    division_ids: tuple[int, ...] = ()
    is_available: bool | None = None
    not_in: tuple[int, ...] = ()
    """Agents to leave out: those who are in a room."""


@frozen(kw_only=True)
class FakePage(Generic[Item]):
    """One page of a list; `after` is the cursor of the next one, None on the last."""

    items: tuple[Item, ...]
    per_page: int
    after: str | None = None
    before: str | None = None
    total_count: int | None = None


@frozen(kw_only=True)
class Assigned:
    """The platform took the assignment (or pretends to, see the switches)."""

    agent: FakeAgentView
    room_id: str
    service_id: int | None
    is_resolved: bool
    opened_at: float
    at: float


@frozen
class Refusal:
    """The platform did nothing, and says why in words that nobody may rely on."""

    status: Literal[400, 401, 403, 404]
    message: str


@frozen(kw_only=True)
class Resolved:
    """A room was closed: what the API answers, and the webhook that goes out for it."""

    room_id: str
    service_id: int
    agent_id: int | None
    answer: Body
    webhook: Body
