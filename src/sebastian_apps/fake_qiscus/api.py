"""The platform's REST API: who may call, which answer is whose, and what cannot be understood."""

from sebastian_adapters.memory.platform import Platform, Refusal
from sebastian_adapters.memory.platform.values import ADMIN
from sebastian_apps.fake_qiscus.account_calls import AccountCalls
from sebastian_apps.fake_qiscus.agent_calls import AgentCalls
from sebastian_apps.fake_qiscus.encoding import Encoder
from sebastian_apps.fake_qiscus.http_server import Response
from sebastian_apps.fake_qiscus.room_calls import RoomCalls
from sebastian_apps.fake_qiscus.routes import AGENTS_OWN, Call
from sebastian_apps.fake_qiscus.serving_calls import PostWebhook, ServingCalls

_REGISTRATIONS = {"register_allocation", "register_resolved"}


class PlatformApi:
    """Answers calls out of a `Platform`; a resolve posts its webhook."""

    def __init__(self, platform: Platform, post_webhook: PostWebhook) -> None:
        self._platform = platform
        self._encoder = Encoder(platform)
        self._answers = {
            **AgentCalls(platform, self._encoder).answers,
            **ServingCalls(platform, self._encoder, post_webhook).answers,
            **RoomCalls(platform, self._encoder).answers,
            **AccountCalls(platform, self._encoder).answers,
        }

    def apply(self, call: Call) -> Response:
        """Do what the call asks, and answer; whatever cannot be understood answers 400."""
        refusal = self._check_credential(call)
        if refusal:
            return self.refuse(refusal)
        try:
            return self._answers[call.operation](call)
        except ValueError as error:
            return self.refuse(Refusal(400, str(error)))

    def refuse(self, refusal: Refusal) -> Response:
        """A refusal in the shape that the account's errors have."""
        return self._encoder.refuse(refusal)

    def _check_credential(self, call: Call) -> Refusal | None:
        if call.operation == "auth":
            return None
        headers, account = call.request.headers, self._platform.account
        user = self._platform.user_of(headers.get("authorization", ""))
        app_id = headers.get("qiscus-app-id") or (account.app_code if user else None)
        secret = headers.get("qiscus-secret-key")
        if call.operation == "bot_message":
            app_id, secret = call.subject, secret or headers.get("qiscus_sdk_secret")
        if app_id != account.app_code:
            return Refusal(401, "unknown app id")
        has_secret = secret == account.secret_key
        if not (has_secret or user):
            return Refusal(401, "unauthorized")
        if call.operation in AGENTS_OWN:
            return None if user and user.type != ADMIN else Refusal(403, "for an agent's token")
        has_admin_token = user is not None and user.type == ADMIN
        if not (has_secret or has_admin_token):
            return Refusal(403, "for the account's secret key or an admin's token")
        return self._check_registration(call, has_secret, has_admin_token)

    def _check_registration(
        self, call: Call, has_secret: bool, has_admin_token: bool
    ) -> Refusal | None:
        wanted = self._platform.switches.webhook_registration
        if call.operation not in _REGISTRATIONS or wanted == "both":
            return None
        is_wanted = has_secret if wanted == "secret" else has_admin_token
        return None if is_wanted else Refusal(403, "forbidden")
