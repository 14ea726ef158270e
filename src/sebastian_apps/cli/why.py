"""`sebastian why`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sebastian_apps.entry.options import ROOM, config_option, json_option
from sebastian_apps.entry.run import print_json, run
from sebastian_apps.printable import printable

if TYPE_CHECKING:
    from sebastian_core.allocator import Allocator
    from sebastian_core.domain.chat import Chat
    from sebastian_core.domain.explanation import Explanation, WaitWhy
    from sebastian_core.domain.ids import RoomId


@click.command()
@click.argument("room", type=ROOM)
@json_option
@config_option
def why(room: RoomId, as_json: bool, config: Path | None) -> None:
    """Tell why a room's chat was given to its agent, or why it still waits.

    Example: sebastian why 68303333
    """
    from sebastian_apps.wording import explained, local_time

    async def explain(allocator: Allocator) -> Explanation:
        return await allocator.explain(room)

    explanation = run(config, explain)
    if as_json:
        print_json(document(explanation))
    else:
        told = explained(explanation, local_time(explanation.at).tzinfo or UTC)
        click.echo("\n".join(map(printable, told)))
    if not explanation.is_known:
        raise SystemExit(1)


def document(explanation: Explanation) -> dict[str, Any]:
    """The explanation for programs, with the sentences that people are told."""
    from attrs import asdict

    from sebastian_apps.wording import Phrases, explained

    teller = Phrases(explanation.at, names=explanation.names)
    return {
        "room_id": explanation.room_id,
        "at": explanation.at.isoformat(),
        "text": explained(explanation),
        "chat": asdict(explanation.chat, value_serializer=_plain) if explanation.chat else None,
        "waiting": _waiting(explanation.chat, explanation.waiting),
        "given": asdict(explanation.given, value_serializer=_plain) if explanation.given else None,
        "history": [
            asdict(row, value_serializer=_plain) | {"text": teller.row(row)}
            for row in explanation.history
        ],
    }


def _waiting(chat: Chat | None, waiting: WaitWhy | None) -> dict[str, Any] | None:
    from attrs import asdict

    from sebastian_apps.wording import why_not_yet

    if chat is None or waiting is None:
        return None
    return asdict(waiting, value_serializer=_plain) | {"why": why_not_yet(chat, waiting)}


def _plain(_: object, __: object, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return sorted(value) if isinstance(value, frozenset) else value
