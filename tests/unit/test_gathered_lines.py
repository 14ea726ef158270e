from __future__ import annotations

import asyncio
import io
import logging

from sebastian_apps.gathered_lines import WHOLE_BYTES, GatheredLines, LineHandler, LineWriter


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


async def test_many_lines_are_written_in_pieces_that_a_pipe_takes_whole() -> None:
    stream = Written()
    writer = writer_to(stream)
    lines = [f"{number:03} {'é' * (number % 7 * 300)}" for number in range(60)]

    for line in lines:
        writer.info(line)
    await asyncio.sleep(0)

    assert "".join(stream.writes) == "".join(f"{line}\n" for line in lines)
    assert all(piece.endswith("\n") for piece in stream.writes)
    assert all(len(piece.encode()) <= WHOLE_BYTES for piece in stream.writes)
    assert len(stream.writes) < len(lines)


async def test_a_line_that_no_pipe_takes_whole_goes_alone() -> None:
    stream = Written()
    writer = writer_to(stream)

    for line in ("short", "x" * WHOLE_BYTES, "last"):
        writer.info(line)
    await asyncio.sleep(0)

    assert [len(piece) for piece in stream.writes] == [6, WHOLE_BYTES + 1, 5]


def test_a_loop_that_ended_before_its_turn_keeps_nothing_from_the_next_one() -> None:
    stream = Written()
    writer = writer_to(stream)

    async def log_and_turn(line: str) -> None:
        writer.info(line)
        await asyncio.sleep(0)

    ended = asyncio.new_event_loop()
    ended.call_soon(ended.stop)
    ended.call_soon(writer.info, "one")
    ended.run_forever()
    ended.close()
    assert stream.writes == []
    asyncio.run(log_and_turn("two"))

    assert stream.writes == ["one\ntwo\n"]


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
