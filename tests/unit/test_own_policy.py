"""A user's policy in a service: how it is found, and when it is put aside."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from sebastian_adapters.testing.builders import ANNE, NOON
from sebastian_apps.policy.load import GuardedPolicy, TookTooLong, own_policy
from sebastian_apps.settings import SettingsError, load_settings
from sebastian_core.domain.chat import Needs
from sebastian_core.domain.errors import PlanRefused
from sebastian_core.domain.ids import ChatId, RoomId
from sebastian_core.domain.policy import Candidate, LeastLoaded, Placement, ReadyChat

CHATS = [ReadyChat(ChatId(1), RoomId("1"), Needs(), NOON)]
AGENTS = [Candidate(ANNE, load=0, capacity=3)]
PLACED = (Placement(ChatId(1), ANNE),)


class PanicException(BaseException):
    """What native code in Rust raises through its bindings."""


class TheirPolicy:
    """Does what it is told."""

    def __init__(self, choose: Callable[[], Any] = lambda: PLACED) -> None:
        self._choose = choose

    def place(self, chats: Sequence[ReadyChat], agents: Sequence[Candidate]) -> Any:
        return self._choose()


class NeedsRules:
    def __init__(self) -> None:
        raise OSError("rules.json is missing")


class LeavesWhenMade:
    def __init__(self) -> None:
        raise SystemExit("rules.json is missing")


class PanicsWhenMade:
    def __init__(self) -> None:
        raise PanicException("index out of bounds")


class NoPolicy:
    pass


def guarded(choose: Callable[[], Any] = lambda: PLACED, **changes: Any) -> GuardedPolicy:
    return GuardedPolicy(TheirPolicy(choose), "theirs:TheirPolicy", **changes)


def found(name: str) -> Any:
    return own_policy(load_settings(None, {"QT_ASSIGN_POLICY": name}))


def a_clock(*seconds: float) -> Callable[[], float]:
    """Each choice takes so long, the last one again and again."""
    took = itertools.chain(seconds, itertools.repeat(seconds[-1]))
    moments = itertools.chain.from_iterable((0.0, each) for each in took)
    return lambda: next(moments)


def an_endless_plan() -> Iterator[Placement]:
    return itertools.repeat(PLACED[0])


def wants_to_leave() -> None:
    raise SystemExit(0)


class TestAPolicyThatIsNamed:
    def test_is_made(self) -> None:
        assert isinstance(found(f"{__name__}:TheirPolicy"), TheirPolicy)

    def test_is_none_where_none_is_named(self) -> None:
        assert own_policy(load_settings(None, {})) is None

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("theirs", "expected the name of a policy, package.module:ClassName"),
            ("nowhere.at_all:Mine", "there is no module nowhere"),
            (f"{__name__}:Nobody", "has no attribute 'Nobody'"),
            (f"{__name__}:NeedsRules", "cannot be made: OSError: rules.json is missing"),
            (f"{__name__}:LeavesWhenMade", "cannot be made: SystemExit: rules.json is missing"),
            (f"{__name__}:PanicsWhenMade", "cannot be made: PanicException: index out of bounds"),
            (f"{__name__}:NoPolicy", "NoPolicy has no method place(chats, agents)"),
        ],
    )
    def test_but_cannot_be_made_is_a_problem_with_its_place(self, name: str, why: str) -> None:
        with pytest.raises(SettingsError) as raised:
            found(name)

        (problem,) = raised.value.problems
        assert (problem.place.source, problem.key) == ("QT_ASSIGN_POLICY", "assign.policy")
        assert why in problem.message


class TestAPolicyThatServes:
    def test_chooses_and_gives_its_name_to_the_history(self) -> None:
        policy = guarded()

        assert policy.place(CHATS, AGENTS) == PLACED
        assert policy.name == "TheirPolicy"
        assert policy.state() == {
            "name": "theirs:TheirPolicy",
            "suspended": None,
            "refusals": 0,
            "last_refusal": None,
            "state_dir": None,
        }

    @pytest.mark.parametrize("choose", [lambda: PLACED, lambda: 1 / 0, wants_to_leave])
    def test_can_be_seen_from_outside_exactly_while_it_chooses(
        self, choose: Callable[[], Any]
    ) -> None:
        seen: list[str] = []

        def choosing() -> Any:
            seen.append("chooses")
            return choose()

        policy = guarded(
            choosing,
            begun=lambda: seen.append("begun"),
            ended=lambda: seen.append("ended"),
        )

        with suppress(ZeroDivisionError, PlanRefused):
            policy.place(CHATS, AGENTS)

        assert seen == ["begun", "chooses", "ended"]

    @pytest.mark.parametrize(
        "end", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, PanicException]
    )
    def test_cannot_end_the_worker(self, end: type[BaseException]) -> None:
        def choose() -> None:
            raise end("my number is 4711")

        with pytest.raises(PlanRefused, match=f"^the policy raised {end.__name__}$"):
            guarded(choose).place(CHATS, AGENTS)

    def test_cannot_go_on_for_ever_with_its_plan(self) -> None:
        assert len(guarded(an_endless_plan).place(CHATS, AGENTS)) == len(CHATS) + 1

    def test_is_not_quoted_where_its_errors_may_hold_what_customers_wrote(self) -> None:
        policy = guarded()

        policy.refused(KeyError("my number is 4711"))

        assert policy.state()["last_refusal"] == "KeyError"
        assert policy.state()["refusals"] == 1


class TestAPolicyThatTakesTooLong:
    def test_is_refused(self) -> None:
        with pytest.raises(TookTooLong, match=r"took 1\.5 s"):
            guarded(monotonic=a_clock(1.5)).place(CHATS, AGENTS)

    def test_twice_in_a_row_is_put_aside(self) -> None:
        policy = guarded(monotonic=a_clock(3.0))
        for _ in range(2):
            with pytest.raises(TookTooLong):
                policy.place(CHATS, AGENTS)

        assert policy.place(CHATS, AGENTS) == LeastLoaded().place(CHATS, AGENTS)
        assert policy.name == "LeastLoaded"
        assert policy.suspended == "it took longer than 1 s, 2 times in a row"

    def test_now_and_then_is_not_put_aside(self) -> None:
        policy = guarded(monotonic=a_clock(3.0, 0.1, 3.0, 0.1))
        for is_slow in (True, False, True, False):
            if is_slow:
                with pytest.raises(TookTooLong):
                    policy.place(CHATS, AGENTS)
            else:
                policy.place(CHATS, AGENTS)

        assert policy.suspended is None


def test_a_policy_that_two_workers_did_not_survive_is_not_asked_again() -> None:
    policy = guarded(lambda: 1 / 0, ends=2)

    assert list(policy.place(CHATS, AGENTS)) == list(PLACED)
    assert policy.suspended == "it hung or crashed its worker, 2 times"


def test_one_worker_that_it_took_along_is_not_held_against_it() -> None:
    assert guarded(ends=1).suspended is None


def test_a_policy_that_was_put_aside_serves_again_when_somebody_asks_for_that() -> None:
    made: list[TheirPolicy | None] = [None, TheirPolicy(lambda: ())]
    policy = guarded(ends=2, tried_again=lambda: made.pop(0))

    assert list(policy.place(CHATS, AGENTS)) == list(PLACED), "nobody has asked yet"
    assert policy.place(CHATS, AGENTS) == ()
    assert policy.suspended is None
    assert policy.name == "TheirPolicy"


def test_a_policy_that_was_too_slow_gets_its_chances_anew_when_it_is_tried_again() -> None:
    policy = guarded(monotonic=a_clock(3.0), tried_again=TheirPolicy)
    for _ in range(2):
        with pytest.raises(TookTooLong):
            policy.place(CHATS, AGENTS)
    assert policy.suspended is not None

    with pytest.raises(TookTooLong):
        policy.place(CHATS, AGENTS)

    assert policy.suspended is None
