"""What `sebastian_adapters.testing` offers to those who write policies and adapters."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sebastian_adapters.memory import in_memory
from sebastian_adapters.testing.failing import failing
from sebastian_adapters.testing.policies import assert_policy_keeps_the_rules
from sebastian_core import (
    Allocator,
    Arrival,
    Candidate,
    LeastLoaded,
    Placement,
    Policy,
    ReadyChat,
)
from sebastian_core.domain.errors import (
    Fault,
    PlanRefused,
    PlatformUnavailable,
    StoreUnavailable,
)


class Crowding(Policy):
    """Gives everything to the first agent."""

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        return [Placement(chat.id, each.agent_id) for chat in chats for each in candidates[:1]]


class Fickle(LeastLoaded):
    """Answers nothing every other time."""

    asked = 0

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        self.asked += 1
        return super().place(chats, candidates) if self.asked % 2 else []


def test_the_shipped_policy_keeps_the_rules() -> None:
    assert_policy_keeps_the_rules(LeastLoaded())


def test_a_policy_that_breaks_a_rule_is_found() -> None:
    with pytest.raises(PlanRefused):
        assert_policy_keeps_the_rules(Crowding())


def test_a_policy_that_is_no_pure_function_is_found() -> None:
    with pytest.raises(AssertionError, match="another answer"):
        assert_policy_keeps_the_rules(Fickle())


async def test_every_fake_can_be_told_to_fail_and_works_again_afterwards() -> None:
    fakes = in_memory(agents={"Anne": 1})
    allocator = Allocator(**fakes)

    with failing(fakes["room_repo"]), pytest.raises(StoreUnavailable):
        await allocator.admit(Arrival("101"))
    with failing(fakes["leadership"], "hold_duty"):
        await allocator.step()
        assert not allocator.leads
    with failing(fakes["job_queue"]):
        await allocator.admit(Arrival("101"))
        assert not await fakes["job_queue"].wait(0)
    with failing(fakes["agent_store"]):
        await allocator.roster.roster()
        assert not allocator.roster.store_is_up
    down = PlatformUnavailable(Fault.SERVER_ERROR, status=500)
    with failing(fakes["qiscus_client"], error=lambda: down):
        await allocator.step()
        assert allocator.results["refresh"].error == str(down)
    with failing(fakes["journal"], "prune"), failing(fakes["agent_settings"]):
        await allocator.step()
        assert "told to fail" in str(allocator.results["prune"].error)

    await allocator.admit(Arrival("102"))
    assert allocator.results["refresh"].failed_at is not None


def test_a_verb_that_a_fake_does_not_have_is_named() -> None:
    fakes = in_memory()

    with pytest.raises(ValueError, match="InMemoryRoomRepo has no decied"):
        failing(fakes["room_repo"], "decied").__enter__()
