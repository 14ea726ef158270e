"""What a control request names, as the platform's own values: channels, divisions, customers."""

from typing import Any

import msgspec

from sebastian_adapters.memory.platform import Channel, Platform, Properties, Role
from sebastian_adapters.memory.platform.values import GENERAL, LIVE_CHAT, TYPE_NAMES
from sebastian_apps.fake_qiscus.room_calls import read_properties

_TYPES = {name: number for number, name in TYPE_NAMES.items()}


class WishNotUnderstoodError(ValueError):
    """A control request that names something unknown, or gives it the wrong type."""


def channel_of(platform: Platform, wish: Any) -> Channel:
    """A channel as `{"id", "name", "source"}`, or the id of one that the account has already."""
    if wish is None:
        return LIVE_CHAT
    if not isinstance(wish, int):
        return msgspec.convert(wish, Channel)
    known = platform.channels.get(wish)
    if known is None:
        raise WishNotUnderstoodError(f"no channel {wish} yet: give its id, name and source")
    return known


def channels_of(platform: Platform, wish: Any) -> tuple[Channel, ...]:
    """The channels that an agent serves; none at all is every one."""
    if wish is None:
        return (LIVE_CHAT,)
    return tuple(channel_of(platform, each) for each in _listed("channels", wish))


def divisions_of(platform: Platform, wish: Any) -> tuple[Role, ...]:
    """The divisions that an agent is in, by name; a new name is a new division."""
    if wish is None:
        return (GENERAL,)
    return tuple(platform.division(str(each)) for each in _listed("divisions", wish))


def type_of(wish: Any) -> int:
    """The kind of user: `agent`, `supervisor` or `admin`."""
    if wish not in _TYPES:
        raise WishNotUnderstoodError(f"type is none of {', '.join(sorted(_TYPES))}")
    return _TYPES[wish]


def properties_of(wish: Any) -> Properties | None:
    """A customer's properties, as an object or as a list of keys and values."""
    if wish is None:
        return None
    if isinstance(wish, dict):
        return tuple((key, str(value)) for key, value in wish.items())
    return read_properties(wish)


def _listed(name: str, wish: Any) -> list[Any]:
    if not isinstance(wish, list):
        raise WishNotUnderstoodError(f"{name} is not a list")
    return wish
