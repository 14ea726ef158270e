from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sebastian_adapters.redis.encoding import (
    decode_listing,
    decode_sightings,
    encode_listing,
    encode_sightings,
)
from sebastian_core.domain.ids import AgentId, ChannelId
from sebastian_core.domain.roster import Presence, Roster

ids = st.integers(min_value=0, max_value=2**63 - 1)
moments = st.datetimes(timezones=st.just(UTC))
presences = st.builds(
    Presence,
    agent_id=ids.map(AgentId),
    online=st.booleans(),
    read_at=moments,
    channels=st.frozensets(ids.map(ChannelId), max_size=4),
    count=st.none() | st.integers(min_value=0, max_value=10_000),
    name=st.text(max_size=40),
)
crowds = st.lists(presences, max_size=20, unique_by=lambda presence: presence.agent_id)


@given(read_at=moments, crowd=crowds, missing=st.dictionaries(ids.map(AgentId), st.just(1)))
def test_a_listing_is_read_as_it_was_written(
    read_at: datetime, crowd: list[Presence], missing: dict[AgentId, int]
) -> None:
    roster = Roster(read_at, {each.agent_id: each for each in crowd}, missing)

    assert decode_listing(encode_listing(roster).encode()) == roster


@given(crowd=crowds)
def test_sightings_are_read_as_they_were_written(crowd: list[Presence]) -> None:
    read = decode_sightings(encode_sightings(crowd).encode())

    assert list(read.values()) == crowd


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"read_at": 1}', '{"read_at": 1e99}', '"x"', "\ud800", "[[1]]"]
)
def test_anything_else_is_a_value_error(text: str) -> None:
    written = text.encode("utf-8", "surrogatepass")

    with pytest.raises(ValueError, match="not a listing"):
        decode_listing(written)
    if text not in ("[]", "[[1]]"):
        with pytest.raises(ValueError, match="not sightings"):
            decode_sightings(written)


@given(crowd=crowds)
def test_a_row_of_another_version_takes_no_other_one_with_it(crowd: list[Presence]) -> None:
    rows = json.loads(encode_sightings(crowd))
    longer = [[*row, {"skills": ["de"]}] for row in rows]
    unreadable: list[object] = [[1], None, {"agent_id": 1}, [1, True, "noon", [], None, ""]]

    read = decode_sightings(json.dumps([*unreadable, *longer]).encode())

    assert list(read.values()) == crowd
