"""What nobody public knows of the platform, or what differs by account: one switch each."""

import random
from typing import Literal

from attrs import field, frozen
from attrs.validators import ge, in_, le

REMEMBERED_SECONDS = 120.0
"""How far back the platform remembers what it was: no lag can be longer."""

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
    """With `app_code` and `channel`, or without [5]."""
    candidate_agent: bool = False
    """Whether the allocation webhook suggests an agent [3]."""
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
    unclean_unserved: bool = True
    """Whether the unserved list also holds rooms that are resolved or not waiting [8]."""
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
            unclean_unserved=rng.random() < 0.75,
            assign_answers_service=rng.random() < 0.5,
            webhook_registration=rng.choice(("secret", "token", "both")),
            errors_shape=rng.choice(("text", "object", "list")),
        )
