"""The brokers that carry the doorbell: Redis as a rule, RabbitMQ where its URL is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import redis
from attrs import frozen
from dramatiq import Broker
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from sebastian_core.domain.errors import InvalidInput

NAMESPACE = "sebastian"
"""What our keys in Redis begin with, unless the deployment says otherwise."""

QUEUE = "sebastian-doorbell"
CONNECT_TIMEOUT_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 1.5


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
    connection is opened again once, without a pause; silence is not asked again.
    """

    def __init__(self, url: str, namespace: str) -> None:
        client = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=READ_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        super().__init__(client=client, namespace=namespace, middleware=[])  # type: ignore[no-untyped-call]

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
        self.client.close()
        self.client.connection_pool.disconnect()


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
