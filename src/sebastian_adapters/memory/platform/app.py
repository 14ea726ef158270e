"""The account as an app of the platform: its logins, its registered webhooks, its hours."""

import random

from sebastian_adapters.memory.platform.agent_bodies import AVATAR_URL, type_name
from sebastian_adapters.memory.platform.stamps import Stamps
from sebastian_adapters.memory.platform.values import ADMIN, Body, FakeAccount, FakeAgentView

ALLOCATION, RESOLVED = "allocation", "resolved"
_WORKING_DAYS = range(1, 6)


class App:
    """Hands out tokens, remembers where webhooks go, and tells how the account is set up."""

    def __init__(self, account: FakeAccount, stamps: Stamps, rng: random.Random) -> None:
        self._account = account
        self._stamps = stamps
        self._rng = rng
        self._tokens: dict[str, int] = {}
        self._urls: dict[str, str | None] = {ALLOCATION: None, RESOLVED: None}
        self._enabled = {ALLOCATION: False, RESOLVED: False}

    def login(self, user: FakeAgentView, *, details: bool) -> Body:
        """A new token for somebody whose password was right, and who they are."""
        token = f"{self._rng.getrandbits(128):032x}"
        self._tokens[token] = user.id
        body: Body = {
            "user": {**self._user(user), "authentication_token": token},
            "long_lived_token": token,
        }
        return {"data": self._with_details(body, user) if details else body}

    def user_id_of(self, token: str) -> int | None:
        """Whose login answered it, if nobody has voided it since."""
        return self._tokens.get(token)

    def log_out_everybody(self) -> None:
        """Every token is void from now on."""
        self._tokens.clear()

    def profile(self, admin: FakeAgentView, *, shows_app: bool) -> Body:
        """What `get_profile` tells.

        The gem qismo and the agents' app read the short body, which names no app; with
        `shows_app` it is the user of a login.
        """
        if shows_app:
            return {"data": self._user(admin)}
        return {
            "data": {
                "id": admin.id,
                "name": self._account.name,
                "avatar_url": AVATAR_URL,
                "company_name": self._account.name,
                "address": None,
                "phone_number": None,
                "industry": None,
                "email_address": admin.email,
                "type": admin.type,
            }
        }

    def set_webhook(self, kind: str, url: str, *, is_enabled: bool) -> Body:
        """Register the URL for `allocation` or `resolved`; answers the whole app."""
        self._urls[kind], self._enabled[kind] = url, is_enabled
        return {"data": self.app()}

    def webhook_url(self, kind: str) -> str | None:
        """Where that webhook goes; None while it is off."""
        return self._urls[kind] if self._enabled[kind] else None

    def webhook_configs(self) -> Body:
        """`v2/admin/webhook_config`."""
        created_at = self._stamps.zoned(0)
        configs = [
            {
                "created_at": created_at,
                "id": number,
                "is_active": self._enabled[kind],
                "type": f"{kind.upper()}_WEBHOOK",
                "updated_at": created_at,
                "url": url,
            }
            for number, (kind, url) in enumerate(self._urls.items(), 1)
        ]
        return {"data": {"webhook_configs": configs}, "status": 200}

    def office_hours(self) -> Body:
        """`v1/admin/office_hours`: eight to five from Monday (day 1) to Friday."""
        made_at = self._stamps.plain(0)
        return {
            "data": {
                "online_message": None,
                "offline_message": None,
                "timezone": "+07:00",
                "send_online_if_resolved": False,
                "send_offline_each_message": False,
                "office_hours": [
                    {
                        "id": day,
                        "app_id": self._account.app_number,
                        "day": day,
                        "starttime": "08:00",
                        "endtime": "17:00",
                        "created_at": made_at,
                        "updated_at": made_at,
                    }
                    for day in _WORKING_DAYS
                ],
            }
        }

    def app(self) -> Body:
        """The app as registering a webhook answers it; it echoes the secret key, as observed."""
        created_at = self._stamps.plain(0)
        own = {**self._own_app()}
        del own["is_bulk_assignment_enabled"]
        return {
            **own,
            "id": self._account.app_number,
            "name": self._account.name,
            "created_at": created_at,
            "updated_at": created_at,
            "bot_webhook_url": "",
            "is_bot_enabled": False,
            "is_mobile_pn_enabled": True,
            "is_token_expiring": True,
            "paid_channel_approved": None,
            "free_sessions": 0,
            "is_force_send_bot": False,
        }

    def _user(self, user: FakeAgentView) -> Body:
        """Somebody with a login, and the app; its secret key is the admin's alone."""
        app = self._own_app()
        is_admin = user.type == ADMIN
        if not is_admin:
            del app["secret_key"]
        return {
            "id": user.id,
            "name": user.name,
            "email": user.email,
            "authentication_token": "FAKE_ADMIN_TOKEN",
            "sdk_email": (
                f"{self._account.app_code}_admin@qismo.com" if is_admin else f"fakex_{user.email}"
            ),
            "is_available": user.is_available,
            "type": user.type,
            "app_id": self._account.app_number,
            "force_offline": user.force_offline,
            "type_as_string": type_name(user.type),
            "assigned_rules": None,
            "app": app,
        }

    def _with_details(self, body: Body, user: FakeAgentView) -> Body:
        """The same with what newer accounts answer beside it."""
        number, made_at = self._account.app_number, self._stamps.plain(0)
        config = {
            "id": 1,
            "app_id": number,
            "widget": "{}",
            "created_at": made_at,
            "updated_at": made_at,
            "offline_message": None,
            "online_message": "",
            "timezone": "+07:00",
            "enable_bulk_assign": False,
            "send_online_if_resolved": False,
            "send_offline_each_message": False,
        }
        own = body["user"]["app"]
        app = {**own, "id": number, "name": self._account.name, "app_config": config}
        sdk_user = {
            "id": 1,
            "token": "FAKE_TOKEN",
            "email": body["user"]["sdk_email"],
            "password": "FAKE_KEY",
            "display_name": user.name,
            "avatar_url": AVATAR_URL,
            "extras": {"type": type_name(user.type), "user_bubble_color": None},
        }
        return {
            **body,
            "user": {**body["user"], "sdk_key": "FAKE_KEY", "app": app},
            "details": {
                "is_integrated": True,
                "sdk_user": sdk_user,
                "app": {**own, "name": self._account.name},
            },
        }

    def _own_app(self) -> Body:
        return {
            "app_code": self._account.app_code,
            "secret_key": self._account.secret_key,
            "allocate_agent_webhook_url": self._urls[ALLOCATION],
            "is_allocate_agent_webhook_enabled": self._enabled[ALLOCATION],
            "mark_as_resolved_webhook_url": self._urls[RESOLVED],
            "is_mark_as_resolved_webhook_enabled": self._enabled[RESOLVED],
            "is_active": True,
            "is_sessional": True,
            "is_agent_allocation_enabled": False,
            "is_agent_takeover_enabled": True,
            "use_latest": False,
            "is_bulk_assignment_enabled": False,
        }
