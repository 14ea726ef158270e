"""A stand-in for the platform, with its habits and its faults.

An HTTP server that speaks the contract from a pure state machine
(`sebastian_adapters.memory.platform`), posts the webhooks, misbehaves when told to, plays a floor
of agents and customers, and keeps a log of what truly happened. Run it with
`python -m sebastian_apps.fake_qiscus`, or inside another event loop:

    async with serve(FakeConfig(agents=20, webhook_base_url="http://127.0.0.1:3000")) as fake:
        print(fake.url)
"""

from sebastian_apps.fake_qiscus.config import FakeConfig, FloorConfig
from sebastian_apps.fake_qiscus.faults import InjectedFault, WebhookFaults
from sebastian_apps.fake_qiscus.floor import FloorProgress, FloorScript
from sebastian_apps.fake_qiscus.server import FakeQiscus, serve

__all__ = [
    "FakeConfig",
    "FakeQiscus",
    "FloorConfig",
    "FloorProgress",
    "FloorScript",
    "InjectedFault",
    "WebhookFaults",
    "serve",
]
