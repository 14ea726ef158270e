"""What counts as a step, and which second crashes follow from the first ones."""

from __future__ import annotations

from tests.crash.campaign import second_crashes
from tests.crash.steps import Step, Steps
from tests.crash.trial import Crash, Trial
from tests.oracle import Verdict

STORY = "a chat is given"


def names(steps: Steps) -> list[str]:
    return list(steps.passed)


def a_trial(first: str, recovery: list[Step]) -> Trial:
    crash = Crash(story=STORY, first=first)
    return Trial(crash=crash, died=1, steps=[], recovery=recovery, verdict=Verdict(violations=()))


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


def test_all_steps_of_a_recovery_are_tried_once_for_each_state_and_its_changes_always() -> None:
    story = [Step("a", 0, changes=False), Step("b", 0, changes=False), Step("c", 1, changes=True)]
    recovery = [Step("x", 0, changes=False), Step("y", 1, changes=True)]

    found = second_crashes({STORY: story}, [a_trial(each.name, recovery) for each in story])

    assert [(crash.first, crash.second) for crash in found] == [
        ("a", "x"),
        ("a", "y"),
        ("b", "y"),
        ("c", "x"),
        ("c", "y"),
    ]
