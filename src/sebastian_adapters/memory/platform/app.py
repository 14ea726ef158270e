"""The account as an app of the platform: its admin, its tokens, its registered webhooks."""

import random

from sebastian_adapters.memory.platform.bodies import AVATAR_URL, Stamps
from sebastian_adapters.memory.platform.values import ADMIN, Account, Body, Refusal

ALLOCATION, RESOLVED = "allocation", "resolved"


class App:
    """Logs the admin in, and remembers where webhooks go."""

    def __init__(self, account: Account, stamps: Stamps, rng: random.Random) -> None:
        self._account = account
        self._stamps = stamps
        self._rng = rng
        self._tokens: set[str] = set()
        self._urls: dict[str, str | None] = {ALLOCATION: None, RESOLVED: None}
        self._enabled = {ALLOCATION: False, RESOLVED: False}

    def login(self, email: str, password: str) -> Body | Refusal:
        """`auth`: a new admin token, or 401."""
        if (email, password) != (self._account.admin_email, self._account.admin_password):
            return Refusal(401, "wrong e-mail or password")
        token = f"{self._rng.getrandbits(128):032x}"
        self._tokens.add(token)
        user = {**self.admin(), "authentication_token": token}
        return {"data": {"user": user, "long_lived_token": token}}

    def knows_token(self, token: str) -> bool:
        """Whether a login answered it and nobody has voided it since."""
        return token in self._tokens

    def log_out_everybody(self) -> None:
        """Every admin token is void from now on."""
        self._tokens.clear()

    def profile(self, *, shows_app: bool) -> Body:
        """Who the credential belongs to: cheap, and about no chat.

        The gem qismo and the agents' app read the short body, which names no app; with
        `shows_app` it is the user of a login.
        """
        if shows_app:
            return {"data": self.admin()}
        return {
            "data": {
                "id": self._account.admin_id,
                "name": self._account.name,
                "avatar_url": AVATAR_URL,
                "company_name": self._account.name,
                "address": None,
                "phone_number": None,
                "industry": None,
                "email_address": self._account.admin_email,
                "type": ADMIN,
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

    def admin(self) -> Body:
        """The admin's user object."""
        return {
            "id": self._account.admin_id,
            "name": "Admin",
            "email": self._account.admin_email,
            "authentication_token": "FAKE_ADMIN_TOKEN",
            "sdk_email": f"{self._account.app_code}_admin@qismo.com",
            "is_available": True,
            "type": 1,
            "app_id": self._account.app_number,
            "force_offline": False,
            "type_as_string": "admin",
            "assigned_rules": None,
            "app": self._own_app(),
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
