"""Our own cookie, read out of whatever a stranger sends as cookies."""

from __future__ import annotations

import pytest

from sebastian_apps.http.auth.cookies import VALUE_LIMIT, cookie_named

VALUE = "1764540000.0123456789abcdef"


@pytest.mark.parametrize(
    "sent",
    [
        f"sebastian_floor={VALUE}",
        f"other=1; sebastian_floor={VALUE}; third=3",
        f"other=1;sebastian_floor={VALUE}",
        f" sebastian_floor = {VALUE} ",
        f'broken="; ;=;;x; sebastian_floor={VALUE}',
        f"sebastian_floor={VALUE}; sebastian_floor=second",
    ],
)
def test_the_first_cookie_of_this_name_is_read_whatever_stands_around_it(sent: str) -> None:
    assert cookie_named("sebastian_floor", sent) == VALUE


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "sebastian_floor",
        f"xsebastian_floor={VALUE}",
        f"sebastian_floorx={VALUE}",
        f'sebastian_floor="{VALUE}"',
        "sebastian_floor=a=b",
        "sebastian_floor=é",
        "sebastian_floor=a b",
        "sebastian_floor=" + "a" * (VALUE_LIMIT + 1),
        'sebastian_floor="' + "\\" * 30_000 + '"',
    ],
)
def test_what_we_never_set_counts_as_no_cookie(sent: str) -> None:
    assert cookie_named("sebastian_floor", sent) == ""
