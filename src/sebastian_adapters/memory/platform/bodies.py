"""The platform's words on the wire: the key sets and types that public sources show.

Every value is invented. Anything named FAKE stands where a real body carries a token: whoever
stores or logs one of these has kept what must be dropped.
"""

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from attrs import frozen

from sebastian_adapters.memory.platform.rooms import Room, Service
from sebastian_adapters.memory.platform.roster import Person
from sebastian_adapters.memory.platform.values import (
    ADMIN,
    TYPE_NAMES,
    Account,
    AgentView,
    Assigned,
    Body,
    Page,
    RoomView,
)

AVATAR_URL = "https://cdn.example.test/avatar.png"
FAKE_TOKEN = "FAKE_TOKEN"
_EXTRAS = json.dumps(
    {
        "additional_extras": {"timezone_offset": 7},
        "notes": None,
        "timezone_offset": None,
        "user_properties": [],
        "user_properties_migrated": True,
    },
    separators=(",", ":"),
)


@lru_cache(maxsize=4096)
def _moment(epoch: datetime, seconds: int) -> datetime:
    return epoch + timedelta(seconds=seconds)


@frozen
class Stamps:
    """Turns seconds on the platform's clock into the formats that it mixes."""

    epoch: datetime

    def zoned(self, at: float) -> str:
        """`2025-06-22T06:37:58Z`: version 2 of the API and the newer webhooks."""
        return _zoned(self.epoch, int(at))

    def plain(self, at: float) -> str:
        """`2023-01-02 03:04:05`: version 1 and the older webhooks."""
        return _plain(self.epoch, int(at))

    def as_object(self, at: float) -> Body:
        """The form that only the answer of `mark_as_resolved` uses."""
        return {"date": f"{self.plain(at)}.000000", "timezone_type": 3, "timezone": "UTC"}


@lru_cache(maxsize=4096)
def _zoned(epoch: datetime, seconds: int) -> str:
    return _moment(epoch, seconds).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)
def _plain(epoch: datetime, seconds: int) -> str:
    return _moment(epoch, seconds).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


