"""What counts as a step, and which second crashes follow from the first ones."""

from __future__ import annotations

from tests.crash.second import kinds, one_of_each
from tests.crash.steps import Step, Steps
from tests.crash.trial import Crash, Trial
from tests.oracle import Verdict

STORY = "a chat is given"


def names(steps: Steps) -> list[str]:
    return list(steps.passed)


def a_trial(first: str, recovery: list[Step], *, left: str) -> Trial:
    return Trial(
        crash=Crash(story=STORY, first=first),
        died=1,
        steps=[],
        recovery=recovery,
        verdict=Verdict(violations=()),
        remains=[left],
    )


def test_the_end_of_a_step_and_the_beginning_of_the_next_are_one_point() -> None:
    steps = Steps()
    steps.arm(None, distinct=False)

    for name in ("before a reading", "after a reading", "before a look", "after a look"):
        steps.take(name, changes=False)

    assert names(steps) == ["before a reading", "after a reading", "after a look"]


def test_the_moment_before_a_change_is_a_point_of_its_own() -> None:
    steps = Steps()
    steps.arm(None, distinct=False)

    steps.take("after a reading", changes=False)
    steps.take("before a commit", changes=True)

    assert names(steps) == ["after a reading", "before a commit"]


def test_a_step_of_a_story_counts_each_time() -> None:
    steps = Steps()
    steps.arm(None, distinct=False)

    steps.take("after a look", changes=False)
    steps.take("after a look", changes=False)

    assert names(steps) == ["after a look", "after a look #2"]


def test_a_step_of_a_recovery_counts_once_until_something_changes() -> None:
    steps = Steps()
    steps.arm(None, distinct=True)

    steps.take("after a look", changes=False)
    steps.take("after a look", changes=False)
    steps.take("after a commit", changes=True)
    steps.take("after a look", changes=False)

    assert names(steps) == ["after a look [0]", "after a commit [1]", "after a look [1]"]


def test_second_crashes_are_of_one_kind_where_all_that_lasts_and_the_way_to_them_are_one() -> None:
    look, commit, later = _steps("look", "commit!", "later")
    trials = [
        a_trial("a", [look, commit, later], left="as it was"),
        a_trial("b", [look, commit, later], left="as it was"),
        a_trial("c", [look], left="reserved"),
    ]

    found = kinds(trials)

    assert [[(each.first, each.second) for each in same] for same in found.values()] == [
        [("a", "look"), ("b", "look")],
        [("a", "commit!"), ("b", "commit!")],
        [("a", "later"), ("b", "later")],
        [("c", "look")],
    ]


def test_a_step_is_of_another_kind_after_another_change() -> None:
    trials = [
        a_trial("a", _steps("commit!", "later"), left="as it was"),
        a_trial("b", _steps("another commit!", "later"), left="as it was"),
    ]

    assert len(kinds(trials)) == 4


def test_of_each_kind_the_crash_that_was_tried_counts() -> None:
    trials = [a_trial(first, _steps("look"), left="as it was") for first in "ab"]
    tried = Crash(story=STORY, first="b", second="look")

    assert one_of_each(kinds(trials), lambda crash: crash == tried) == [tried]
    assert [each.first for each in one_of_each(kinds(trials), lambda crash: False)] == ["a"]


def _steps(*names: str) -> list[Step]:
    """Those with an exclamation mark change something."""
    return [Step(name, 0, changes=name.endswith("!")) for name in names]
