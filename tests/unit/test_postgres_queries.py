from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

import sebastian_adapters.postgres
from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.queries import query

FOLDER = Path(sebastian_adapters.postgres.__file__).parent
SQL = (FOLDER / "queries.sql").read_text("utf-8")
NAMES = re.findall(r"^-- name: (\w+)$", SQL, re.MULTILINE)
SOURCES = "\n".join(file.read_text("utf-8") for file in FOLDER.glob("*.py"))


def test_every_statement_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert len(re.findall(r"^-- name: \w+\n-- [A-Z]", SQL, re.MULTILINE)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_is_used(name: str) -> None:
    assert f'"{name}"' in SOURCES
    assert query(name).text


def test_a_statement_that_is_not_there_is_told() -> None:
    with pytest.raises(KeyError):
        query("nowhere")


def test_what_is_asked_is_numbered_in_the_order_in_which_it_is_first_named() -> None:
    wanted = query("add_chats")

    assert wanted.asks[:2] == ("room_id", "state")
    assert b"$1::text[]" in wanted.text
    assert wanted.text.count(b"$23") == 1
    assert wanted.asks[22] == "now"
    assert b"%(" not in wanted.text


def test_values_are_written_as_postgresql_reads_them() -> None:
    noon = datetime(2025, 6, 22, 12, tzinfo=UTC)

    assert query("hold_duty").values({"holder": "é", "lease": timedelta(seconds=1.5)}) == [
        "é".encode(),
        b"1500000 microseconds",
    ]
    assert query("staffing").values({"since": noon}) == [b"2025-06-22T12:00:00+00:00"]
    assert query("staffing").values({"since": None}) == [None]
    assert query("hold_duty").values({"holder": "a", "lease": timedelta(microseconds=10)}) == [
        b"a",
        b"10 microseconds",
    ]
    assert query("begin").values(None) == []


def test_a_text_that_the_server_would_cut_off_is_refused() -> None:
    with pytest.raises(psycopg.DataError):
        query("history").values({"room_id": "a\0b", "limit": 1})


def test_arrays_are_written_as_postgresql_reads_them() -> None:
    noon = datetime(2025, 6, 22, 12, tzinfo=UTC)

    assert array([1, None, -(2**63)]) == "{1,NULL,-9223372036854775808}"
    assert array(["", "NULL", 'a"b\\c', "{x,y}"]) == r'{"","NULL","a\"b\\c","{x,y}"}'
    assert array([True, False, noon]) == "{True,False,2025-06-22T12:00:00+00:00}"
    assert array([]) == "{}"
