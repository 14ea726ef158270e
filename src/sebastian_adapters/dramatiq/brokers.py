"""The brokers that carry the doorbell: Redis as a rule, RabbitMQ where its URL is given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import redis
from attrs import frozen
from dramatiq import Broker, Consumer
from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed
from redis.backoff import NoBackoff
from redis.retry import Retry

from sebastian_core.domain.errors import InvalidInput

NAMESPACE = "sebastian"
"""What our keys in Redis begin with, unless the deployment says otherwise."""

QUEUE = "sebastian-doorbell"
CONNECT_TIMEOUT_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 1.5
LISTEN_SECONDS = 0.25
"""How long Redis lets a listener wait in one go: as long as that a listener may take to stop."""

GONE_AT_ONCE = -60_000
"""A process that gave a sign of life is taken for gone, in milliseconds from it."""


@frozen
class Doorbell:
    """A broker, and whether a bell hangs in its queue that nobody took: one more tells no more."""

    broker: Broker
    has_bell: Callable[[], bool]


def doorbell(url: str, namespace: str = NAMESPACE) -> Doorbell:
    """The doorbell at this URL, not connected yet; raises InvalidInput where it cannot be had.

    Its broker has no middleware: bells are not retried and leave no results, and a bell whose actor
    failed is acknowledged like any other instead of becoming a dead letter.
    """
    if urlsplit(url).scheme in ("amqp", "amqps"):
        return Doorbell(_rabbitmq_broker(url), has_bell=lambda: False)
    broker = _RedisDoorbell(url, namespace)
    return Doorbell(broker, broker.has_bell)


class _RedisDoorbell(RedisBroker):
    """Dramatiq's Redis broker with a client that gives up in time.

    The client is built here because RedisBroker ignores timeouts beside its `url`. A broken
    connection is opened again once, without a pause, and so is one to a server that takes no
    writes any more; silence is not asked again.
    """

    def __init__(self, url: str, namespace: str) -> None:
        self._ear = _client(url, retries=0)
        super().__init__(client=_client(url, retries=1), namespace=namespace, middleware=[])  # type: ignore[no-untyped-call]

    @property
    def consumer_class(self) -> type[Consumer]:
        """Waits for a bell where Dramatiq's own looks for one ever more seldom."""
        return _AttentiveConsumer

    def wait_for_bell(self) -> None:
        """Return once a bell hangs there, or after a while; takes none.

        To move the only bell from one end of its list to the other changes nothing, and Redis
        lets that wait. (BRPOPLPUSH, because BLMOVE came with Redis 6.2 only.)
        """
        bells = f"{self.namespace}:{QUEUE}"
        self._ear.brpoplpush(bells, bells, timeout=LISTEN_SECONDS)

    def declare_queue(self, queue_name: str) -> None:
        """Declare it without a queue for delayed messages, which would be polled for nothing."""
        super().declare_queue(queue_name)
        self.delay_queues.clear()

    def has_bell(self) -> bool:
        """Whether a bell hangs there; those that a killed worker took along do not count.

        They would silence us until Dramatiq's maintenance brings them back.
        """
        return bool(self.client.llen(f"{self.namespace}:{QUEUE}"))

    def close(self) -> None:
        """Close all connections; a later use would open them again."""
        for client in (self.client, self._ear):
            client.close()
            client.connection_pool.disconnect()


def _client(url: str, *, retries: int) -> redis.Redis:
    worth_a_new_connection = (redis.ConnectionError, redis.ReadOnlyError)
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=READ_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), retries, supported_errors=worth_a_new_connection),
    )


class _AttentiveConsumer(_RedisConsumer):
    """Hears a bell at once, and asks Redis twice in `LISTEN_SECONDS` while none rings."""

    def __init__(
        self, broker: _RedisDoorbell, queue_name: str, prefetch: int, timeout: int
    ) -> None:
        super().__init__(broker, queue_name, prefetch, timeout=0)  # type: ignore[no-untyped-call]
        self._pause_seconds = timeout / 1000

    def __next__(self) -> Any:
        try:
            if not self.message_cache:
                self._wait()
        except redis.ConnectionError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        return super().__next__()  # type: ignore[no-untyped-call]

    def _wait(self) -> None:
        """Wait for a bell, or for those that were taken to be answered."""
        if self.outstanding_message_count < self.prefetch:
            self.broker.wait_for_bell()
        else:
            time.sleep(self._pause_seconds)


def _rabbitmq_broker(url: str) -> Broker:
    try:
        from dramatiq.brokers.rabbitmq import RabbitmqBroker
    except ImportError as error:
        raise InvalidInput(
            "queue.broker_url", "is for RabbitMQ, which needs: pip install 'dramatiq[rabbitmq]'"
        ) from error

    class _RabbitmqDoorbell(RabbitmqBroker):
        def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
            super().declare_queue(queue_name, ensure=ensure)
            self.delay_queues.clear()

        def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
            """One bell at most, and no dead letters: RabbitMQ itself drops what is too much."""
            return {"x-max-length": 1}

    return _RabbitmqDoorbell(url=url, middleware=[])


async def try_doorbell(url: str) -> None:
    """Ring, hear and answer a bell in a queue of its own, and bring one back that was taken.

    That is all that ringing and listening do in Redis, maintenance included. Takes a few seconds
    at most; raises redis.RedisError. Leaves nothing but the name of this process among those that
    are gone, which the next one clears away.
    """
    await asyncio.to_thread(_try_doorbell, url)


def _try_doorbell(url: str) -> None:
    broker = _RedisDoorbell(url, f"{NAMESPACE}:doctor")
    broker.maintenance_chance, broker.heartbeat_timeout = MAINTENANCE_SCALE, GONE_AT_ONCE
    bell = str(uuid4())
    try:
        broker.has_bell()
        broker.do_enqueue(QUEUE, bell, b"")
        broker.wait_for_bell()
        for _ in range(2):
            broker.do_fetch(QUEUE, 1)
        broker.do_ack(QUEUE, bell)
    finally:
        broker.close()
