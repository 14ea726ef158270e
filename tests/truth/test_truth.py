"""Of each situation all places tell the same, on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from tests.truth.situations import SITUATIONS, Situation
from tests.truth.stage import on_stage


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.name.replace(" ", "-"))
async def test_all_places_tell_the_same(
    situation: Situation,
    tmp_path: Path,
    own_postgres: EmbeddedPostgres,
    own_valkey: EmbeddedValkey,
) -> None:
    async with on_stage(tmp_path, own_postgres, own_valkey, **situation.settings) as stage:
        await situation.bring(stage)
        await stage.shows(situation.check)
        told = await stage.told()

    for place in (told.row, told.queue, told.dialog, told.why):
        assert situation.hold in place, told
    for names in (told.page, told.doctor):
        assert situation.check in {each.partition(" ")[2] for each in names}, told
    assert told.readyz == situation.readyz
    assert told.alerts == sorted(situation.alerts)
