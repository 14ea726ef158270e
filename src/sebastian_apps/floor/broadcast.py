"""One reader for all who watch: looks while anybody does, and hands everybody the newest view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
import structlog
from attrs import define, evolve, field, frozen

from sebastian_apps.floor.view import FloorView, Numbers, Waits
from sebastian_apps.status.checks import database_away, takes_no_writes
from sebastian_core.domain.errors import StoreUnavailable

PAUSE_SECONDS = 1.0
REST_FACTOR = 9
"""A look that takes long is followed by a rest so many times as long."""

log = structlog.stdlib.get_logger("sebastian.floor")
View = Callable[[], Awaitable[FloorView]]


@frozen
class FloorEvent:
    """A whole view, encoded once for all; two with the same id show the same."""

    id: str
    document: bytes

    @classmethod
    def of(cls, view: FloorView) -> FloorEvent:
        """The event that carries this view."""
        document = msgspec.json.encode(view)
        what_is_shown = msgspec.json.encode(evolve(view, at=_NO_MOMENT))
        return cls(blake2b(what_is_shown, digest_size=9).hexdigest(), document)


@define(eq=False)
class Mailbox:
    """What one watcher was not given yet: the newest event, and never more than that."""

    _event: FloorEvent | None = field(default=None, init=False)
    _arrived: asyncio.Event = field(factory=asyncio.Event, init=False)

    def put(self, event: FloorEvent) -> None:
        """Replace whatever waits there."""
        self._event = event
        self._arrived.set()

    async def take(self) -> FloorEvent:
        """Wait for an event and take it out."""
        await self._arrived.wait()
        self._arrived.clear()
        if self._event is None:
            raise RuntimeError("the mailbox was opened twice")
        event, self._event = self._event, None
        return event


class Broadcaster:
    """Hands every watcher each new view. Belongs to one event loop.

    The first watcher starts the reader and the last one ends it, so that nobody looking costs
    nothing.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._watchers: set[Mailbox] = set()
        self._reading: asyncio.Task[None] | None = None
        self._last: FloorEvent | None = None
        self._seen: FloorView | None = None
        self._is_read = False

    async def now(self) -> FloorView | None:
        """The newest view: what is read for the watchers anyway, else one look of its own.

        None while nothing can be read.
        """
        if self._reading is None:
            await self._look()
        return self._seen if self._is_read else None

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    @contextmanager
    def watch(self) -> Iterator[Mailbox]:
        """A mailbox that gets the newest view at once, and every new one until the block ends."""
        mailbox = Mailbox()
        self._watchers.add(mailbox)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="floor")
        elif self._last is not None:
            mailbox.put(self._last)
        try:
            yield mailbox
        finally:
            self._watchers.discard(mailbox)
            if not self._watchers:
                self._rest()

    async def aclose(self) -> None:
        """End the reader, whoever still watches."""
        reading = self._reading
        self._rest()
        if reading is not None:
            with suppress(asyncio.CancelledError):
                await reading

    def _rest(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._reading = self._last = None

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._publish(FloorEvent.of(await self._look()))
            took = loop.time() - began
            await asyncio.sleep(max(PAUSE_SECONDS - took, took * REST_FACTOR))

    async def _look(self) -> FloorView:
        """The newest view; the last one under a banner while nothing can be read."""
        try:
            self._seen = await self._view()
        except StoreUnavailable as error:
            return self._without_database(str(error))
        except Exception:
            log.exception("the floor cannot be read")
            return self._without_database("see the log")
        self._is_read = True
        return self._seen

    def _without_database(self, why: str) -> FloorView:
        self._is_read = False
        seen = self._seen or FloorView(at=datetime.now(UTC), numbers=Numbers())
        banner = database_away(seen.at, why)
        hold = "the database takes no writes" if takes_no_writes(why) else "the database is away"
        line = [
            evolve(row, waits=Waits.HALT, why=f"on hold: {hold}", until=None) for row in seen.line
        ]
        return evolve(seen, banners=(banner, *seen.banners), line=tuple(line))

    def _publish(self, event: FloorEvent) -> None:
        if self._last is not None and event.id == self._last.id:
            self._last = event
            return
        self._last = event
        for watcher in self._watchers:
            watcher.put(event)


_NO_MOMENT = datetime.min.replace(tzinfo=UTC)
