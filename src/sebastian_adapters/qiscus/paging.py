"""Following a list from page to page, whichever way the platform pages it (contract 11, row 11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import define, field, frozen

from sebastian_adapters.qiscus.decode import DecodedPage
from sebastian_adapters.qiscus.response import unreadable

#: A list that goes on beyond this is taken for one that never ends.
PAGES_LIMIT = 5_000

T = TypeVar("T")


@frozen
class Position:
    """Where a page begins: behind a cursor, else at the start of a numbered page."""

    number: int = 1
    cursor: str | None = None


AskPage = Callable[[Position], Awaitable[DecodedPage[T]]]

#: Whether a page shows what was looked for, so that no further one is needed.
IsEnough = Callable[[DecodedPage[T]], bool]


def never_enough(_: DecodedPage[T]) -> bool:
    """Read all pages."""
    return False


async def all_pages(
    ask: AskPage[T], page_size: int, *, numbered: bool, is_enough: IsEnough[T] = never_enough
) -> Listing[T]:
    """Everything that the list holds, each id once; raises as soon as one page cannot be had.

    Rows that cannot be read are left out and counted; a list of nothing else is no list: it raises.

    With `is_enough`, everything up to the first page that is.

    Follows a cursor where there is one, else asks for the next number where the list is `numbered`;
    ends where the platform says so, or with a page that holds nothing new.
    """
    listing: Listing[T] = Listing(page_size=page_size, numbered=numbered)
    position: Position | None = Position()
    for _ in range(PAGES_LIMIT):
        if position is None:
            return listing.checked()
        page = await ask(position)
        following = listing.take(page, position)
        position = None if is_enough(page) else following
    raise unreadable(f"the list does not end within {PAGES_LIMIT} pages")


@define
class Listing(Generic[T]):
    """What the pages up to now have shown."""

    page_size: int
    numbered: bool
    found: dict[str, T | None] = field(factory=dict)
    unreadable: set[str] = field(factory=set)

    @property
    def wanted(self) -> tuple[T, ...]:
        return tuple(item for item in self.found.values() if item is not None)

    def checked(self) -> Listing[T]:
        """This list; raises if no row could be read: then it is not the list that was asked for."""
        if self.unreadable and not self.found:
            raise unreadable("not one row of the list can be read")
        return self

    def take(self, page: DecodedPage[T], position: Position) -> Position | None:
        """Keep what the page shows and tell where the next one begins; None after the last."""
        known = self._rows
        self.found.update(page.items)
        self.unreadable.update(page.unreadable)
        if self._rows == known:
            return None
        if page.cursor:
            return Position(cursor=page.cursor)
        if position.cursor or not self.numbered or self._is_last(page):
            return None
        return Position(number=position.number + 1)

    @property
    def _rows(self) -> int:
        return len(self.found) + len(self.unreadable)

    def _is_last(self, page: DecodedPage[T]) -> bool:
        if page.total is not None:
            return self._rows >= page.total
        return page.size is not None and page.rows < min(page.size, self.page_size)
