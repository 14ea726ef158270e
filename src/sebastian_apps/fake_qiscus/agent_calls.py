"""Calls that read who the people are: agents in their many lists, and divisions."""

from sebastian_adapters.memory.platform import (
    AgentFilter,
    Body,
    FakeAgentView,
    FakePage,
    Platform,
    Refusal,
)
from sebastian_adapters.memory.platform.values import TYPE_NAMES
from sebastian_apps.fake_qiscus.encoding import Encoder
from sebastian_apps.fake_qiscus.fields import (
    flag,
    number,
    numbers,
    one_of,
    query_fields,
    refuse_cursor_before,
    words,
)
from sebastian_apps.fake_qiscus.http_server import Response
from sebastian_apps.fake_qiscus.routes import Answers, Call

_SCOPES = ("name", "email", "division")
_ORDERS = ("asc", "desc")
_DIVISIONS_PER_PAGE = 20


class AgentCalls:
    """Answers them out of the platform."""

    def __init__(self, platform: Platform, encoder: Encoder) -> None:
        self._platform = platform
        self._encoder = encoder
        self.answers: Answers = {
            "agents": self._agents,
            "agents_v1": self._agents_v1,
            "agents_by_ids": self._agents_by_ids,
            "agents_by_division": self._agents_by_division,
            "agent": self._agent,
            "available_agents": self._available_agents,
            "agent_available_agents": self._available_agents,
            "other_agents": self._other_agents,
            "divisions": self._divisions,
        }

    def _agents(self, call: Call) -> Response:
        query = query_fields(call.request)
        refuse_cursor_before(query)
        page = self._platform.agents(
            page=number(query, "page") or 1,
            cursor_after=words(query, "cursor_after"),
            limit=number(query, "limit"),
            wanted=AgentFilter(
                search=words(query, "search"),
                scope=one_of(query, "scope", _SCOPES),
                type_name=one_of(query, "user_type_scope", TYPE_NAMES.values()),
            ),
        )
        by_cursor = self._platform.switches.agents_paging == "cursor"
        return self._paged(page, by_cursor=by_cursor)

    def _agents_v1(self, call: Call) -> Response:
        query = query_fields(call.request)
        page_number = number(query, "page") or 1
        page = self._platform.numbered_agents(page=page_number, limit=number(query, "limit"))
        return self._encoder.ok(self._platform.bodies.agents.paginator(page, page_number))

    def _agents_by_ids(self, call: Call) -> Response:
        agents = self._platform.agents_by_ids(numbers(query_fields(call.request), "ids"))
        bodies = self._platform.bodies.agents
        return self._encoder.ok({"data": [bodies.full(agent) for agent in agents]})

    def _agents_by_division(self, call: Call) -> Response:
        query = query_fields(call.request)
        page_number = number(query, "page") or 1
        page = self._platform.numbered_agents(
            AgentFilter(
                division_ids=numbers(query, "division_ids"),
                is_available=flag(query, "is_available"),
            ),
            page=page_number,
            limit=number(query, "limit"),
            by_load="desc" if one_of(query, "sort", _ORDERS) == "desc" else "asc",
        )
        bodies = self._platform.bodies
        meta = bodies.numbered(page_number, page.per_page, page.total_count or 0)
        listed = [bodies.agents.of_division(agent) for agent in page.items]
        return self._encoder.ok({"data": listed, "meta": meta})

    def _agent(self, call: Call) -> Response:
        agent = self._platform.agent(int(call.subject))
        if agent is None:
            return self._encoder.refuse(Refusal(404, "no such agent"))
        return self._encoder.ok(self._platform.bodies.agents.detail(agent))

    def _available_agents(self, call: Call) -> Response:
        query = query_fields(call.request)
        refuse_cursor_before(query)
        page = self._platform.available_agents(
            words(query, "room_id") or "",
            cursor_after=words(query, "cursor_after"),
            limit=number(query, "limit"),
            in_room=bool(flag(query, "is_available_in_room")),
        )
        if isinstance(page, Refusal):
            return self._encoder.refuse(page)
        if self._platform.switches.available_agents_shape == "array":
            meta = self._platform.bodies.cursors(page)
            listed = self._encoder.listed(page)
            return self._encoder.ok({"data": listed, "meta": meta, "status": 200})
        return self._paged(page, by_cursor=True)

    def _other_agents(self, call: Call) -> Response:
        query = query_fields(call.request)
        refuse_cursor_before(query)
        page = self._platform.other_agents(
            words(query, "room_id") or "",
            page=number(query, "page") or 1,
            limit=number(query, "limit"),
            search=words(query, "search"),
        )
        if isinstance(page, Refusal):
            return self._encoder.refuse(page)
        return self._paged(page, by_cursor=False)

    def _divisions(self, call: Call) -> Response:
        query = query_fields(call.request)
        page_number, size = number(query, "page") or 1, number(query, "limit")
        size = size or _DIVISIONS_PER_PAGE
        divisions, bodies = self._platform.divisions(), self._platform.bodies
        shown = divisions[(page_number - 1) * size : page_number * size]
        body: Body = {
            "data": [bodies.agents.division(each) for each in shown],
            "meta": bodies.numbered(page_number, size, len(divisions)),
        }
        return self._encoder.ok(body)

    def _paged(self, page: FakePage[FakeAgentView], *, by_cursor: bool) -> Response:
        bodies = self._platform.bodies
        meta = bodies.cursors(page) if by_cursor else bodies.counted(page)
        return self._encoder.paged({"agents": self._encoder.listed(page)}, meta)