@frozen
class Bodies:
    """Writes every body of one account."""

    account: Account
    stamps: Stamps

    def listed_agent(self, agent: AgentView) -> Body:
        """One agent in `v2/admin/agents` and `available_agents`."""
        body: Body = {
            "avatar_url": AVATAR_URL,
            "created_at": self.stamps.plain(agent.created_at),
            "current_customer_count": agent.customer_count,
            "email": agent.email,
            "force_offline": agent.force_offline,
            "id": agent.id,
            "is_available": agent.is_available,
            "is_req_otp_reset": None,
            "last_login": self.stamps.zoned(agent.created_at),
            "name": agent.name,
            "sdk_email": f"fakex_{agent.email}",
            "sdk_key": "FAKE_KEY",
            "type": agent.type,
            "type_as_string": TYPE_NAMES.get(agent.type, "supervisor"),
            "user_channels": [{"id": each.id, "name": each.name} for each in agent.channels],
            "user_roles": [{"id": each.id, "name": each.name} for each in agent.roles],
        }
        if agent.customer_count is None:
            del body["current_customer_count"]
        return body

    def agent_detail(self, agent: AgentView) -> Body:
        """`v2/admin/agent/{id}`."""
        body = self.listed_agent(agent)
        del body["is_req_otp_reset"]
        return {"data": {"agent": body}, "status": 200}

    def full_agent(self, agent: AgentView) -> Body:
        """One agent in `get_by_ids`; the totals are text, as observed."""
        return {
            **self._account_agent(agent),
            **self._login_traces(),
            "is_toc_agree": True,
            "totp_token": None,
            "is_req_otp_reset": None,
            "last_password_update": self.stamps.plain(agent.created_at),
            "latest_service": None,
            "assigned_rules": [],
            "current_customer_count": agent.customer_count,
            "total_resolved": "12",
            "total_customers": "13",
            "assigned_agent_roles": [
                {"id": each.id, "name": each.name, "is_default_role": True} for each in agent.roles
            ],
            "is_supervisor": agent.type not in {1, 2},
        }

    def assignment(self, assigned: Assigned, *, with_service: bool) -> Body:
        """The answer of `assign_agent`."""
        data: Body = {
            "added_agent": {
                **self._account_agent(assigned.agent),
                "notifications_room_id": "1692312",
                "bubble_color": "#666666",
                "qismo_key": None,
                "type_as_string": TYPE_NAMES.get(assigned.agent.type, "supervisor"),
                "assigned_rules": ["qiscus_messaging"],
            }
        }
        if with_service:
            data["service"] = self._assigned_service(assigned)
        return {"data": data}

    def room(self, room: RoomView) -> Body:
        """One room in `customer_rooms`."""
        return {**self._single_room(room), "is_calling": False}

    def room_detail(self, room: RoomView) -> Body:
        """`v2/customer_rooms/{room_id}`."""
        return {"data": {"customer_room": self._single_room(room)}, "status": 200}

    def cursors(self, page: Page[AgentView] | Page[RoomView]) -> Body:
        """`meta` of a list that is paged by cursor."""
        return {
            "after": page.after,
            "before": page.before,
            "per_page": page.per_page,
            "total_count": page.total_count,
        }

    def counted(self, page: Page[AgentView]) -> Body:
        """`meta` of a list that is paged by number."""
        return {"per_page": page.per_page, "total_count": page.total_count}

    def allocation_webhook(
        self,
        room: Room,
        *,
        shape: str,
        latest: Service | None,
        candidate: AgentView | None,
        is_new_session: bool,
        was_resolved: bool,
    ) -> Body:
        """What the platform posts while a room has no agent."""
        body: Body = {
            "app_id": self.account.app_code,
            "avatar_url": AVATAR_URL,
            "candidate_agent": self._candidate(candidate) if candidate else None,
            "email": room.user_id,
            "extras": _EXTRAS,
            "is_new_session": is_new_session,
            "is_resolved": was_resolved,
            "latest_service": self._latest_service(room, latest) if latest else None,
            "name": room.name,
            "room_id": room.room_id,
            "source": room.channel.source,
        }
        if shape == "new":
            body["app_code"] = self.account.app_code
            body["channel"] = _channel(room)
        return body

    def resolve_webhook(
        self, room: Room, service: Service, *, shape: str, by: Person | None
    ) -> Body:
        """What the platform posts when a room was resolved."""
        body: Body = {
            "customer": {
                "additional_info": [],
                "avatar": AVATAR_URL,
                "name": room.name,
                "user_id": room.user_id,
            },
            "resolved_by": self._resolver(by),
            "service": {
                "first_comment_id": str(service.first_comment_id),
                "id": service.id,
                "is_resolved": True,
                "last_comment_id": str(service.last_comment_id),
                "notes": service.notes,
                "room_id": room.room_id,
                "source": room.channel.source,
            },
        }
        if shape == "new":
            body["app_code"] = self.account.app_code
            body["channel"] = _channel(room)
        return body

    def resolve_answer(self, room: Room, service: Service, agent: AgentView | None) -> Body:
        """The answer of `mark_as_resolved`; two of its moments are objects, as observed."""
        resolved_at = service.resolved_at or service.opened_at
        return {
            "data": {
                "service": {
                    "notes": service.notes,
                    "is_resolved": True,
                    "resolved_at": self.stamps.as_object(resolved_at),
                    "user_id": service.agent_id,
                    "app_id": self.account.app_number,
                    "room_log_id": room.id,
                    "room_id": room.room_id,
                    "retrieved_at": self.stamps.as_object(service.retrieved_at or resolved_at),
                    "first_comment_id": str(service.first_comment_id),
                    "last_comment_id": str(service.last_comment_id),
                    "updated_at": self.stamps.plain(resolved_at),
                    "created_at": self.stamps.plain(resolved_at),
                    "id": service.id,
                    "user": self._serving_user(agent) if agent else None,
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

    def _single_room(self, room: RoomView) -> Body:
        said_at = self.stamps.zoned(room.last_customer_at)
        return {
            "channel_id": room.channel.id,
            "contact_id": 20_000_000 + room.id,
            "id": room.id,
            "is_handled_by_bot": False,
            "is_resolved": room.is_resolved,
            "is_waiting": room.is_waiting,
            "last_comment_sender": room.user_id,
            "last_comment_sender_type": "customer",
            "last_comment_text": "FAKE_MESSAGE halo",
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

    def _account_agent(self, agent: AgentView) -> Body:
        created_at = self.stamps.plain(agent.created_at)
        return {
            "id": agent.id,
            "name": agent.name,
            "email": agent.email,
            "authentication_token": FAKE_TOKEN,
            "created_at": created_at,
            "updated_at": created_at,
            "sdk_email": f"fakex_{agent.email}",
            "sdk_key": "FAKE_KEY",
            "is_available": agent.is_available,
            "type": agent.type,
            "avatar_url": AVATAR_URL,
            "app_id": self.account.app_number,
            "is_verified": True,
        }

    def _login_traces(self) -> Body:
        return {
            "notifications_room_id": None,
            "bubble_color": None,
            "qismo_key": "FAKE_KEY",
            "direct_login_token": None,
            "last_login": None,
            "force_offline": False,
            "deleted_at": None,
        }

    def _serving_user(self, agent: AgentView) -> Body:
        return {
            **self._account_agent(agent),
            **self._login_traces(),
            "force_offline": agent.force_offline,
            "type_as_string": TYPE_NAMES.get(agent.type, "supervisor"),
            "assigned_rules": [],
        }

    def _assigned_service(self, assigned: Assigned) -> Body:
        return {
            "room_id": assigned.room_id,
            "user_id": assigned.agent.id,
            "is_resolved": assigned.is_resolved,
            "retrieved_at": self.stamps.plain(assigned.at),
            "created_at": self.stamps.plain(assigned.opened_at),
            "updated_at": self.stamps.plain(assigned.at),
        }

    def _candidate(self, agent: AgentView) -> Body:
        return {
            "avatar_url": None,
            "created_at": self.stamps.zoned(agent.created_at),
            "email": agent.email,
            "force_offline": agent.force_offline,
            "id": agent.id,
            "is_available": agent.is_available,
            "is_verified": True,
            "last_login": self.stamps.zoned(agent.created_at),
            "name": agent.name,
            "sdk_email": f"fakex_{agent.email}",
            "sdk_key": "FAKE_KEY",
            "type": agent.type,
            "type_as_string": TYPE_NAMES.get(agent.type, "supervisor"),
            "updated_at": self.stamps.zoned(agent.created_at),
        }

    def _latest_service(self, room: Room, service: Service) -> Body:
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

    def _resolver(self, by: Person | None) -> Body:
        if by is None:
            return {
                "email": self.account.admin_email,
                "id": self.account.admin_id,
                "is_available": True,
                "name": "Admin",
                "type": TYPE_NAMES[ADMIN],
            }
        return {
            "email": by.email,
            "id": by.id,
            "is_available": by.is_available,
            "name": by.name,
            "type": TYPE_NAMES.get(by.type, "supervisor"),
        }


def _channel(room: Room) -> Body:
    return {"id": room.channel.id, "name": room.channel.name, "source": room.channel.source}
