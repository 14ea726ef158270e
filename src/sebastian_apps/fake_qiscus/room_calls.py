"""Calls about rooms and the customers in them: lists, properties, tags, messages of programs."""

from typing import Any

from sebastian_adapters.memory.platform import Platform, Properties, Refusal, RoomFilter
from sebastian_apps.fake_qiscus.encoding import Encoder
from sebastian_apps.fake_qiscus.fields import (
    Fields,
    NotUnderstoodError,
    body_fields,
    flag,
    number,
    numbers,
    one_of,
    query_fields,
    refuse_cursor_before,
    text,
    words,
)
from sebastian_apps.fake_qiscus.http_server import Response
from sebastian_apps.fake_qiscus.routes import Answers, Call

_STATUSES = ("resolved", "unresolved", "expired", "almost_expired", "all")
_SERVINGS = ("served", "unserved", "all")


class RoomCalls:
    """Answers them out of the platform."""

    def __init__(self, platform: Platform, encoder: Encoder) -> None:
        self._platform = platform
        self._encoder = encoder
        self.answers: Answers = {
            "customer_rooms": self._customer_rooms,
            "customer_room": self._customer_room,
            "user_info": self._user_info,
            "set_user_info": self._set_user_info,
            "room_tags": self._room_tags,
            "create_room_tag": self._create_room_tag,
            "bot_message": self._bot_message,
        }

    def _customer_rooms(self, call: Call) -> Response:
        fields = {**query_fields(call.request), **body_fields(call.request)}
        refuse_cursor_before(fields)
        page = self._platform.rooms(
            _room_filter(fields),
            cursor_after=words(fields, "cursor_after"),
            limit=number(fields, "limit"),
        )
        bodies = self._platform.bodies
        rooms = [bodies.room(room) for room in page.items]
        return self._encoder.paged({"customer_rooms": rooms}, bodies.cursors(page))

    def _customer_room(self, call: Call) -> Response:
        room = self._platform.room(call.subject)
        if room is None:
            return self._encoder.refuse(Refusal(404, "no such room"))
        return self._encoder.ok(self._platform.bodies.room_detail(room))

    def _user_info(self, call: Call) -> Response:
        room = self._platform.customers.room(call.subject)
        if isinstance(room, Refusal):
            return self._encoder.refuse(room)
        return self._encoder.ok(self._platform.bodies.user_info(room))

    def _set_user_info(self, call: Call) -> Response:
        """Replaces all properties, as the platform does."""
        properties = read_properties(body_fields(call.request).get("user_properties"))
        room = self._platform.customers.set_properties(call.subject, properties)
        if isinstance(room, Refusal):
            return self._encoder.refuse(room)
        return self._encoder.ok(self._platform.bodies.user_info(room))

    def _room_tags(self, call: Call) -> Response:
        room = self._platform.customers.room(call.subject)
        if isinstance(room, Refusal):
            return self._encoder.refuse(room)
        return self._encoder.ok({"data": [self._platform.bodies.tag(tag) for tag in room.tags]})

    def _create_room_tag(self, call: Call) -> Response:
        fields = body_fields(call.request)
        room_id = call.subject or text(fields, "room_id")
        tag = self._platform.customers.add_tag(room_id, text(fields, "tag"))
        if isinstance(tag, Refusal):
            return self._encoder.refuse(tag)
        return self._encoder.ok({"data": self._platform.bodies.tag(tag)})

    def _bot_message(self, call: Call) -> Response:
        """No public client reads the answer."""
        fields = body_fields(call.request)
        room_id = text(fields, "room_id")
        text(fields, "message")
        refusal = self._platform.bot_message(room_id)
        if refusal:
            return self._encoder.refuse(refusal)
        return self._encoder.ok({"data": {"room_id": room_id}, "status": 200})


def read_properties(listed: Any) -> Properties:
    """Properties as `[{"key": …, "value": …}]`, the way every client sends them."""
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise NotUnderstoodError("user_properties is not a list of keys and values")
    return tuple((text(each, "key"), str(each.get("value", ""))) for each in listed)


def _room_filter(fields: Fields) -> RoomFilter:
    return RoomFilter(
        status=_unless_all(one_of(fields, "status", _STATUSES)),
        serve_status=_unless_all(one_of(fields, "serve_status", _SERVINGS)),
        user_ids=numbers(fields, "user_ids"),
        channel_ids=_channel_ids(fields.get("channels")),
        name=words(fields, "name"),
        tag_ids=numbers(fields, "tag_ids"),
        is_handled_by_bot=flag(fields, "is_handled_by_bot"),
    )


def _unless_all(value: str | None) -> str | None:
    return None if value == "all" else value


def _channel_ids(listed: Any) -> tuple[int, ...]:
    if not listed:
        return ()
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise NotUnderstoodError("channels is not a list of objects with a channel_id")
    return tuple(each for channel in listed for each in numbers(channel, "channel_id"))
