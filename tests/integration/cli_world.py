"""A whole deployment in one test: real stores, a stand-in platform, the services, the commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, field
from click.testing import CliRunner, Result

from sebastian_adapters.postgres.migrate import migrate
from sebastian_apps.cli.main import main
from sebastian_apps.fake_qiscus import FakeConfig, FakeQiscus, serve
from sebastian_apps.settings import Settings, load_settings
from sebastian_apps.wiring import build_webhook, build_worker
from sebastian_core.allocator import Allocator
from tests import canaries
from tests.webhook_service import webhook_service

TOKEN = canaries.WEBHOOK_TOKEN
ADMIN_TOKEN = canaries.ADMIN_TOKEN


@define
class World:
    """What a deployment consists of, and the command line to it."""

    fake: FakeQiscus
    config: Path
    values: dict[str, dict[str, Any]] = field(factory=dict)

    def configure(self, section: str, **values: object) -> None:
        """Change the configuration; None takes a key out."""
        self.values.setdefault(section, {}).update(values)
        kept = {
            name: {key: value for key, value in entries.items() if value is not None}
            for name, entries in self.values.items()
        }
        self.config.touch(mode=0o600)
        self.config.write_text(json.dumps(kept))  # JSON is YAML too

    @property
    def settings(self) -> Settings:
        """The configuration as a process reads it."""
        return load_settings(self.config, {})

    async def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """A command with this configuration, in a thread: the platform stays on this loop."""
        args = [*arguments, "-c", str(self.config)]
        return await asyncio.to_thread(CliRunner().invoke, main, args, input=stdin)

    async def output(self, *arguments: str) -> str:
        """What a command prints that goes well."""
        result = await self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    async def json(self, *arguments: str) -> Any:
        """What a command prints for programs."""
        return json.loads((await self.run(*arguments, "--json")).output)

    @asynccontextmanager
    async def worker(self, name: str = "") -> AsyncIterator[Allocator]:
        """A worker's allocator, opened; nothing runs by itself."""
        allocator = build_worker(self.settings, name=name).allocator
        async with allocator.opened():
            yield allocator


@asynccontextmanager
async def a_world(
    directory: Path, postgres_url: str, redis_url: str, *, serves: bool = False
) -> AsyncIterator[World]:
    """A deployment that is fine: tables made, three agents online, webhooks registered."""
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(serve(FakeConfig()))
        world = World(fake, directory / "config.yml")
        account = fake.config.account
        world.configure("db", connection_string=postgres_url)
        world.configure("redis", url=redis_url)
        world.configure("admin", token=ADMIN_TOKEN)
        world.configure("webhook", token=TOKEN, base_url="http://127.0.0.1:1")
        world.configure(
            "qiscus",
            base_url=fake.url,
            app_id=account.app_code,
            secret_key=account.secret_key,
            timeout="2s",
            rate_limit=1000,
            burst=1000,
        )
        await migrate(postgres_url)
        if serves:
            service = await stack.enter_async_context(
                webhook_service(build_webhook(world.settings))
            )
            base_url = f"http://127.0.0.1:{service.port}"
            world.configure("webhook", base_url=base_url)
            fake.send_webhooks_to(base_url, TOKEN)
        yield world
