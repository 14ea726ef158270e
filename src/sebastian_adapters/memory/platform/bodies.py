"""The platform's words on the wire: the key sets and types that public sources show.

Every value is invented. Anything named FAKE stands where a real body carries a token: whoever
stores or logs one of these has kept what must be dropped.
"""

import json
from collections.abc import Iterable

from attrs import field, frozen

from sebastian_adapters.memory.platform.agent_bodies import AVATAR_URL, AgentBodies, type_name
from sebastian_adapters.memory.platform.rooms import FakeRoom, FakeService
from sebastian_adapters.memory.platform.roster import Person
from sebastian_adapters.memory.platform.stamps import Stamps
from sebastian_adapters.memory.platform.switches import Switches
from sebastian_adapters.memory.platform.values import (
    Body,
    Channel,
    FakeAccount,
    FakeAgentView,
    FakePage,
    RoomView,
    Tag,
)

#: The groups of `v2/channels`; a channel of another source is in the last one.
SOURCES = ("wa", "fb", "ig", "line", "telegram", "qiscus", "custom")


@frozen
class Bodies:
    """Writes every body of one account; the ones about people are in `agents`."""

    account: FakeAccount
    stamps: Stamps
    agents: AgentBodies = field(init=False)

    @agents.default
    def _make_agents(self) -> AgentBodies:
        return AgentBodies(self.account, self.stamps)

    def room(self, room: RoomView) -> Body:
        """One room in `customer_rooms`."""
        return {**self._single_room(room), "is_calling": False}

    def room_detail(self, room: RoomView) -> Body:
        """`v2/customer_rooms/{room_id}`."""
        return {"data": {"customer_room": self._single_room(room)}, "status": 200}

    def cursors(self, page: FakePage[FakeAgentView] | FakePage[RoomView]) -> Body:
        """`meta` of a list that is paged by cursor."""
        return {
            "after": page.after,
            "before": page.before,
            "per_page": page.per_page,
            "total_count": page.total_count,
        }

    def counted(self, page: FakePage[FakeAgentView]) -> Body:
        """`meta` of a list that is paged by number."""
        return {"per_page": page.per_page, "total_count": page.total_count}

    def numbered(self, number: int, limit: int, total: int) -> Body:
        """`meta` of `by_division` and of the divisions."""
        return {
            "limit": limit,
            "page": number,
            "total": total,
            "total_page": -(-total // limit),
        }

    def tag(self, tag: Tag) -> Body:
        """One tag of a room."""
        return {"id": tag.id, "name": tag.name}

    def user_info(self, room: FakeRoom) -> Body:
        """`user_info`: what is known of the room's customer; it carries the channel's secret."""
        first_at = room.services[0].opened_at if room.services else None
        return {
            "data": {
                "extras": _extras(room),
                "first_initiated": None if first_at is None else self.stamps.zoned(first_at),
                "first_agent_response_time": None,
                "user_id": room.user_id,
                "channel_id": room.channel.id,
                "is_blocked": False,
                "channel_name": room.channel.name,
                "channel": {
                    "id": room.channel.id,
                    "name": room.channel.name,
                    "app_code": self.account.app_code,
                    "secret_key": "FAKE_KEY",
                    "is_active": True,
                    "app_id": self.account.app_number,
                },
            }
        }

    def channels(self, channels: Iterable[Channel]) -> Body:
        """`v2/channels`, by source; each carries a secret of its own."""
        groups: dict[str, list[Body]] = {source: [] for source in SOURCES}
        for channel in channels:
            group = groups[channel.source if channel.source in SOURCES else "custom"]
            group.append(
                {
                    "id": channel.id,
                    "name": channel.name,
                    "is_active": True,
                    "app_id": self.account.app_number,
                    "secret_key": "FAKE_KEY",
                    "badge_url": AVATAR_URL,
                }
            )
        return {"data": {f"{source}_channels": group for source, group in groups.items()}}

    def allocation_webhook(
        self,
        room: FakeRoom,
        switches: Switches,
        *,
        latest: FakeService | None,
        candidate: FakeAgentView | None,
        is_new_session: bool,
        was_resolved: bool,
    ) -> Body:
        """What the platform posts while a room has no agent."""
        is_old = switches.webhook_shape == "old"
        suggested = self.agents.old_candidate if is_old else self.agents.candidate
        extras = json.dumps(
            {**_extras(room), "user_properties_migrated": True}, separators=(",", ":")
        )
        body: Body = {
            "app_id": self.account.app_code,
            "avatar_url": AVATAR_URL,
            "candidate_agent": suggested(candidate) if candidate else None,
            "email": room.user_id,
            "extras": None if switches.extras_null else extras,
            "is_new_session": is_new_session,
            "is_resolved": was_resolved,
            "latest_service": self._latest_service(room, latest) if latest else None,
            "name": room.name,
            "room_id": room.room_id,
            "source": room.channel.source,
        }
        return body if is_old else {**body, **self._newer_keys(room)}

    def resolve_webhook(
        self, room: FakeRoom, service: FakeService, by: Person | None, switches: Switches
    ) -> Body:
        """What the platform posts when a room was resolved; without `by` it names nobody."""
        comment_id = service.last_comment_id
        body: Body = {
            "customer": {
                "additional_info": [],
                "avatar": AVATAR_URL,
                "name": room.name,
                "user_id": room.user_id,
            },
            "service": {
                "first_comment_id": str(service.first_comment_id),
                "id": service.id,
                "is_resolved": True,
                "last_comment_id": (
                    comment_id if switches.last_comment_id == "number" else str(comment_id)
                ),
                "notes": service.notes,
                "room_id": room.room_id,
                "source": room.channel.source,
            },
        }
        if by is not None:
            body["resolved_by"] = {
                "email": by.email,
                "id": by.id,
                "is_available": by.is_available,
                "name": by.name,
                "type": type_name(by.type),
            }
        return body if switches.webhook_shape == "old" else {**body, **self._newer_keys(room)}

    def resolve_answer(
        self, room: FakeRoom, service: FakeService, agent: FakeAgentView | None, switches: Switches
    ) -> Body:
        """The answer of `mark_as_resolved`; two of its moments are objects, or text."""
        resolved_at = service.resolved_at or service.opened_at
        moment = self.stamps.plain if switches.resolve_dates == "text" else self.stamps.as_object
        return {
            "data": {
                "service": {
                    "notes": service.notes,
                    "is_resolved": True,
                    "resolved_at": moment(resolved_at),
                    "user_id": service.agent_id,
                    "app_id": self.account.app_number,
                    "room_log_id": room.id,
                    "room_id": room.room_id,
                    "retrieved_at": moment(service.retrieved_at or resolved_at),
                    "first_comment_id": str(service.first_comment_id),
                    "last_comment_id": str(service.last_comment_id),
                    "updated_at": self.stamps.plain(resolved_at),
                    "created_at": self.stamps.plain(resolved_at),
                    "id": service.id,
                    "user": self.agents.serving(agent) if agent else None,
                },
                "room_info": {
                    "room": {
                        "room_avatar_url": AVATAR_URL,
                        "room_channel_id": "FAKE_CHANNEL",
                        "room_id": room.room_id,
                        "room_name": room.name,
                        "room_options": "{}",
                        "room_type": "group",
                    }
                },
            }
        }

    def _newer_keys(self, room: FakeRoom) -> Body:
        channel = room.channel
        return {
            "app_code": self.account.app_code,
            "channel": {"id": channel.id, "name": channel.name, "source": channel.source},
        }

    def _single_room(self, room: RoomView) -> Body:
        wrote_at = room.last_customer_at
        said_at = None if wrote_at is None else self.stamps.zoned(wrote_at)
        return {
            "channel_id": room.channel.id,
            "contact_id": 20_000_000 + room.id,
            "id": room.id,
            "is_handled_by_bot": False,
            "is_resolved": room.is_resolved,
            "is_waiting": room.is_waiting,
            "last_comment_sender": room.user_id if said_at else None,
            "last_comment_sender_type": "customer" if said_at else None,
            "last_comment_text": "FAKE_MESSAGE halo" if said_at else None,
            "last_comment_timestamp": said_at,
            "last_customer_comment_text": None,
            "last_customer_timestamp": said_at,
            "name": room.name,
            "room_badge": None,
            "room_id": room.room_id,
            "room_type": "individual",
            "source": room.channel.source,
            "user_avatar_url": AVATAR_URL,
            "user_id": room.user_id,
        }

    def _latest_service(self, room: FakeRoom, service: FakeService) -> Body:
        resolved_at = service.resolved_at
        updated_at = self.stamps.plain(resolved_at or service.retrieved_at or service.opened_at)
        return {
            "id": service.id,
            "user_id": service.agent_id or self.account.admin_id,
            "room_log_id": room.id,
            "app_id": self.account.app_number,
            "room_id": room.room_id,
            "notes": service.notes,
            "resolved_at": None if resolved_at is None else self.stamps.plain(resolved_at),
            "is_resolved": resolved_at is not None,
            "created_at": self.stamps.plain(service.opened_at),
            "updated_at": updated_at,
            "first_comment_id": str(service.first_comment_id),
            "last_comment_id": str(service.last_comment_id),
            "retrieved_at": self.stamps.plain(service.retrieved_at or service.opened_at),
            "first_comment_timestamp": None,
        }


def _extras(room: FakeRoom) -> Body:
    return {
        "additional_extras": {"timezone_offset": 7},
        "notes": None,
        "timezone_offset": None,
        "user_properties": [{"key": key, "value": value} for key, value in room.properties],
    }
