"""What the command line works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen

from sebastian_apps.settings import Settings
from sebastian_core.domain.agent import CapacityRules
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.assign_by_hand import AssignByHand
from sebastian_core.usecases.drop_chat import DropChat
from sebastian_core.usecases.explain_room import ExplainRoom
from sebastian_core.usecases.known_roster import KnownRoster
from sebastian_core.usecases.pause_agent import PauseAgent
from sebastian_core.usecases.release_chat import ReleaseChat
from sebastian_core.usecases.set_capacity import SetCapacity


@frozen(kw_only=True)
class CliParts:
    """The use cases behind the commands; `assign` is None where no credentials are configured."""

    settings: Settings
    room_repo: RoomRepo
    roster: KnownRoster
    capacities: CapacityRules
    drop: DropChat
    release: ReleaseChat
    pause: PauseAgent
    capacity: SetCapacity
    explain: ExplainRoom
    assign: AssignByHand | None
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
