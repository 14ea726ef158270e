from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from sebastian_adapters.postgres.group_commit import GroupCommit, PendingDecision
from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.room import Decided, Room


def nothing(room: Room, now: datetime) -> Decided[None]:
    return Decided(None)


class Groups:
    """Carries groups out as soon as it is let, and remembers them."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.gate = asyncio.Event()

    async def carry_out(self, calls: list[PendingDecision]) -> None:
        self.seen.append([call.room_id for call in calls])
        await self.gate.wait()
        for call in calls:
            call.settle(Decided(call.room_id))


def call_all(lane: GroupCommit, *room_ids: str) -> list[asyncio.Task[Decided[object]]]:
    return [asyncio.create_task(lane.call(RoomId(each), nothing)) for each in room_ids]


async def test_what_comes_while_a_group_runs_makes_the_next_one_in_its_order() -> None:
    groups = Groups()
    lane = GroupCommit(groups.carry_out)
    first = call_all(lane, "a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    later = call_all(lane, "d", "b", "c")
    await asyncio.sleep(0)
    groups.gate.set()
    answers = await asyncio.gather(*first, *later)

    assert groups.seen == [["a"], ["d", "b", "c"]]
    assert [each.answer for each in answers] == ["a", "d", "b", "c"]


async def test_a_room_comes_once_in_a_group() -> None:
    groups = Groups()
    groups.gate.set()

    await asyncio.gather(*call_all(GroupCommit(groups.carry_out), "a", "b", "a", "a", "c"))

    assert groups.seen == [["a", "b", "c"], ["a"], ["a"]]


async def test_a_group_has_its_limit() -> None:
    groups = Groups()
    groups.gate.set()

    await asyncio.gather(*call_all(GroupCommit(groups.carry_out, limit=2), "a", "b", "c", "d", "e"))

    assert groups.seen == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_second_group_begins_while_the_first_one_runs_and_no_third_one() -> None:
    groups = Groups()
    lane = GroupCommit(groups.carry_out, groups=2, enough=1)
    calls = []
    for room_ids in (["a"], ["b", "c"], ["d"], ["e"]):
        calls += call_all(lane, *room_ids)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert groups.seen == [["a"], ["b", "c"]]
    groups.gate.set()
    answers = await asyncio.gather(*calls)

    assert groups.seen == [["a"], ["b", "c"], ["d", "e"]]
    assert [each.answer for each in answers] == ["a", "b", "c", "d", "e"]


async def test_a_second_group_begins_only_when_enough_calls_wait() -> None:
    groups = Groups()
    lane = GroupCommit(groups.carry_out, groups=2, enough=3)
    calls = []
    for room_id in ("a", "b", "c", "d", "e"):
        calls += call_all(lane, room_id)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert groups.seen == [["a"], ["b", "c", "d"]]
    groups.gate.set()
    await asyncio.gather(*calls)

    assert groups.seen == [["a"], ["b", "c", "d"], ["e"]]


async def test_a_room_is_in_one_group_at_a_time() -> None:
    groups = Groups()
    lane = GroupCommit(groups.carry_out, groups=2, enough=1)
    first = call_all(lane, "a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    later = call_all(lane, "a", "b", "a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert groups.seen == [["a"], ["b"]]
    groups.gate.set()
    await asyncio.gather(*first, *later)

    assert groups.seen == [["a"], ["b"], ["a"], ["a"]]


async def test_a_call_that_comes_when_the_last_group_has_just_ended_is_carried_out() -> None:
    groups = Groups()
    groups.gate.set()
    lane = GroupCommit(groups.carry_out, groups=2, enough=1)

    for _ in range(20):
        await asyncio.gather(*call_all(lane, "a", "b"))

    assert len(groups.seen) == 20


async def test_a_call_whose_caller_has_gone_is_left_out() -> None:
    groups = Groups()
    lane = GroupCommit(groups.carry_out)
    first = call_all(lane, "a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    later = call_all(lane, "b", "c")
    await asyncio.sleep(0)

    later[0].cancel()
    await asyncio.sleep(0)
    groups.gate.set()
    await asyncio.gather(*first, later[1])

    assert groups.seen == [["a"], ["c"]]


async def test_what_breaks_a_group_is_raised_where_its_calls_were_made() -> None:
    async def carry_out(calls: list[PendingDecision]) -> None:
        raise ZeroDivisionError

    lane = GroupCommit(carry_out)

    for call in call_all(lane, "a", "b"):
        with pytest.raises(ZeroDivisionError):
            await call


async def test_a_call_ends_with_its_patience_and_the_next_group_leaves_it_out() -> None:
    groups = Groups()
    lane = GroupCommit(groups.carry_out, patience=timedelta(milliseconds=20))
    first = call_all(lane, "a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    overdue = call_all(lane, "b", "c")
    for call in (*first, *overdue):
        with pytest.raises(StoreUnavailable, match=r"within 0\.02 s"):
            await call
    later = call_all(lane, "d")
    groups.gate.set()
    await asyncio.gather(*later)

    assert groups.seen == [["a"], ["d"]]


async def test_each_call_has_a_patience_of_its_own() -> None:
    groups = Groups()
    lane = GroupCommit(groups.carry_out, patience=timedelta(milliseconds=20))
    first = call_all(lane, "a")
    await asyncio.wait(first)
    later = call_all(lane, "b")

    with pytest.raises(StoreUnavailable):
        await later[0]

    assert isinstance(first[0].exception(), StoreUnavailable)


async def test_a_lane_goes_on_after_a_group_that_broke() -> None:
    groups = Groups()
    groups.gate.set()
    broken = iter([True])

    async def carry_out(calls: list[PendingDecision]) -> None:
        if next(broken, False):
            raise ZeroDivisionError
        await groups.carry_out(calls)

    lane = GroupCommit(carry_out)
    await asyncio.gather(*call_all(lane, "a"), return_exceptions=True)

    await asyncio.gather(*call_all(lane, "b"))

    assert groups.seen == [["b"]]
