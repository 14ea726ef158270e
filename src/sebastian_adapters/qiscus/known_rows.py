"""Pages of agents, read quickly: of a hundred rows few differ from those of the last reading."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from sebastian_adapters.qiscus.answers import Answer, Answered, parse_object, unreadable
from sebastian_adapters.qiscus.wire import Page, agents_page
from sebastian_core.domain.agent import Presence

ROWS_KEPT = 4096

_UNDATED = datetime.min.replace(tzinfo=UTC)
_named_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_listed_parts = msgspec.json.Decoder(list[msgspec.Raw])
Row = tuple[str, Presence | None]
"""A row's id, and the agent in it; None for an admin or a supervisor."""


class KnownRows:
    """Reads a page as `wire.agents_page` does, and each row that it knows only once.

    Measured on a page of 100 agents: 1.3 ms of processor time without it, a third with it. Rows are
    known by a digest, so that no agent's token stays in memory.
    """

    def __init__(self, kept: int = ROWS_KEPT) -> None:
        self._kept = kept
        self._rows: OrderedDict[bytes, Row] = OrderedDict()

    def page(self, answered: Answered, read_at: datetime) -> Page[Presence]:
        """What `agents_page` makes of the answer; raises what that raises."""
        try:
            rows, frame = _split(answered.body)
        except (msgspec.DecodeError, KeyError, ValueError, RecursionError):
            return agents_page(parse_object(answered), read_at)
        around = agents_page(frame, read_at)
        read = [self._read(row) for row in rows]
        return Page(
            items={key: presence and _dated(presence, read_at) for key, presence in read},
            rows=len(read),
            cursor=around.cursor,
            size=around.size,
            total=around.total,
        )

    def _read(self, row: msgspec.Raw) -> Row:
        digest = blake2b(row, digest_size=16).digest()
        known = self._rows.get(digest)
        if known is None:
            known = self._rows[digest] = _read_alone(row)
            if len(self._rows) > self._kept:
                self._rows.popitem(last=False)
        return known


def _split(body: bytes) -> tuple[list[msgspec.Raw], Answer]:
    """The rows, unread, and what stands around them."""
    answer = _named_parts.decode(body)
    data = answer.pop("data")
    if bytes(memoryview(data)[:1]) == b"[":
        return _listed_parts.decode(data), {**_read_parts(answer), "data": []}
    parts = _named_parts.decode(data)
    rows = _listed_parts.decode(parts.pop("agents"))
    return rows, {**_read_parts(answer), "data": {**_read_parts(parts), "agents": []}}


def _read_parts(parts: dict[str, msgspec.Raw]) -> Answer:
    return {name: json.loads(bytes(part)) for name, part in parts.items()}


def _read_alone(row: msgspec.Raw) -> Row:
    try:
        read = json.loads(bytes(row))
    except (ValueError, RecursionError) as error:
        raise unreadable("an entry of agents is not JSON") from error
    ((key, presence),) = agents_page({"data": [read]}, _UNDATED).items.items()
    return key, presence


def _dated(undated: Presence, read_at: datetime) -> Presence:
    return Presence(
        agent_id=undated.agent_id,
        online=undated.online,
        read_at=read_at,
        channels=undated.channels,
        count=undated.count,
        name=undated.name,
    )
