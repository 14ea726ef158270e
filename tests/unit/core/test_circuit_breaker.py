"""The gate: a chat never speaks for the account, and one question is enough for all who failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sebastian_core.domain.errors import PlatformUnavailable
from sebastian_core.domain.rate_limit import CircuitState, Limits
from tests.unit.core.building import NOW
from tests.unit.core.staging import (
    Failure,
    Stage,
    no_connection,
    no_descriptor,
    refusal,
    server_error,
    throttled,
    timeout,
)


class Before:
    """A gate before a platform, time standing still."""

    def __init__(self, **account: Callable[[], Failure]) -> None:
        self.stage = Stage()
        self.stage.faults.always = dict(account)
        self.breaker = self.stage.worker(limits=Limits()).breaker

    @property
    def questions(self) -> int:
        return self.stage.faults.calls.count("account")


class TestAFailure:
    @pytest.mark.parametrize("failure", [timeout, server_error])
    async def test_is_the_chats_own_while_the_account_answers(
        self, failure: Callable[[], Failure]
    ) -> None:
        before = Before()

        assert not await before.breaker.is_account_fault(failure())
        assert before.breaker.may_call()

    @pytest.mark.parametrize("failure", [timeout, server_error])
    async def test_is_the_accounts_where_that_does_not_answer_either(
        self, failure: Callable[[], Failure]
    ) -> None:
        before = Before(account=server_error)

        assert await before.breaker.is_account_fault(failure())
        assert before.breaker.standing is CircuitState.OPEN

    @pytest.mark.parametrize("status", [401, 403])
    async def test_of_credentials_is_the_accounts_where_that_is_refused_too(
        self, status: int
    ) -> None:
        before = Before(account=lambda: refusal(status))

        assert await before.breaker.is_account_fault(refusal(status))
        assert before.breaker.standing is CircuitState.CREDENTIALS_REFUSED

    @pytest.mark.parametrize("status", [400, 404, 422])
    async def test_of_a_room_asks_nobody(self, status: int) -> None:
        before = Before(account=server_error)

        assert not await before.breaker.is_account_fault(refusal(status))
        assert before.questions == 0

    async def test_to_connect_needs_no_second_look(self) -> None:
        before = Before()

        assert await before.breaker.is_account_fault(no_connection())
        assert (before.breaker.standing, before.questions) == (CircuitState.OPEN, 0)

    async def test_by_throttling_holds_everything_but_is_no_outage(self) -> None:
        before = Before()

        assert await before.breaker.is_account_fault(throttled(7))
        assert (before.breaker.standing, before.breaker.may_call()) == (CircuitState.CLOSED, False)

    async def test_for_want_of_a_connection_of_ours_holds_a_second_and_is_no_outage(self) -> None:
        before = Before()

        assert await before.breaker.is_account_fault(no_descriptor())
        assert (before.breaker.standing, before.breaker.may_call()) == (CircuitState.CLOSED, False)
        assert before.questions == 0

        before.stage.clock.advance(1)

        assert before.breaker.may_call()

    async def test_of_the_question_itself_for_want_of_a_connection_tells_nothing(self) -> None:
        before = Before(account=no_descriptor)

        assert not await before.breaker.is_account_fault(timeout())
        assert before.breaker.standing is CircuitState.CLOSED

    async def test_of_many_at_once_is_asked_about_once(self) -> None:
        before = Before(account=server_error)

        blamed = await asyncio.gather(
            *(before.breaker.is_account_fault(timeout()) for _ in range(20))
        )

        assert (all(blamed), before.questions) == (True, 1)

    async def test_after_the_question_began_is_asked_about_anew(self) -> None:
        before = Before()
        await before.breaker.probe()
        before.stage.clock.advance(1)

        await before.breaker.is_account_fault(timeout())

        assert before.questions == 2

    async def test_of_a_throttled_question_does_not_close_the_account(self) -> None:
        before = Before(account=lambda: throttled(3))

        assert not await before.breaker.is_account_fault(timeout())
        assert before.breaker.standing is CircuitState.CLOSED
        assert not before.breaker.may_call()


class TestAnAccountThatIsAway:
    async def test_is_asked_again_only_when_it_is_time(self) -> None:
        before = Before(account=server_error)
        await before.breaker.probe()

        await before.breaker.probe_if_due()
        assert before.questions == 1
        before.stage.clock.advance(1)
        await before.breaker.probe_if_due()
        assert before.questions == 2

    async def test_is_not_put_off_by_calls_that_fail_late(self) -> None:
        before = Before()
        for _ in range(64):
            before.breaker.note(no_connection())
        before.stage.clock.advance(1)

        assert await before.breaker.probe_if_due() is not None

    async def test_stays_one_of_refused_credentials_when_a_duty_goes_home(self) -> None:
        before = Before(account=lambda: refusal(401))
        await before.breaker.probe()

        with pytest.raises(PlatformUnavailable) as raised:
            await before.breaker.acquire()
        assert await before.breaker.is_account_fault(raised.value)

        assert before.breaker.standing is CircuitState.CREDENTIALS_REFUSED

    async def test_tells_once_from_when_it_may_have_shown_when_it_is_back(self) -> None:
        before = Before(account=server_error)
        await before.breaker.probe()
        before.stage.faults.always = {}
        before.stage.clock.advance(1)

        since = await before.breaker.probe_if_due()

        assert since is not None
        assert since < NOW
        assert before.breaker.may_call()
        assert await before.breaker.probe_if_due() is None

    async def test_that_recovers_in_a_judgement_is_told_at_the_next_probe(self) -> None:
        before = Before(account=server_error)
        await before.breaker.probe()
        before.stage.faults.always = {}
        before.stage.clock.advance(0.5)
        await before.breaker.probe()

        assert await before.breaker.probe_if_due() is not None


class TestPace:
    async def test_lets_a_duty_go_at_once_while_there_are_permits(self) -> None:
        before = Before()

        await before.breaker.acquire()

        assert before.breaker.permits.duties_waiting == 0

    async def test_sends_a_duty_home_while_the_account_is_away(self) -> None:
        before = Before()
        before.breaker.note(no_connection())

        with pytest.raises(PlatformUnavailable, match="did not answer last time"):
            await before.breaker.acquire()
        assert before.breaker.permits.duties_waiting == 0
