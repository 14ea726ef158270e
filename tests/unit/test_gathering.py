from __future__ import annotations

import asyncio

from sebastian_apps.http.gathering import GATHERED_LIMIT, GatheringTransport


class Line(asyncio.Transport):
    """Remembers what is written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_what_is_written_at_one_moment_goes_out_in_one_piece() -> None:
    line = Line()
    transport = GatheringTransport(line, asyncio.get_running_loop())

    transport.write(b"head ")
    transport.write(b"body")
    await asyncio.sleep(0)

    assert line.written == [b"head body"]


async def test_what_is_written_later_goes_out_later() -> None:
    line = Line()
    transport = GatheringTransport(line, asyncio.get_running_loop())

    transport.write(b"first")
    await asyncio.sleep(0)
    transport.write(b"second")
    await asyncio.sleep(0)

    assert line.written == [b"first", b"second"]


async def test_what_is_too_much_to_keep_goes_out_before_the_writer_lets_go() -> None:
    line = Line()
    transport = GatheringTransport(line, asyncio.get_running_loop())
    half = bytes(GATHERED_LIMIT // 2)

    for part in (half, half, b"more", b"rest"):
        transport.write(part)

    assert line.written == [half + half + b"more"]
    await asyncio.sleep(0)
    assert line.written[1:] == [b"rest"]


async def test_what_was_written_before_the_close_still_goes_out() -> None:
    line = Line()
    transport = GatheringTransport(line, asyncio.get_running_loop())

    transport.write(b"last words")
    transport.close()
    await asyncio.sleep(0)

    assert line.written == [b"last words"]
    assert transport.is_closing()


async def test_nothing_is_written_to_a_line_that_was_cut() -> None:
    line = Line()
    transport = GatheringTransport(line, asyncio.get_running_loop())

    transport.write(b"too late")
    line.close()
    await asyncio.sleep(0)

    assert not line.written
