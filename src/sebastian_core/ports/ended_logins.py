"""The ended logins: who has logged out of the floor page, for every process that serves it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from datetime import datetime
from typing import Protocol


class EndedLogins(Protocol):
    """Remembers which logins were ended before their time.

    A login is an id, which its cookie carries and proves; whoever reads the cookie knows its time.
    What is ended stays ended for every process, and is forgotten some time after the login would
    have been over by itself. Both verbs raise StoreUnavailable when the store is down.
    """

    @abstractmethod
    async def end(self, login: str, until: datetime) -> None:
        """End a login that would have lasted until then; doing it twice changes nothing."""

    @abstractmethod
    async def among(self, logins: Collection[str]) -> frozenset[str]:
        """Those of these logins that were ended. One never heard of was not."""
