"""The door for our own people: whose an admin token is, and what becomes of those who guess."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from hmac import compare_digest

import structlog
from attrs import field, frozen

from sebastian_apps.http.headers import Headers, bearer, is_sent_by_another_site, names_this_machine
from sebastian_apps.http.problems import NOT_FOUND, TOO_MANY_GUESSES, UNAUTHORIZED, HttpProblem
from sebastian_apps.settings import Secret
from sebastian_apps.settings.model import AdminSettings

GUESSES_PER_SECOND = 5
TOLD_EVERY_SECONDS = 60.0
REFUSED, SLOWED = "refused", "slowed"
"""What became of a wrong token, as the metric has it: 401, or 429."""

log = structlog.stdlib.get_logger("sebastian.admin")


@frozen
class Holder:
    """Somebody who has an admin token; the one of `admin.token` has no name."""

    name: str
    token: Secret = field(repr=False)


class AdminAuth:
    """Knows people by their tokens. Belongs to one event loop.

    A right token opens at any time, so that nobody who guesses can lock our people out. What keeps
    guessers out is therefore the length of the tokens, which is checked wherever strangers can
    reach us; the door makes them cheap (after five wrong tokens within a second the answer is 429)
    and visible: each wrong token is counted, and told in at most one log line a minute.
    """

    def __init__(
        self,
        admin: AdminSettings,
        on_wrong: Callable[[str], None] = lambda outcome: None,
        *,
        told_every_seconds: float = TOLD_EVERY_SECONDS,
    ) -> None:
        unnamed = [] if admin.token is None else [Holder("", admin.token)]
        self._holders = (*unnamed, *(Holder(*each) for each in admin.tokens.items()))
        self._on_wrong = on_wrong
        self._told_every_seconds = told_every_seconds
        self._wrong_at: deque[float] = deque(maxlen=GUESSES_PER_SECOND)
        self._untold = 0
        self._next_line: asyncio.TimerHandle | None = None

    @property
    def opens(self) -> bool:
        """Whether there is any token at all."""
        return bool(self._holders)

    def named(self, name: str) -> Holder | None:
        """The holder of this name."""
        return next((each for each in self._holders if each.name == name), None)

    def holder_of(self, token: str) -> Holder:
        """Whose token it is; raises HttpProblem where it is nobody's.

        Takes as long whichever token it is, and whoever's.
        """
        given = token.encode("utf-8", "surrogatepass")
        found = [
            each for each in self._holders if compare_digest(given, each.token.reveal().encode())
        ]
        if not found:
            raise self._refusal()
        return found[0]

    def holder_in(self, headers: Headers) -> Holder:
        """Whose bearer token was sent; raises HttpProblem where none was, or nobody's."""
        token = bearer(headers)
        if token is None:
            raise _unauthorized()
        return self.holder_of(token)

    def check_metrics(self, headers: Headers, *, on_loopback: bool) -> None:
        """Let through who may read metrics: this machine where only it can ask, and people.

        Raises HttpProblem for others; what a browser sends for another site is not this machine's,
        nor what asks for a name that somebody may have pointed here.
        """
        is_own = names_this_machine(headers.get("host", ""))
        if on_loopback and is_own and not is_sent_by_another_site(headers):
            return
        if not self.opens:
            advice = "ask for http://127.0.0.1 yourself" if on_loopback else "it needs admin.token"
            raise HttpProblem(NOT_FOUND, f"There is nothing here for you; {advice}.")
        self.holder_in(headers)

    def _refusal(self) -> HttpProblem:
        now = asyncio.get_running_loop().time()
        is_slowed = len(self._wrong_at) == GUESSES_PER_SECOND and now - self._wrong_at[0] < 1
        self._on_wrong(SLOWED if is_slowed else REFUSED)
        self._untold += 1
        if self._next_line is None:
            self._tell()
        if is_slowed:
            detail = "Too many wrong tokens were sent just now; a right one opens at once."
            return HttpProblem(TOO_MANY_GUESSES, detail, headers={"retry-after": "1"})
        self._wrong_at.append(now)
        return _unauthorized()

    def _tell(self) -> None:
        """Tell what was not told yet, now and then once a minute while there is something."""
        self._next_line = None
        if self._untold:
            log.warning("somebody sends wrong admin tokens", number=self._untold)
            self._untold = 0
            loop = asyncio.get_running_loop()
            self._next_line = loop.call_later(self._told_every_seconds, self._tell)


def _unauthorized() -> HttpProblem:
    detail = "Send an admin token: Authorization: Bearer <admin.token>."
    return HttpProblem(UNAUTHORIZED, detail, headers={"www-authenticate": "Bearer"})
