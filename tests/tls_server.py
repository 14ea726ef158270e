"""A server for TLS in a process of its own: it sends its session tickets when it likes."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.raw_http import answering, raw_server


@asynccontextmanager
async def tls_server(certificate: Path) -> AsyncIterator[str]:
    """The server, which answers everything with `{"data": {}}`; its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(certificate), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def _serve(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with raw_server(answering({"data": {}}), context) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
