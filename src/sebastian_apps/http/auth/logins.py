"""The logins of the floor page: which of them are over, and to learn it the moment one is."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from attrs import frozen

from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.ports.ended_logins import EndedLogins

ASK_SECONDS = 1.0
"""How long an answer of the store is good: a logout holds in every process after so long."""


@frozen
class Login:
    """What a cookie proves: somebody logged in, and until when that is good (Unix time)."""

    id: str
    until: int

    @property
    def is_past(self) -> bool:
        """Whether it is over by itself."""
        return self.until <= time.time()


class Logins:
    """Knows which logins are over, asking the store at most once a second. For one event loop.

    While the store is away, a login counts as it last did. The page then shows the last floor that
    was read, under a banner that says why, and nothing can be done from it, because every act needs
    the same database. To throw everybody out would hide the outage from those who look for it.
    """

    def __init__(self, store: EndedLogins) -> None:
        self._store = store
        self._ended: set[str] = set()  # grows by a few each day, and is forgotten with the process
        self._asked_at: dict[str, float] = {}
        self._asking = asyncio.Lock()
        self._watched: Counter[str] = Counter()
        self._some_ended = asyncio.Event()

    async def end(self, login: Login) -> None:
        """End it, here at once; raises StoreUnavailable, and then it is not ended anywhere."""
        await self._store.end(login.id, datetime.fromtimestamp(login.until, UTC))
        self._learn({login.id})

    async def is_over(self, login: Login) -> bool:
        """Whether it was ended, or is past."""
        if login.is_past:
            return True
        async with self._asking:
            if self._is_due(login.id):
                await self._ask({login.id, *self._watched})
        return login.id in self._ended

    async def until_over(self, login: Login) -> None:
        """Come back when it is over, wherever it was ended."""
        self._watched[login.id] += 1
        try:
            while not await self.is_over(login):
                seconds = min(ASK_SECONDS, max(0.0, login.until - time.time()))
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._some_ended.wait()
        finally:
            self._watched -= Counter([login.id])

    def _is_due(self, login: str) -> bool:
        now = asyncio.get_running_loop().time()
        return login not in self._ended and now - self._asked_at.get(login, -1e9) >= ASK_SECONDS

    async def _ask(self, logins: set[str]) -> None:
        """Ask about all of them at once, so that fifty open pages are one question a second.

        A question that is given up, because who asked has left, answers nothing for anybody.
        """
        with suppress(StoreUnavailable):
            self._learn(await self._store.among(logins))
        now = asyncio.get_running_loop().time()
        recent = {each: at for each, at in self._asked_at.items() if now - at < ASK_SECONDS}
        self._asked_at = recent | dict.fromkeys(logins, now)

    def _learn(self, ended: Collection[str]) -> None:
        """Remember them, and wake up who watches one of them."""
        if ended:
            self._ended.update(ended)
            self._some_ended.set()
            self._some_ended = asyncio.Event()
