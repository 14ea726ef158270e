"""The control API under `/_fake/`: make things happen, make them go wrong, read the truth.

Loopback only, JSON in and out, and not for pages that a browser shows here. What happens here is
what people, customers and chance do; nothing that is under test may call it.
"""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from attrs import AttrsInstance, asdict, fields_dict

from sebastian_adapters.memory.platform import FakeAgentView, Refusal, Switches
from sebastian_apps.fake_qiscus.config import FloorConfig
from sebastian_apps.fake_qiscus.faults import InjectedFault
from sebastian_apps.fake_qiscus.http_server import Request, Response
from sebastian_apps.fake_qiscus.wishes import (
    WishNotUnderstoodError,
    channel_of,
    channels_of,
    divisions_of,
    properties_of,
    type_of,
)
from sebastian_apps.http.headers import is_sent_by_another_site, names_this_machine

if TYPE_CHECKING:
    from sebastian_apps.fake_qiscus.server import FakeQiscus

PREFIX = "/_fake/"
_MOST_ROWS = 10_000
_OF_AGENTS = {
    *("count", "agent_id", "name", "email", "type", "channels", "divisions", "online"),
}

Value = TypeVar("Value", bound=AttrsInstance)
Wishes = dict[str, Any]


class Control:
    """Answers every control request at once; each is one line in `_actions`."""

    def __init__(self, fake: "FakeQiscus") -> None:
        self._fake = fake
        self._actions: dict[tuple[str, str], Callable[[Request], object]] = {
            ("GET", "ready"): self._ready,
            ("GET", "truth"): self._truth,
            ("GET", "log"): self._log,
            ("GET", "deliveries"): self._deliveries,
            ("GET", "calls"): lambda _: self._calls(),
            ("POST", "agents"): self._add_agents,
            ("POST", "agents/delete"): self._delete_agent,
            ("POST", "agents/presence"): self._set_presence,
            ("POST", "message"): self._message,
            ("POST", "rooms"): self._open_room,
            ("POST", "assign"): self._assign,
            ("POST", "move"): self._move,
            ("POST", "remove"): self._remove,
            ("POST", "resolve"): self._resolve,
            ("POST", "logout"): self._log_out,
            ("POST", "webhooks"): self._send_webhooks_to,
            ("GET", "switches"): lambda _: asdict(self._fake.platform.switches),
            ("POST", "switches"): self._set_switches,
            ("GET", "faults"): lambda _: self._faults(),
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "webhook-faults"): lambda _: self._webhook_faults(),
            ("POST", "webhook-faults"): self._set_webhook_faults,
            ("GET", "floor"): lambda _: self._floor(),
            ("POST", "floor"): self._start_floor,
            ("DELETE", "floor"): self._stop_floor,
        }

    def answer(self, request: Request) -> Response:
        """200 with what was asked; 400 with what was wrong; 404 for strangers."""
        action = self._actions.get((request.method, request.path.removeprefix(PREFIX)))
        if not self._is_trusted(request):
            return _json(404, {"error": "no such control"})
        if action is None:
            return _json(404, {"error": "no such control", "known": self.known})
        try:
            return _json(200, action(request))
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            return _json(400, {"error": str(error)})

    @property
    def known(self) -> list[str]:
        """Every control request, as `POST agents`."""
        return [f"{method} {path}" for method, path in self._actions]

    def _is_trusted(self, request: Request) -> bool:
        """Whether it comes from this machine, and not from a page of somebody else in a browser."""
        host = request.headers.get("host", "")
        is_meant = names_this_machine(host) or host.rpartition(":")[0] == self._fake.config.host
        return request.is_local and is_meant and not is_sent_by_another_site(request.headers)

    def _ready(self, _: Request) -> object:
        return {"is_ready": True, "url": self._fake.url}

    def _truth(self, _: Request) -> object:
        platform = self._fake.platform
        return {
            "now": platform.clock(),
            "loads": platform.loads(),
            "online": platform.online_agents(),
            "waiting": platform.waiting_rooms(),
            "unresolved": platform.unresolved_rooms(),
        }

    def _log(self, request: Request) -> object:
        start, limit = _span(request)
        events = self._fake.platform.log.since(start, limit)
        next_number = events[-1][0] + 1 if events else start
        return {
            "events": [{"number": number, **asdict(event)} for number, event in events],
            "next": next_number,
        }

    def _deliveries(self, request: Request) -> object:
        start, limit = _span(request)
        rows = (each for each in self._fake.webhooks.deliveries if each.number >= start)
        return {"deliveries": [asdict(each) for each in islice(rows, limit)]}

    def _calls(self) -> dict[str, Counter[str]]:
        return {"answered": self._fake.calls, "faults": self._fake.faults.hits}

    def _add_agents(self, request: Request) -> object:
        wishes = _wishes(request, _OF_AGENTS)
        platform = self._fake.platform
        type_ = type_of(wishes.get("type", "agent"))
        channels = channels_of(platform, wishes.get("channels"))
        divisions = divisions_of(platform, wishes.get("divisions"))
        ids = [
            platform.add_agent(
                wishes.get("name"),
                agent_id=wishes.get("agent_id"),
                email=wishes.get("email"),
                type_=type_,
                channels=channels,
                roles=divisions,
                online=bool(wishes.get("online", True)),
            )
            for _ in range(int(wishes.get("count", 1)))
        ]
        return {"agent_ids": ids}

    def _delete_agent(self, request: Request) -> object:
        self._fake.platform.delete_agent(int(_wishes(request, {"agent_id"})["agent_id"]))
        return {}

    def _set_presence(self, request: Request) -> object:
        wishes = _wishes(request, {"agent_id", "online", "force_offline"})
        agent_id = int(wishes.pop("agent_id"))
        self._fake.platform.set_online(agent_id, **wishes)
        return {"is_online": self._fake.platform.is_online(agent_id)}

    def _message(self, request: Request) -> object:
        wishes = _wishes(request, {"room_id", "count", "channel", "name", "user_properties"})
        room_id = wishes.get("room_id")
        channel = channel_of(self._fake.platform, wishes.get("channel"))
        properties = properties_of(wishes.get("user_properties"))
        rooms = [
            self._fake.customer_message(
                None if room_id is None else str(room_id),
                channel=channel,
                name=wishes.get("name"),
                properties=properties,
            )
            for _ in range(int(wishes.get("count", 1)))
        ]
        return {"room_ids": rooms}

    def _open_room(self, request: Request) -> object:
        wishes = _wishes(request, {"room_id", "channel", "name"})
        platform = self._fake.platform
        room_id = str(wishes.get("room_id") or platform.new_room_id())
        channel = channel_of(platform, wishes.get("channel"))
        platform.open_room(room_id, channel=channel, name=wishes.get("name"))
        return {"room_ids": [room_id]}

    def _assign(self, request: Request) -> object:
        wishes = _wishes(request, {"room_id", "agent_id"})
        answer = self._fake.platform.assign_by_hand(str(wishes["room_id"]), int(wishes["agent_id"]))
        return _done(answer)

    def _move(self, request: Request) -> object:
        wishes = _wishes(request, {"room_id", "from_agent", "to_agent"})
        answer = self._fake.platform.move(
            str(wishes["room_id"]), int(wishes["from_agent"]), int(wishes["to_agent"])
        )
        return _done(answer)

    def _remove(self, request: Request) -> object:
        wishes = _wishes(request, {"room_id", "agent_id"})
        answer: FakeAgentView | Refusal = self._fake.platform.remove_agent(
            str(wishes["room_id"]), int(wishes["agent_id"]), by="person"
        )
        return _done(answer)

    def _resolve(self, request: Request) -> object:
        wishes = _wishes(request, {"room_id", "by"})
        by = wishes.get("by")
        return _done(self._fake.resolve(str(wishes["room_id"]), by=None if by is None else int(by)))

    def _log_out(self, _: Request) -> object:
        self._fake.platform.app.log_out_everybody()
        return {}

    def _send_webhooks_to(self, request: Request) -> object:
        wishes = _wishes(request, {"base_url", "token"})
        self._fake.send_webhooks_to(str(wishes["base_url"]), wishes.get("token"))
        return {}

    def _set_switches(self, request: Request) -> object:
        platform = self._fake.platform
        wishes = _wishes(request, set(fields_dict(Switches)))
        platform.switches = _with(platform.switches, wishes)
        return asdict(platform.switches)

    def _faults(self) -> object:
        return {number: asdict(fault) for number, fault in self._fake.faults.in_force().items()}

    def _add_fault(self, request: Request) -> object:
        wishes = _wishes(request, set(fields_dict(InjectedFault)))
        return {"number": self._fake.add_fault(_built(InjectedFault, wishes))}

    def _clear_faults(self, request: Request) -> object:
        number = request.first("number")
        if number is None:
            self._fake.faults.clear()
        else:
            self._fake.faults.remove(int(number))
        return self._faults()

    def _webhook_faults(self) -> object:
        return {kind: asdict(faults) for kind, faults in self._fake.webhooks.faults.items()}

    def _set_webhook_faults(self, request: Request) -> object:
        by_kind = _wishes(request, set(self._fake.webhooks.faults))
        for kind, wishes in by_kind.items():
            current = self._fake.webhooks.faults[kind]
            self._fake.webhooks.faults[kind] = _with(current, wishes)
        return self._webhook_faults()

    def _floor(self) -> object:
        return asdict(self._fake.floor.progress) if self._fake.floor else None

    def _start_floor(self, request: Request) -> object:
        wishes = _wishes(request, set(fields_dict(FloorConfig)))
        self._fake.start_floor(_built(FloorConfig, wishes))
        return self._floor()

    def _stop_floor(self, _: Request) -> object:
        self._fake.close_floor()
        return self._floor()


