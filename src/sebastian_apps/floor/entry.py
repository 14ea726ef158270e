"""Who may see the floor: by a cookie that the login gives, or by the bearer token itself."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from attrs import field, frozen

from sebastian_apps.floor.cookies import cookie_named
from sebastian_apps.request_headers import Headers, is_same_origin, names_this_machine
from sebastian_apps.settings import Secret

COOKIE = "sebastian_floor"
LASTS_SECONDS = 7 * 24 * 3600


@frozen
class Entry:
    """Lets in who knows the admin token; without one, who asks from this machine, by its name.

    The cookie says until when it is good and proves that with the token, so nothing is kept here
    and a changed token ends every login. It never holds the token itself.
    """

    token: Secret | None
    _own_key: bytes = field(factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def needs_login(self) -> bool:
        """Whether there is anything to log in with."""
        return self.token is not None

    def admits(self, headers: Headers) -> bool:
        """Whether a request with these headers (names in lower case) may see the floor."""
        if self.token is None:
            return names_this_machine(headers.get("host", ""))
        return self._bearer_is_right(headers) or self._cookie_is_good(headers)

    def trusts_action(self, headers: Headers) -> bool:
        """Whether a request that changes something was meant: our page sent it, or a bearer did.

        A page of another origin can neither read the proof nor send the header that carries it.
        """
        if not self.admits(headers):
            return False
        if self.token is not None and self._bearer_is_right(headers):
            return True
        sent = headers.get("x-floor-proof", "").encode()
        return hmac.compare_digest(sent, self.proof(headers).encode()) and is_same_origin(headers)

    def proof(self, headers: Headers) -> str:
        """What our page must send along with an action; bound to the login."""
        return self._sign(f"proof:{_cookie(headers)}")

    def recognises(self, token: str) -> bool:
        """Whether this is the admin token."""
        wanted = self.token
        if wanted is None:
            return False
        given = token.strip().encode("utf-8", "surrogatepass")
        return hmac.compare_digest(given, wanted.reveal().encode())

    def new_cookie(self, *, is_https: bool) -> str:
        """The Set-Cookie header of somebody who logged in just now."""
        until = str(int(time.time()) + LASTS_SECONDS)
        value = f"{until}.{self._sign(f'until:{until}')}"
        return _set_cookie(value, LASTS_SECONDS, is_https=is_https)

    def _cookie_is_good(self, headers: Headers) -> bool:
        until, _, proof = _cookie(headers).partition(".")
        right = self._sign(f"until:{until}")
        if not hmac.compare_digest(proof.encode("utf-8", "surrogatepass"), right.encode()):
            return False
        return int(until) > time.time()

    def _bearer_is_right(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.recognises(token)

    def _sign(self, text: str) -> str:
        key = self.token.reveal().encode() if self.token else self._own_key
        return hmac.new(key, b"sebastian floor " + text.encode(), hashlib.sha256).hexdigest()


def no_cookie(*, is_https: bool) -> str:
    """The Set-Cookie header that logs out."""
    return _set_cookie("", 0, is_https=is_https)


def is_https(scheme: str, headers: Headers) -> bool:
    """Whether the browser speaks TLS, with us or with the proxy before us."""
    return scheme == "https" or headers.get("x-forwarded-proto", "").lower() == "https"


def _set_cookie(value: str, seconds: int, *, is_https: bool) -> str:
    secure = "; Secure" if is_https else ""
    return f"{COOKIE}={value}; Path=/floor; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _cookie(headers: Headers) -> str:
    return cookie_named(COOKIE, headers.get("cookie", ""))
