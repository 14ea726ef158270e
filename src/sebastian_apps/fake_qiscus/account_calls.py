"""Calls about the account: logins, the profile, where webhooks go, channels, office hours."""

from sebastian_adapters.memory.platform import Platform, Refusal
from sebastian_apps.fake_qiscus.encoding import Encoder
from sebastian_apps.fake_qiscus.fields import body_fields, flag, text
from sebastian_apps.fake_qiscus.http_server import Response
from sebastian_apps.fake_qiscus.routes import Answers, Call

_WEBHOOKS = {"register_allocation": "allocation", "register_resolved": "resolved"}


class AccountCalls:
    """Answers them out of the platform."""

    def __init__(self, platform: Platform, encoder: Encoder) -> None:
        self._platform = platform
        self._encoder = encoder
        self.answers: Answers = {
            "auth": self._auth,
            "profile": lambda _: encoder.ok(platform.profile()),
            "office_hours": lambda _: encoder.ok(platform.app.office_hours()),
            "channels": lambda _: encoder.ok(platform.bodies.channels(platform.channels.values())),
            "register_allocation": self._register,
            "register_resolved": self._register,
            "webhook_config": lambda _: encoder.ok(platform.app.webhook_configs()),
        }

    def _auth(self, call: Call) -> Response:
        fields = body_fields(call.request)
        answer = self._platform.login(text(fields, "email"), text(fields, "password"))
        if isinstance(answer, Refusal):
            return self._encoder.refuse(answer)
        return self._encoder.ok(answer)

    def _register(self, call: Call) -> Response:
        fields = body_fields(call.request)
        answer = self._platform.app.set_webhook(
            _WEBHOOKS[call.operation],
            text(fields, "webhook_url"),
            is_enabled=bool(flag(fields, "is_webhook_enabled")),
        )
        return self._encoder.ok(answer)
