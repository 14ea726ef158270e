"""What strangers may hold of the service together: connections, and bodies that nobody reads."""

from __future__ import annotations

import resource
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import structlog
from attrs import define, field

CONNECTION_LIMIT = 1000
"""So many connections are open at most; with one more the one that has waited longest ends."""

SPARE_FILES = 24
"""So many file descriptors are kept free, for the database, for Redis and for who comes next."""

FILES_WANTED = 4096
"""The limit of open files that the process asks for when it starts, if its hard limit allows."""

PASSING_LIMIT = 4
"""From so many connections at once is the rest of a refused body passed over; others end."""

TELL_EVERY_SECONDS = 60.0

NOT_HTTP, HEAD_TOO_LARGE, UNREAD = "not-http", "head-too-large", "unread"
CROWDED, NO_FILES = "crowded", "no-file-descriptors"

log = structlog.stdlib.get_logger("sebastian.webhook")


class LimitedConnection(Protocol):
    """A connection, as far as it matters here."""

    @abstractmethod
    def send_away(self) -> None:
        """End at once, whatever is unread or unsent."""


def count_nowhere(_why: str) -> None:
    """Count nothing."""


def open_files_limit() -> int:
    """How many files this process may have open at once; a million stands for no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft


@define(eq=False)
class ConnectionLimit:
    """Knows which connections wait for their other side, and since when; for one event loop.

    A connection waits while its request is not complete, while its answer is not read, and between
    two requests. `count` is told why a connection was ended; the log hears it at most once a minute
    for each reason, because strangers decide how often it happens. Once it `is_closing`, each
    connection is answered one more request at most.
    """

    count: Callable[[str], None] = count_nowhere
    connection_limit: int = CONNECTION_LIMIT
    file_limit: int = field(factory=open_files_limit)
    is_closing: bool = field(default=False, init=False)
    _visitors: set[LimitedConnection] = field(factory=set, init=False)
    _waiting: dict[LimitedConnection, None] = field(factory=dict, init=False)
    _passing: set[LimitedConnection] = field(factory=set, init=False)
    _untold: Counter[str] = field(factory=Counter, init=False)
    _told_at: dict[str, float] = field(factory=dict, init=False)

    def enter(self, visitor: LimitedConnection, descriptor: int) -> None:
        """Let it in, and send away who waits longest if there are too many.

        The number of its file descriptor tells how many files are open: it is the lowest free one.
        """
        self._visitors.add(visitor)
        is_full = len(self._visitors) > self.connection_limit
        if is_full or descriptor >= self.file_limit - SPARE_FILES:
            self.end(next(iter(self._waiting), visitor), CROWDED)
        if visitor in self._visitors:
            self._waiting[visitor] = None

    def make_room(self, why: str) -> None:
        """Send away who waits longest, if anybody does; told in any case."""
        longest = next(iter(self._waiting), None)
        if longest is None:
            self.note(why)
        else:
            self.end(longest, why)

    def waits(self, visitor: LimitedConnection) -> None:
        """From now on it waits for its other side."""
        self._waiting.pop(visitor, None)
        self._waiting[visitor] = None

    def works(self, visitor: LimitedConnection) -> None:
        """From now on its other side waits for us."""
        self._waiting.pop(visitor, None)

    def passes_over(self, visitor: LimitedConnection) -> bool:
        """Whether it may read the rest of a body that nobody wants; until `leave` or `passed`."""
        if len(self._passing) < PASSING_LIMIT:
            self._passing.add(visitor)
        return visitor in self._passing

    def passed(self, visitor: LimitedConnection) -> None:
        """It does not do so any more."""
        self._passing.discard(visitor)

    def leave(self, visitor: LimitedConnection) -> None:
        """It has ended."""
        self._visitors.discard(visitor)
        self._waiting.pop(visitor, None)
        self._passing.discard(visitor)

    def end(self, visitor: LimitedConnection, why: str) -> None:
        """Send it away for this reason."""
        self.leave(visitor)
        visitor.send_away()
        self.note(why)

    def note(self, why: str) -> None:
        """A connection was ended for this reason: count it, and tell it now and then."""
        self.count(why)
        self._untold[why] += 1
        now = time.monotonic()
        if now - self._told_at.get(why, -TELL_EVERY_SECONDS) >= TELL_EVERY_SECONDS:
            self._told_at[why] = now
            log.warning("connections ended", why=why, number=self._untold.pop(why))


def want_files() -> None:
    """Raise the soft limit of open files to what we want, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
