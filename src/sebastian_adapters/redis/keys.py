"""Where our keys in Redis are: the only place that spells them."""

from __future__ import annotations

#: What every key begins with; a deployment adds its app id, so that accounts may share a server.
PREFIX = "sebastian:"


def roster_key(prefix: str = PREFIX) -> str:
    """A hash: the last listing, what was seen of single agents since, and a token for each.

    The number is the layout's: processes that know another one keep a roster of their own.
    """
    return f"{prefix}roster:1"


def probe_key(prefix: str = PREFIX) -> str:
    """A hash that nobody reads: `sebastian doctor` tries there whether it may write."""
    return f"{prefix}doctor"
