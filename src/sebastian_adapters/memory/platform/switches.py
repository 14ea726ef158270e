"""What public sources do not tell of the platform, or what differs by account: one switch each."""

import random
from typing import Literal

from attrs import field, frozen
from attrs.validators import ge, in_, le

#: How far back the platform remembers what it was: no lag can be longer.
REMEMBERED_SECONDS = 120.0

MOST_UNCLEAN_ROWS = 10

_lag = [ge(0.0), le(REMEMBERED_SECONDS)]


@frozen(kw_only=True)
class Switches:
    """Habits of the platform that a caller has to live with; the defaults are the documented ones.

    The numbers in brackets are sections of the contract, or rows of its section 11.
    """

    counts_lag_seconds: float = field(default=0.0, validator=_lag)
    """How old `current_customer_count` is in lists; `get_by_ids` is always fresh [14]."""
    rooms_lag_seconds: float = field(default=0.0, validator=_lag)
    """How old lists of rooms and reads of one room are [8]."""
    counts_absent: bool = False
    """Whether lists of agents lack `current_customer_count` [12]."""
    user_ids_honoured: bool = True
    """Whether `customer_rooms` filters by agent; if not, it answers as if nothing was asked [8]."""
    same_agent_twice: Literal[200, 400] = field(default=200, validator=in_((200, 400)))
    """What assigning the agent who is in the room already answers [4]."""
    assign_resolved_room: Literal[200, 400] = field(default=400, validator=in_((200, 400)))
    """What assigning a resolved room answers; 200 changes nothing [4]."""
    latest_service: Literal["as_docs", "always_null", "shows_open"] = field(
        default="as_docs", validator=in_(("as_docs", "always_null", "shows_open"))
    )
    """`as_docs`: null at first, then the last resolved one; `shows_open`: the open one [2]."""
    webhook_shape: Literal["new", "old"] = field(default="new", validator=in_(("new", "old")))
    """With `app_code` and `channel`, or without; an old candidate carries more, tokens too [5]."""
    candidate_agent: bool = True
    """Whether the allocation webhook suggests an agent, where one is online [3]."""
    extras_null: bool = False
    """Whether the allocation webhook's `extras` is null [7]."""
    last_comment_id: Literal["text", "number"] = field(
        default="text", validator=in_(("text", "number"))
    )
    """What `service.last_comment_id` is in the resolve webhook [6]."""
    resolver_named: bool = True
    """Whether the resolve webhook has a `resolved_by` for a resolve through the API [32]."""
    resolve_dates: Literal["object", "text"] = field(
        default="object", validator=in_(("object", "text"))
    )
    """What the moments are in the answer of `mark_as_resolved` [7]."""
    login_details: bool = False
    """Whether a login also answers `details`, `user.sdk_key` and more of the app [0]."""
    added_agent_details: bool = False
    """Whether `added_agent` also has the fields of newer accounts [4]."""
    available_agents_shape: Literal["object", "array"] = field(
        default="object", validator=in_(("object", "array"))
    )
    """`data.agents[]` or `data[]` [9]."""
    meta_place: Literal["top", "data"] = field(default="top", validator=in_(("top", "data")))
    """Where `meta` stands in lists of agents and rooms [11]; never inside an array."""
    agents_paging: Literal["page", "cursor"] = field(
        default="page", validator=in_(("page", "cursor"))
    )
    """How the list of all agents is paged; the other parameter is ignored [11]."""
    agents_page_size: int = field(default=20, validator=ge(1))
    page_size_limit: int = field(default=100, validator=ge(1))
    """The largest page that any list answers, whatever was asked."""
    rooms_page_size: int = field(default=50, validator=ge(1))
    unclean_rows: int = field(default=2, validator=[ge(0), le(MOST_UNCLEAN_ROWS)])
    """How many rooms that are served or resolved the unserved list still holds, at most [8]."""
    unclean_seconds: float = field(default=3.0, validator=_lag)
    """For how long it holds each of them."""
    assign_answers_service: bool = True
    """Whether `assign_agent` answers `service` beside `added_agent` [18]."""
    webhook_registration: Literal["secret", "token", "both"] = field(
        default="both", validator=in_(("secret", "token", "both"))
    )
    """Which credential may register webhooks [23]."""
    profile_shows_app: bool = False
    """Whether `get_profile` names the app, its flags and its webhooks [7]."""
    errors_shape: Literal["text", "object", "list"] = field(
        default="text", validator=in_(("text", "object", "list"))
    )
    """How `errors` looks in a refusal [20]."""

    @classmethod
    def untidy(cls) -> "Switches":
        """The defaults, with an unserved list that is never tidied up: for those who test us."""
        return cls(unclean_rows=MOST_UNCLEAN_ROWS, unclean_seconds=REMEMBERED_SECONDS)

    @classmethod
    def draw(cls, rng: random.Random) -> "Switches":
        """Some account's habits, each drawn by itself: for simulations over many accounts."""
        return cls(
            counts_lag_seconds=rng.choice((0.0, 0.5, 3.0)),
            rooms_lag_seconds=rng.choice((0.0, 0.5, 3.0)),
            counts_absent=rng.random() < 0.25,
            user_ids_honoured=rng.random() < 0.8,
            same_agent_twice=rng.choice((200, 400)),
            assign_resolved_room=rng.choice((200, 400)),
            latest_service=rng.choice(("as_docs", "always_null", "shows_open")),
            webhook_shape=rng.choice(("new", "old")),
            candidate_agent=rng.random() < 0.5,
            available_agents_shape=rng.choice(("object", "array")),
            meta_place=rng.choice(("top", "data")),
            agents_paging=rng.choice(("page", "cursor")),
            agents_page_size=rng.choice((3, 20)),
            rooms_page_size=rng.choice((5, 50)),
            unclean_rows=MOST_UNCLEAN_ROWS if rng.random() < 0.75 else 0,
            unclean_seconds=REMEMBERED_SECONDS,
            assign_answers_service=rng.random() < 0.5,
            webhook_registration=rng.choice(("secret", "token", "both")),
            errors_shape=rng.choice(("text", "object", "list")),
            extras_null=rng.random() < 0.25,
            last_comment_id=rng.choice(("text", "number")),
            resolver_named=rng.random() < 0.5,
        )
