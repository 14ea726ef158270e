from __future__ import annotations

import asyncio
import io
import logging

from sebastian_apps.gathered_lines import GatheredLines, LineHandler, LineWriter


class Written(io.StringIO):
    """What was written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


def writer_to(stream: Written) -> LineWriter:
    return LineWriter(GatheredLines(stream))


def test_a_line_is_written_at_once_where_no_loop_runs() -> None:
    stream = Written()

    writer_to(stream).info("one")

    assert stream.writes == ["one\n"]


async def test_lines_of_one_turn_are_one_write() -> None:
    stream = Written()
    writer = writer_to(stream)

    writer.info("one")
    writer.info("two")
    assert stream.writes == []
    await asyncio.sleep(0)
    writer.info("three")
    await asyncio.sleep(0)

    assert stream.writes == ["one\ntwo\n", "three\n"]


async def test_a_warning_is_written_at_once_with_what_was_kept_before_it() -> None:
    stream = Written()
    writer = writer_to(stream)

    writer.info("one")
    writer.warning("two")

    assert stream.writes == ["one\ntwo\n"]


async def test_a_line_from_another_thread_is_written_at_once() -> None:
    stream = Written()
    writer = writer_to(stream)

    writer.info("one")
    await asyncio.to_thread(writer.info, "two")
    assert stream.getvalue() == "one\ntwo\n"
    writer.info("three")
    await asyncio.sleep(0)

    assert stream.getvalue() == "one\ntwo\nthree\n"


async def test_the_standard_library_s_lines_are_kept_in_the_same_order() -> None:
    stream = Written()
    lines = GatheredLines(stream)
    writer, handler = LineWriter(lines), LineHandler(lines)

    writer.info("one")
    handler.handle(_record(logging.INFO, "two"))
    assert stream.writes == []
    handler.handle(_record(logging.WARNING, "three"))

    assert stream.writes == ["one\ntwo\nthree\n"]


async def test_whoever_ends_the_process_may_have_everything_written() -> None:
    stream = Written()
    lines = GatheredLines(stream)
    handler = LineHandler(lines)

    LineWriter(lines).info("one")
    await asyncio.to_thread(handler.flush)

    assert stream.writes == ["one\n"]


def _record(level: int, message: str) -> logging.LogRecord:
    return logging.LogRecord("theirs", level, __file__, 1, message, (), None)
