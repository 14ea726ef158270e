"""What the simulation found, each as its shortest sequence of events."""

from __future__ import annotations

import pytest

from sebastian_core.domain.chat import CloseReason, Doubt
from sebastian_core.domain.ids import RoomId, ServiceId
from sebastian_core.domain.reservation import FenceOutcome, refuse
from sebastian_core.domain.room import Decided
from sebastian_core.domain.webhooks import Resolution, Resolving, resolve
from tests.unit.core.building import (
    ANNE,
    BEN,
    ROOM,
    RULES,
    a_reservation,
    a_reserved_chat,
    a_room,
    an_assigned_chat,
    at,
    only_change,
)
from tests.unit.core.staging import Stage


class TestAResolveAsLateAsAWebhookCanBe:
    """Its process was stopped for a minute and a half, and the room's next chat is under way."""

    def test_of_a_service_before_an_unresolved_base_is_a_repeat(self) -> None:
        chat = an_assigned_chat(base_service_id=ServiceId(7), base_resolved=False)
        late = Resolution(room_id=ROOM, service_id=ServiceId(6))

        assert resolve(late, RULES, a_room(chat), at(90)) == Decided(Resolving.REPEATED)

    def test_is_doubted_where_nothing_named_the_service_of_the_chat_before(self) -> None:
        room = a_room(an_assigned_chat(), closed_at=at(-60), closed_by_id=False)

        decided = resolve(Resolution(room_id=ROOM, service_id=ServiceId(6)), RULES, room, at(30))

        assert decided.answer is Resolving.DOUBTED
        assert only_change(decided).doubt is Doubt.UNNAMED_RESOLVE

    async def test_does_not_end_a_chat_that_was_found_because_its_webhook_was_lost(self) -> None:
        """Nor the services before it, of which no webhook came either."""
        stage = Stage()
        stage.agent(ANNE)
        worker = stage.worker()
        await worker.refresh_agents()
        stage.message(ROOM)
        stage.platform.assign_by_hand(ROOM, BEN)
        unheard = stage.end(ROOM)
        stage.message(ROOM)
        await worker.reconcile()
        await stage.dispatch(worker)
        stage.clock.advance(60)

        await stage.resolve_chat(unheard)
        await worker.settle_chat.due()
        stage.clock.advance(5)
        await worker.settle_chat.due()

        chat = await stage.chat(ROOM)
        assert (chat.agent_id, chat.doubt) == (ANNE, None)


class TestARefusalAfterALateSuccess:
    def test_proves_nothing_and_keeps_the_slot(self) -> None:
        chat = a_reserved_chat(doubt=Doubt.LATE_SUCCESS, settle_at=at(5))

        decided = refuse(a_reservation(chat), "in the room already", RULES, a_room(chat), at(1))

        assert decided == Decided(FenceOutcome.DONE)


class TestALostResolve:
    @pytest.mark.parametrize("is_absent", [False, True])
    async def test_is_found_where_the_platform_ignores_whom_we_ask_for(
        self, is_absent: bool
    ) -> None:
        stage = Stage(user_ids_honoured=False, counts_absent=is_absent)
        stage.agent(ANNE)
        stage.agent(BEN)
        worker = stage.worker()
        await worker.refresh_agents()
        await stage.arrive(ROOM)
        await stage.dispatch(worker)
        stage.message(RoomId("room-2"))
        stage.platform.assign_by_hand("room-2", BEN)
        stage.clock.advance(60)
        stage.end(ROOM)

        await worker.refresh_agents()
        await worker.settle_chat.due()

        assert await stage.find_chat(ROOM) is None

    async def test_is_found_although_the_agents_login_is_gone(self) -> None:
        stage = Stage()
        stage.agent(ANNE)
        worker = stage.worker()
        await worker.refresh_agents()
        await stage.arrive(ROOM)
        await stage.dispatch(worker)
        stage.clock.advance(60)
        stage.end(ROOM)
        stage.platform.delete_agent(ANNE)

        await worker.refresh_agents()
        await worker.settle_chat.due()

        assert await stage.find_chat(ROOM) is None
        (last, *_) = await stage.journal.history(ROOM)
        assert last.reason == f"settled: {CloseReason.RESOLVED}"