def _wishes(request: Request, known: set[str]) -> Wishes:
    """The body as an object that names only what is known."""
    wishes = msgspec.json.decode(request.body) if request.body else {}
    if not isinstance(wishes, dict):
        raise WishNotUnderstoodError("the body is not an object")
    unknown = sorted(set(wishes) - known)
    if unknown:
        raise WishNotUnderstoodError(f"unknown: {', '.join(unknown)}; known: {sorted(known)}")
    return wishes


def _built(kind: type[Value], wishes: Wishes) -> Value:
    """The value with those fields, types and ranges checked."""
    return msgspec.convert(wishes, kind)


def _with(current: Value, wishes: Wishes) -> Value:
    """The current value with some fields replaced, types and ranges checked."""
    return _built(type(current), {**asdict(current), **wishes})


def _span(request: Request) -> tuple[int, int]:
    return int(request.first("after") or 0), min(
        int(request.first("limit") or _MOST_ROWS), _MOST_ROWS
    )


def _done(answer: object) -> object:
    return {"is_done": not isinstance(answer, Refusal), "refusal": _words(answer)}


def _words(answer: object) -> str | None:
    return answer.message if isinstance(answer, Refusal) else None


def _json(status: int, body: object) -> Response:
    return Response(status, msgspec.json.encode(body))
