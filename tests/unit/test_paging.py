"""Following a list from page to page."""

from __future__ import annotations

import pytest

from sebastian_adapters.qiscus import paging
from sebastian_adapters.qiscus.decode import DecodedPage
from sebastian_adapters.qiscus.paging import AskPage, IsEnough, Position, never_enough
from sebastian_core.domain.errors import Fault, PlatformUnavailable


class Pages:
    """Answers one page after the other and remembers what it was asked."""

    def __init__(self, *pages: DecodedPage[str]) -> None:
        self._pages = list(pages)
        self.asked: list[Position] = []

    async def __call__(self, position: Position) -> DecodedPage[str]:
        self.asked.append(position)
        return self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]


async def test_cursors_are_followed_until_there_is_none() -> None:
    pages = Pages(page("a", "b", cursor="x"), page("c", cursor="y"), page("d"))

    seen = await seen_of(pages, 2, numbered=True)

    assert seen == ("a", "b", "c", "d")
    assert pages.asked == [Position(), Position(cursor="x"), Position(cursor="y")]


async def test_without_cursors_the_next_number_is_asked_until_the_total_is_there() -> None:
    pages = Pages(page("a", "b", total=3), page("c", total=3))

    assert await seen_of(pages, 2, numbered=True) == ("a", "b", "c")
    assert pages.asked == [Position(), Position(number=2)]


async def test_without_a_total_a_page_that_is_not_full_is_the_last() -> None:
    pages = Pages(page("a", "b", size=2), page("c", size=2))

    assert await seen_of(pages, 100, numbered=True) == ("a", "b", "c")
    assert len(pages.asked) == 2


async def test_without_total_and_size_the_last_page_is_the_one_with_nothing_new() -> None:
    pages = Pages(page("a", "b"), page("c"), page())

    assert await seen_of(pages, 100, numbered=True) == ("a", "b", "c")
    assert len(pages.asked) == 3


async def test_a_platform_that_knows_no_numbers_and_repeats_its_only_page_is_understood() -> None:
    pages = Pages(page("a", "b"))

    assert await seen_of(pages, 2, numbered=True) == ("a", "b")
    assert len(pages.asked) == 2


async def test_a_list_that_has_no_numbers_ends_without_a_cursor() -> None:
    pages = Pages(page("a", "b", size=2))

    assert await seen_of(pages, 2, numbered=False) == ("a", "b")
    assert len(pages.asked) == 1


async def test_a_cursor_that_leads_nowhere_new_ends_the_list() -> None:
    pages = Pages(page("a", cursor="x"))

    assert await seen_of(pages, 2, numbered=False) == ("a",)
    assert len(pages.asked) == 2


async def test_what_is_not_wanted_counts_for_the_pages_but_not_for_the_list() -> None:
    pages = Pages(page(unwanted=["admin"], cursor="x"), page("a"))

    assert await seen_of(pages, 1, numbered=False) == ("a",)


async def test_a_list_without_end_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGES_LIMIT", 10)
    number = iter(range(1000))

    async def another(_: Position) -> DecodedPage[str]:
        return page(str(next(number)), cursor="x")

    with pytest.raises(PlatformUnavailable) as unavailable:
        await seen_of(another, 1, numbered=False)

    assert unavailable.value.fault is Fault.UNREADABLE


async def test_a_row_that_cannot_be_read_hides_no_other_and_is_counted() -> None:
    pages = Pages(page("a", cursor="x"), page(unreadable=["?"], cursor="y"), page("b"))

    listing = await paging.all_pages(pages, 1, numbered=False)

    assert listing.wanted == ("a", "b")
    assert len(listing.unreadable) == 1


async def test_a_list_of_which_nothing_can_be_read_is_none() -> None:
    with pytest.raises(PlatformUnavailable) as unavailable:
        await seen_of(Pages(page(unreadable=["?", "!"])), 2, numbered=True)

    assert unavailable.value.fault is Fault.UNREADABLE


async def seen_of(
    ask: AskPage[str],
    page_size: int,
    *,
    numbered: bool,
    is_enough: IsEnough[str] = never_enough,
) -> tuple[str, ...]:
    listing = await paging.all_pages(ask, page_size, numbered=numbered, is_enough=is_enough)
    return listing.wanted


def page(
    *items: str,
    unwanted: list[str] | None = None,
    unreadable: list[str] | None = None,
    cursor: str | None = None,
    size: int | None = None,
    total: int | None = None,
) -> DecodedPage[str]:
    rows: dict[str, str | None] = {**dict.fromkeys(unwanted or [], None), **{i: i for i in items}}
    marks = frozenset(unreadable or ())
    count = len(rows) + len(marks)
    return DecodedPage(
        items=rows, rows=count, unreadable=marks, cursor=cursor, size=size, total=total
    )
