"""How answers of the API are written, whatever they are about."""

import msgspec

from sebastian_adapters.memory.platform import Body, FakeAgentView, FakePage, Platform, Refusal
from sebastian_apps.fake_qiscus.http_server import Response

_JSON = msgspec.json.Encoder()


class Encoder:
    """Writes answers in the shapes that the account's switches want."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._encoded: dict[int, tuple[FakeAgentView, msgspec.Raw]] = {}

    def ok(self, body: Body) -> Response:
        """200 with that body."""
        return Response(200, _JSON.encode(body))

    def paged(self, data: Body, meta: Body) -> Response:
        """One page of a list, with its `meta` where the account has it."""
        if self._platform.switches.meta_place == "data":
            return self.ok({"data": {**data, "meta": meta}, "status": 200})
        return self.ok({"data": data, "meta": meta, "status": 200})

    def listed(self, page: FakePage[FakeAgentView]) -> list[msgspec.Raw]:
        """The agents of a page; one who did not change is not written anew."""
        return [self._agent(agent) for agent in page.items]

    def refuse(self, refusal: Refusal) -> Response:
        """A refusal in the shape that the account's errors have, marked as words of our own."""
        errors: object = f"FAKE: {refusal.message}"
        if self._platform.switches.errors_shape == "object":
            errors = {"message": errors}
        elif self._platform.switches.errors_shape == "list":
            errors = [errors]
        return Response(refusal.status, _JSON.encode({"errors": errors}))

    def _agent(self, agent: FakeAgentView) -> msgspec.Raw:
        known = self._encoded.get(agent.id)
        if known and known[0] is agent:
            return known[1]
        raw = msgspec.Raw(_JSON.encode(self._platform.bodies.agents.listed(agent)))
        self._encoded[agent.id] = (agent, raw)
        return raw
