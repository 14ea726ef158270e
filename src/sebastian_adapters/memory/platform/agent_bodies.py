"""The platform's words about people: agents in lists, in answers, in webhooks."""

from attrs import frozen

from sebastian_adapters.memory.platform.stamps import Stamps
from sebastian_adapters.memory.platform.values import (
    GENERAL,
    TYPE_NAMES,
    Assigned,
    Body,
    FakeAccount,
    FakeAgentView,
    FakePage,
    Role,
)

AVATAR_URL = "https://cdn.example.test/avatar.png"
FAKE_TOKEN = "FAKE_TOKEN"


@frozen
class AgentBodies:
    """Writes every body about the people of one account."""

    account: FakeAccount
    stamps: Stamps

    def listed(self, agent: FakeAgentView) -> Body:
        """One agent in `v2/admin/agents`, `available_agents` and `other_agents`."""
        return {
            **self.of_division(agent),
            "created_at": self.stamps.plain(agent.created_at),
            "is_req_otp_reset": None,
        }

    def of_division(self, agent: FakeAgentView) -> Body:
        """One agent in `by_division`."""
        body: Body = {
            "avatar_url": AVATAR_URL,
            "current_customer_count": agent.customer_count,
            "email": agent.email,
            "force_offline": agent.force_offline,
            "id": agent.id,
            "is_available": agent.is_available,
            "last_login": self.stamps.zoned(agent.created_at),
            "name": agent.name,
            "sdk_email": f"fakex_{agent.email}",
            "sdk_key": "FAKE_KEY",
            "type": agent.type,
            "type_as_string": type_name(agent.type),
            "user_channels": [{"id": each.id, "name": each.name} for each in agent.channels],
            "user_roles": [{"id": each.id, "name": each.name} for each in agent.roles],
        }
        if agent.customer_count is None:
            del body["current_customer_count"]
        return body

    def detail(self, agent: FakeAgentView) -> Body:
        """`v2/admin/agent/{id}`."""
        body = self.listed(agent)
        del body["is_req_otp_reset"]
        return {"data": {"agent": body}, "status": 200}

    def full(self, agent: FakeAgentView) -> Body:
        """One agent in version 1 of the API; the totals are text, as observed."""
        return {
            **self._of_account(agent),
            **_LOGIN_TRACES,
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
                {"id": each.id, "name": each.name, "is_default_role": each == GENERAL}
                for each in agent.roles
            ],
            "is_supervisor": type_name(agent.type) == "supervisor",
        }

    def paginator(self, page: FakePage[FakeAgentView], number: int) -> Body:
        """`v1/admin/agents`: the page as Laravel writes it."""
        total, size = page.total_count or 0, page.per_page
        path = "https://qiscus.example.test/api/v1/admin/agents"
        last = max(-(-total // size), 1)
        first_row = (number - 1) * size + 1
        urls = {each: f"{path}?page={each}" for each in range(1, last + 1)}
        return {
            "data": {
                "agents": {
                    "current_page": number,
                    "data": [self.full(agent) for agent in page.items],
                    "first_page_url": urls[1],
                    "from": first_row if page.items else None,
                    "last_page": last,
                    "last_page_url": urls[last],
                    "next_page_url": urls.get(number + 1),
                    "path": path,
                    "prev_page_url": urls.get(number - 1),
                    "to": first_row + len(page.items) - 1 if page.items else None,
                    "total": total,
                },
                "total": total,
                "current_page": number,
            }
        }

    def division(self, role: Role) -> Body:
        """One division in `v2/divisions`."""
        made_at = self.stamps.plain(0)
        return {
            "app_id": self.account.app_number,
            "created_at": made_at,
            "id": role.id,
            "is_default_role": role == GENERAL,
            "name": role.name,
            "updated_at": made_at,
        }

    def allocated(self, agent: FakeAgentView) -> Body:
        """The answer of `allocate_agent` and `allocate_assign_agent`."""
        agent_body = {
            "id": agent.id,
            "name": agent.name,
            "sdk_email": f"fakex_{agent.email}",
            "email": agent.email,
            "sdk_key": "FAKE_KEY",
            "type": agent.type,
            "is_available": agent.is_available,
            "avatar_url": None,
            "is_verified": True,
            "force_offline": agent.force_offline,
            "count": agent.customer_count,
        }
        return {"data": {"agent": agent_body}}

    def assignment(self, assigned: Assigned, *, with_service: bool, with_details: bool) -> Body:
        """The answer of `assign_agent`."""
        added = {
            **self._of_account(assigned.agent),
            **_COLOURS,
            "type_as_string": type_name(assigned.agent.type),
            "assigned_rules": ["qiscus_messaging"],
        }
        if with_details:
            added |= {
                "direct_login_token": None,
                "last_login": self.stamps.plain(assigned.agent.created_at),
                "force_offline": assigned.agent.force_offline,
                "deleted_at": None,
            }
        data: Body = {"added_agent": added}
        if with_service:
            data["service"] = {
                "room_id": assigned.room_id,
                "user_id": assigned.agent.id,
                "is_resolved": assigned.is_resolved,
                "retrieved_at": self.stamps.plain(assigned.at),
                "created_at": self.stamps.plain(assigned.opened_at),
                "updated_at": self.stamps.plain(assigned.at),
            }
        return {"data": data}

    def serving(self, agent: FakeAgentView) -> Body:
        """Who served, in the answer of `mark_as_resolved`."""
        return {
            **self._of_account(agent),
            **_LOGIN_TRACES,
            "force_offline": agent.force_offline,
            "type_as_string": type_name(agent.type),
            "assigned_rules": [],
        }

    def candidate(self, agent: FakeAgentView) -> Body:
        """Whom the allocation webhook suggests."""
        created_at = self.stamps.zoned(agent.created_at)
        return {
            "avatar_url": None,
            "created_at": created_at,
            "email": agent.email,
            "force_offline": agent.force_offline,
            "id": agent.id,
            "is_available": agent.is_available,
            "is_verified": True,
            "last_login": created_at,
            "name": agent.name,
            "sdk_email": f"fakex_{agent.email}",
            "sdk_key": "FAKE_KEY",
            "type": agent.type,
            "type_as_string": type_name(agent.type),
            "updated_at": created_at,
        }

    def old_candidate(self, agent: FakeAgentView) -> Body:
        """The same in 2019: with the agent's token in it."""
        return {
            **self._of_account(agent),
            **_COLOURS,
            "direct_login_token": None,
            "type_as_string": type_name(agent.type),
            "assigned_rules": [f"{each.source}_messaging" for each in agent.channels],
        }

    def _of_account(self, agent: FakeAgentView) -> Body:
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


def type_name(kind: int) -> str:
    """`admin`, `agent` or, for every other number, `supervisor`."""
    return TYPE_NAMES.get(kind, "supervisor")


_COLOURS: Body = {
    "notifications_room_id": "1692312",
    "bubble_color": "#666666",
    "qismo_key": None,
}
_LOGIN_TRACES: Body = {
    "notifications_room_id": None,
    "bubble_color": None,
    "qismo_key": "FAKE_KEY",
    "direct_login_token": None,
    "last_login": None,
    "force_offline": False,
    "deleted_at": None,
}
