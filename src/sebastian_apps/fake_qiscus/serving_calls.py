"""Calls that change who serves a room: the account's own, and those of an agent."""

from collections.abc import Callable
from typing import TypeAlias

from sebastian_adapters.memory.platform import (
    Assigned,
    Body,
    FakeAgentView,
    Platform,
    Refusal,
    Resolved,
)
from sebastian_apps.fake_qiscus.encoding import Encoder
from sebastian_apps.fake_qiscus.fields import body_fields, flag, number, text, whole, words
from sebastian_apps.fake_qiscus.http_server import Response
from sebastian_apps.fake_qiscus.routes import Answers, Call

PostWebhook: TypeAlias = Callable[[str, Body, str, int | None], None]


class ServingCalls:
    """Answers them out of the platform; a resolve posts its webhook."""

    def __init__(self, platform: Platform, encoder: Encoder, post_webhook: PostWebhook) -> None:
        self._platform = platform
        self._encoder = encoder
        self._post_webhook = post_webhook
        self.answers: Answers = {
            "assign_agent": self._assign,
            "remove_agent": self._remove,
            "allocate_agent": self._allocate,
            "allocate_assign_agent": self._allocate_assign,
            "mark_as_resolved": self._resolve,
            "agent_assign_agent": self._assign_by_agent,
            "agent_mark_as_resolved": self._resolve_by_agent,
            "agent_total_unserved": self._total_unserved,
            "agent_takeover_unserved": self._take_over,
        }

    def _assign(self, call: Call) -> Response:
        fields = body_fields(call.request)
        answer = self._platform.assign(
            text(fields, "room_id"),
            whole(fields, "agent_id"),
            max_agent=number(fields, "max_agent"),
            replace_latest_agent=bool(flag(fields, "replace_latest_agent")),
        )
        return self._assigned(answer)

    def _remove(self, call: Call) -> Response:
        fields = body_fields(call.request)
        answer = self._platform.remove_agent(text(fields, "room_id"), whole(fields, "agent_id"))
        if isinstance(answer, Refusal):
            return self._encoder.refuse(answer)
        removed = self._platform.bodies.agents.listed(answer)
        return self._encoder.ok({"data": {"removed_agent": removed}})

    def _allocate(self, call: Call) -> Response:
        fields = body_fields(call.request)
        text(fields, "source")
        return self._allocated(
            self._platform.allocate(
                number(fields, "channel_id"), ignore_availability=_ignores_availability(call)
            )
        )

    def _allocate_assign(self, call: Call) -> Response:
        room_id = text(body_fields(call.request), "room_id")
        return self._allocated(
            self._platform.allocate_assign(room_id, ignore_availability=_ignores_availability(call))
        )

    def _resolve(self, call: Call) -> Response:
        fields = body_fields(call.request)
        notes = words(fields, "notes")
        return self._resolved(self._platform.mark_as_resolved(text(fields, "room_id"), notes=notes))

    def _assign_by_agent(self, call: Call) -> Response:
        """An agent takes a room, or gives it to a colleague."""
        fields, agent = body_fields(call.request), self._agent_of(call)
        colleague = number(fields, "agent_id") or agent.id
        return self._assigned(
            self._platform.assign(
                text(fields, "room_id"),
                colleague,
                max_agent=number(fields, "max_agent"),
                replace_latest_agent=bool(flag(fields, "replace_latest_agent")),
                by="agent",
            )
        )

    def _resolve_by_agent(self, call: Call) -> Response:
        fields, agent = body_fields(call.request), self._agent_of(call)
        return self._resolved(
            self._platform.mark_as_resolved(
                text(fields, "room_id"), by=agent.id, actor="agent", notes=words(fields, "notes")
            )
        )

    def _total_unserved(self, _: Call) -> Response:
        """The agents' app reads the one word, its supervisors' page the other."""
        total = len(self._platform.waiting_rooms())
        return self._encoder.ok({"data": {"total_unresolved": total, "total_unserved": total}})

    def _take_over(self, call: Call) -> Response:
        """No public client reads the answer; it is the room here."""
        room = self._platform.take_over(self._agent_of(call).id)
        if isinstance(room, Refusal):
            return self._encoder.refuse(room)
        return self._encoder.ok(self._platform.bodies.room_detail(room))

    def _agent_of(self, call: Call) -> FakeAgentView:
        agent = self._platform.user_of(call.request.headers.get("authorization", ""))
        if agent is None:
            raise LookupError("an agent's call came past the check of its token")
        return agent

    def _assigned(self, answer: Assigned | Refusal) -> Response:
        if isinstance(answer, Refusal):
            return self._encoder.refuse(answer)
        switches = self._platform.switches
        body = self._platform.bodies.agents.assignment(
            answer,
            with_service=switches.assign_answers_service,
            with_details=switches.added_agent_details,
        )
        return self._encoder.ok(body)

    def _allocated(self, answer: FakeAgentView | Refusal) -> Response:
        if isinstance(answer, Refusal):
            return self._encoder.refuse(answer)
        return self._encoder.ok(self._platform.bodies.agents.allocated(answer))

    def _resolved(self, answer: Resolved | Refusal) -> Response:
        if isinstance(answer, Refusal):
            return self._encoder.refuse(answer)
        self._post_webhook("resolved", answer.webhook, answer.room_id, answer.service_id)
        return self._encoder.ok(answer.answer)


def _ignores_availability(call: Call) -> bool:
    """Sources disagree about the name."""
    fields = body_fields(call.request)
    return bool(flag(fields, "ignore_availability") or flag(fields, "ignore_agent_availability"))
