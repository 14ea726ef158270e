"""The broker that carries the doorbell: Dramatiq's own for Redis, whose listener waits in Redis.

Only what Dramatiq documents is used of it. The name of the list that holds a queue's messages is
not: `tests/integration/test_dramatiq_job_queue.py` shows that bells are where we look for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import redis
from dramatiq import Consumer, Message, MessageProxy
from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker
from dramatiq.errors import ConnectionClosed
from redis.backoff import NoBackoff
from redis.retry import Retry

from sebastian_adapters.redis.client import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS

#: What our keys in Redis begin with, unless the deployment says otherwise.
NAMESPACE = "sebastian"

QUEUE = "sebastian-doorbell"
ACTOR = "look_at_the_line"

#: How long Redis lets a listener wait in one go; so long may a listener take to stop.
LISTEN_SECONDS = 0.25

#: How many bells a listener may take before the first of them is answered; there are only a few.
PREFETCH = 1000

#: A heartbeat timeout, in milliseconds, by which every worker counts as dead.
GONE_AT_ONCE = -60_000


class DoorbellBroker(RedisBroker):
    """Dramatiq's Redis broker with clients that give up in time.

    The clients are built here because RedisBroker ignores timeouts beside its `url`. A broken
    connection is opened again once, without a pause, and so is one to a server that takes no
    writes any more; silence is not asked again. It has no middleware: bells are not retried and
    leave no results, and a bell whose actor failed is acknowledged like any other instead of
    becoming a dead letter. Connects when it is first used.
    """

    def __init__(self, url: str, namespace: str = NAMESPACE, **options: Any) -> None:
        self._ear = _client(url, retries=0)
        super().__init__(  # type: ignore[no-untyped-call]
            client=_client(url, retries=1), namespace=namespace, middleware=[], **options
        )
        self._bells = f"{namespace}:{QUEUE}"

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer that hears a bell at once; Dramatiq's own looks for one ever more seldom.

        It takes all bells that hang there (`PREFETCH`): one that was left would end each wait at
        once, again and again.
        """
        inner = super().consume(queue_name, max(prefetch, PREFETCH), timeout=0)
        return _AttentiveConsumer(inner, self.wait_for_bell)

    def wait_for_bell(self) -> None:
        """Return once a bell hangs there, or after a while; takes none.

        To move the only bell from one end of its list to the other changes nothing, and Redis
        lets that wait. (BRPOPLPUSH, because BLMOVE came with Redis 6.2 only.)
        """
        self._ear.brpoplpush(self._bells, self._bells, timeout=LISTEN_SECONDS)

    def declare_queue(self, queue_name: str) -> None:
        """Declare it without a queue for delayed messages, which would be polled for nothing."""
        super().declare_queue(queue_name)
        self.delay_queues.clear()

    def has_bell(self) -> bool:
        """Whether a bell hangs there that nobody took: one more would tell no more.

        Bells that a killed worker took do not count. They would silence us until Dramatiq's
        maintenance brings them back.
        """
        return bool(self.client.llen(self._bells))

    def close(self) -> None:
        """Close all connections; a later use would open them again."""
        for client in (self.client, self._ear):
            client.close()
            client.connection_pool.disconnect()


class _AttentiveConsumer(Consumer):
    """Asks Dramatiq's consumer for a bell when one hangs there, and lets Redis wait until then."""

    def __init__(self, inner: Consumer, wait_for_bell: Callable[[], None]) -> None:
        self._inner = inner
        self._wait_for_bell = wait_for_bell
        self._found_none = True

    def __next__(self) -> MessageProxy | None:
        if self._found_none:
            try:
                self._wait_for_bell()
            except redis.ConnectionError as error:
                raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        message: MessageProxy | None = next(self._inner)
        self._found_none = message is None
        return message

    def ack(self, message: MessageProxy) -> None:
        self._inner.ack(message)

    def nack(self, message: MessageProxy) -> None:
        self._inner.nack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._inner.requeue(messages)

    def close(self) -> None:
        self._inner.close()


def _client(url: str, *, retries: int) -> redis.Redis:
    worth_a_new_connection = (redis.ConnectionError, redis.ReadOnlyError)
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=READ_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), retries, supported_errors=worth_a_new_connection),
    )


async def try_doorbell(url: str) -> None:
    """Ring, hear and answer a bell in a queue of its own, and bring one back that was taken.

    That is all that ringing and listening do in Redis, maintenance included. Takes a few seconds
    at most; raises redis.RedisError. Leaves nothing but the name of this process among those that
    are gone, which the next one clears away.
    """
    await asyncio.to_thread(_try_doorbell, url)


def _try_doorbell(url: str) -> None:
    broker = DoorbellBroker(
        url,
        f"{NAMESPACE}:doctor",
        maintenance_chance=MAINTENANCE_SCALE,
        heartbeat_timeout=GONE_AT_ONCE,
    )
    bell: Message[None] = Message(
        queue_name=QUEUE, actor_name=ACTOR, args=(), kwargs={}, options={}
    )
    try:
        broker.has_bell()
        broker.enqueue(bell)
        consumer = broker.consume(QUEUE)
        for _ in range(2):  # what it took first is brought back at once, so it hears it twice
            heard = next(consumer)
        if heard is not None:
            consumer.ack(heard)
    except ConnectionClosed as error:
        raise redis.ConnectionError(str(error)) from error
    finally:
        broker.close()
