"""Who may see the floor: by a cookie that the login gives, or by a bearer token itself."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time

from attrs import field, frozen

from sebastian_apps.http.auth.admin_token import AdminAuth, Holder
from sebastian_apps.http.auth.cookies import cookie_named
from sebastian_apps.http.auth.logins import Login, Logins
from sebastian_apps.http.headers import Headers, bearer, is_same_origin, names_this_machine

COOKIE = "sebastian_floor"
LASTS_SECONDS = 7 * 24 * 3600
PAGE = "page"

_COOKIE = re.compile(
    r"(?P<id>[0-9a-f]{24})\.(?P<until>[1-9][0-9]{0,11})\.[0-9a-f]{64}\.(?P<name>.*)"
)


@frozen
class Visitor:
    """Somebody who may see the floor.

    `name` is that of their token, if it has one. `proof` is what our page sends along with each
    change, bound to the login: nobody else can read it.
    """

    name: str = ""
    login: Login | None = None
    csrf_token: str | None = field(default=None, repr=False)

    @property
    def actor(self) -> str:
        """Who it is, as the history has it."""
        via = "api" if self.csrf_token is None else PAGE
        return f"{via}:{self.name}" if self.name else PAGE

    def proves(self, sent: str) -> bool:
        """Whether this is the proof; who sends a token with each request needs none."""
        if self.csrf_token is None:
            return True
        return hmac.compare_digest(sent.encode("utf-8", "surrogatepass"), self.csrf_token.encode())


@frozen
class FloorAuth:
    """Lets in who has an admin token; without a door, who asks from this machine, by its name.

    The cookie says which login it is, whose and until when it is good, and proves that with that
    person's token. So nothing is kept of a login until it is ended, another token ends the logins
    of the old one, and the cookie never holds the token itself.
    """

    door: AdminAuth | None
    logins: Logins
    _own_key: bytes = field(factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def needs_login(self) -> bool:
        """Whether there is anything to log in with."""
        return self.door is not None

    async def visitor(self, headers: Headers) -> Visitor | None:
        """Who asks with these headers; None may not see the floor.

        Raises HttpProblem for a bearer token that is nobody's, whatever else was sent.
        """
        if self.door is None:
            is_here = names_this_machine(headers.get("host", ""))
            return Visitor(csrf_token=_signed("proof", self._own_key)) if is_here else None
        if bearer(headers) is not None:
            return Visitor(self.door.holder_in(headers).name)
        found = _proven(cookie_named(COOKIE, headers.get("cookie", "")), self.door)
        if found is None or found.login is None or await self.logins.is_over(found.login):
            return None
        return found

    async def actor(self, headers: Headers) -> Visitor | None:
        """Who asks for a change, if it was meant: our page sent it, or a bearer token did.

        A page of another origin can neither read the proof nor send the header that carries it.
        """
        visitor = await self.visitor(headers)
        if visitor is None or not visitor.proves(headers.get("x-floor-proof", "")):
            return None
        return visitor if visitor.csrf_token is None or is_same_origin(headers) else None

    async def until_over(self, visitor: Visitor) -> None:
        """Come back when this visitor may look no longer: never, without a login."""
        if visitor.login is None:
            await asyncio.Event().wait()
        else:
            await self.logins.until_over(visitor.login)


def new_cookie(holder: Holder, *, is_https: bool) -> str:
    """The Set-Cookie header of somebody who logs in just now."""
    login = Login(secrets.token_hex(12), int(time.time()) + LASTS_SECONDS)
    return _set_cookie(_cookie_of(login, holder), LASTS_SECONDS, is_https=is_https)


def no_cookie(*, is_https: bool) -> str:
    """The Set-Cookie header that logs out."""
    return _set_cookie("", 0, is_https=is_https)


def is_https(scheme: str, headers: Headers) -> bool:
    """Whether the browser speaks TLS, with us or with the proxy before us."""
    return scheme == "https" or headers.get("x-forwarded-proto", "").lower() == "https"


def _set_cookie(value: str, seconds: int, *, is_https: bool) -> str:
    secure = "; Secure" if is_https else ""
    return f"{COOKIE}={value}; Path=/floor; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _proven(cookie: str, door: AdminAuth) -> Visitor | None:
    """Whoever the cookie proves, past or not."""
    found = _COOKIE.fullmatch(cookie)
    holder = door.named(found["name"]) if found else None
    if found is None or holder is None:
        return None
    login = Login(found["id"], int(found["until"]))
    if not hmac.compare_digest(cookie, _cookie_of(login, holder)):
        return None
    return Visitor(holder.name, login, _signed(f"proof:{cookie}", _key_of(holder)))


def _cookie_of(login: Login, holder: Holder) -> str:
    signature = _signed(f"login:{login.id}.{login.until}", _key_of(holder))
    return f"{login.id}.{login.until}.{signature}.{holder.name}"


def _key_of(holder: Holder) -> bytes:
    return holder.token.reveal().encode()


def _signed(text: str, key: bytes) -> str:
    return hmac.new(key, f"sebastian floor {text}".encode(), hashlib.sha256).hexdigest()
