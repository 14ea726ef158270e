"""Read all agents, and look closer where a platform count does not fit our record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

from attrs import field, frozen

from sebastian_core.domain.adoption import Adopting, Listed, adopt
from sebastian_core.domain.agent_loads import CountBounds
from sebastian_core.domain.chat import Chat, ChatState, Doubt
from sebastian_core.domain.errors import PlatformRefused, PlatformUnavailable, UnknownWord
from sebastian_core.domain.evidence import conclusive_from
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.in_doubt import suspect
from sebastian_core.domain.platform import PlatformRoom, PlatformRooms, Presences, Reading
from sebastian_core.domain.roster import Presence
from sebastian_core.domain.rules import Rules, doubled
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.roster_cache import RosterCache

NOBODY = AgentId(2**31 - 1)
"""An agent id that no account has: a platform that lists rooms for it ignores `user_ids`."""

UNCOUNTED_AT_ONCE = 5
"""How many agents are listed in turn where the platform tells no counts."""

COUNTED_AT_ONCE = 1
"""How many are listed in turn although their count fits: a lost resolve and an assignment by hand
leave it as it was."""

WATCHED_AT_ONCE = 20
NOTHING_HELD = CountBounds(0, 0)
FIRST_PAUSE = timedelta(seconds=20)
PAUSE_LIMIT = timedelta(minutes=30)


@frozen(kw_only=True)
class Refreshed:
    """What one refresh found; `unreadable` agents of the listing count among the findings."""

    agents: int = 0
    online: int = 0
    taken_in: bool = True
    listed: int = 0
    findings: Mapping[str, int] = field(factory=dict)


@frozen
class _Explained:
    """A difference that a listing explained, and when it is looked at again."""

    count: int
    holding: CountBounds
    looks: int
    next_at: float


class RefreshAgents:
    """Keeps the roster fresh, adopts what others gave, and suspects what the platform lacks.

    Counts only raise suspicion; what counts is the listing of the agent's rooms. A difference that
    a listing left standing is looked at ever less often.
    """

    def __init__(
        self,
        room_repo: RoomRepo,
        roster: RosterCache,
        client: QiscusClient,
        breaker: CircuitBreaker,
        job_queue: JobQueue,
        clock: Clock,
        rules: Rules,
    ) -> None:
        self._room_repo = room_repo
        self._roster = roster
        self._client = client
        self._breaker = breaker
        self._job_queue = job_queue
        self._clock = clock
        self._rules = rules
        self._explained: dict[AgentId, _Explained] = {}
        self._owed: dict[AgentId, None] = {}
        self._last_turn: dict[str, AgentId] = {}
        self.honours_user_ids: bool | None = None

    async def __call__(self) -> Refreshed:
        """Read all agents once; raises what the client raises, and then nothing was taken in."""
        reading = await self._client.agents(self._breaker.acquire)
        before = await self._roster.roster()
        taken_in = await self._roster.replace(reading.seen, reading.began_at)
        after = await self._roster.roster()
        if after is not None and after.gained_over(before):
            self._job_queue.ring()
        self._owed |= await self._suspicious(reading)
        listed, found = await self._look_closer()
        if reading.unreadable:
            found["unreadable"] = reading.unreadable
        return Refreshed(
            agents=len(reading.seen),
            online=sum(presence.online for presence in reading.seen),
            taken_in=taken_in,
            listed=listed,
            findings=found,
        )

    async def compare(self, agent_id: AgentId) -> list[str]:
        """List one agent's rooms and repair our record by it; what was found.

        A platform that ignores `user_ids` lists everybody's rooms: whose they are is then unknown,
        but a chat of ours that is not among them is over all the same.
        """
        listing = await self._client.rooms_of(agent_id, self._breaker.acquire)
        is_theirs = await self._filter_is_honoured(listing)
        held = {chat.room_id: chat for chat in await self._room_repo.held_by(agent_id)}
        found = await self._adopt(agent_id, listing, held) if is_theirs else []
        return found + await self._suspect_missing(listing, held.values())

    async def _look_closer(self) -> tuple[int, Counter[str]]:
        """Compare all who are owed a look; one who cannot be listed holds up nobody."""
        found: Counter[str] = Counter()
        owed = list(self._owed)
        for agent_id in owed:
            try:
                found.update(await self.compare(agent_id))
            except (PlatformUnavailable, PlatformRefused) as error:
                if await self._breaker.is_account_fault(error):
                    raise
                found["not listed"] += 1
            del self._owed[agent_id]
        return len(owed), found

    async def _suspicious(self, reading: Reading[Presences]) -> dict[AgentId, None]:
        holdings = await self._room_repo.count_bounds(reading.began_at, self._rules.settle)
        counted = [each for each in reading.seen if each.count is not None]
        counted += _no_longer_listed(reading, holdings)
        uncounted = [each.agent_id for each in reading.seen if each.count is None]
        picked = dict.fromkeys(await self._room_repo.take_rechecks(WATCHED_AT_ONCE))
        for presence in counted:
            if self._raises_suspicion(presence, holdings.get(presence.agent_id, NOTHING_HELD)):
                picked[presence.agent_id] = None
        held = [each.agent_id for each in counted if each.count or each.agent_id in holdings]
        picked |= dict.fromkeys(self._in_turn("counted", held, COUNTED_AT_ONCE))
        return picked | dict.fromkeys(self._in_turn("uncounted", uncounted, UNCOUNTED_AT_ONCE))

    def _raises_suspicion(self, presence: Presence, holding: CountBounds) -> bool:
        agent_id, count = presence.agent_id, presence.count or 0
        if holding.allows(count):
            self._explained.pop(agent_id, None)
            return False
        known = self._explained.get(agent_id)
        same = known is not None and (known.count, known.holding) == (count, holding)
        looks = known.looks if known and same else 0
        now = self._clock.monotonic()
        if known and same and now < known.next_at:
            return False
        self._explained[agent_id] = _Explained(count, holding, looks + 1, now + _pause(looks))
        return True

    def _in_turn(self, kind: str, agents: Iterable[AgentId], at_once: int) -> list[AgentId]:
        """The next few agents behind those who had their turn last time."""
        ordered = sorted(agents)
        rest = [each for each in ordered if each > self._last_turn.get(kind, -1)]
        turn = (rest + ordered)[: min(at_once, len(ordered))]
        if turn:
            self._last_turn[kind] = turn[-1]
        return turn

    async def _filter_is_honoured(self, listing: Reading[PlatformRooms]) -> bool:
        """Probe with an impossible agent, at the first listing that shows any room."""
        if self.honours_user_ids is None and listing.seen:
            probe = await self._client.rooms_of(NOBODY, self._breaker.acquire)
            self.honours_user_ids = not probe.seen
        return self.honours_user_ids is not False

    async def _adopt(
        self, agent_id: AgentId, listing: Reading[PlatformRooms], held: Mapping[RoomId, Chat]
    ) -> list[str]:
        news = [room for room in listing.seen if _is_news(held.get(room.room_id))]
        known = await self._room_repo.rooms(room.room_id for room in news)
        found = []
        for room in news:
            there = known.get(room.room_id)
            absent = await self._absent_elsewhere(agent_id, there.chat if there else None)
            adopting = await self._take_in(room, agent_id, listing, absent)
            if adopting not in (Adopting.KNOWN, Adopting.TOO_EARLY):
                found.append(str(adopting))
        return found

    async def _take_in(
        self,
        room: PlatformRoom,
        agent_id: AgentId,
        listing: Reading[PlatformRooms],
        absent_elsewhere: bool,
    ) -> Adopting:
        listed = Listed(
            room_id=room.room_id,
            agent_id=agent_id,
            began_at=listing.began_at,
            channel_id=room.channel_id,
            source=room.source,
            absent_elsewhere=absent_elsewhere,
        )
        try:
            decided = await self._room_repo.decide(
                room.room_id, partial(adopt, listed, self._rules), alters_line=True
            )
        except UnknownWord:  # a newer version knows the room
            return Adopting.KNOWN
        return decided.answer

    async def _absent_elsewhere(self, agent_id: AgentId, chat: Chat | None) -> bool:
        """Whether the agent for whom we hold the chat lacks it in their own listing."""
        if chat is None or not chat.holds_slot or chat.agent_id is None:
            return False
        if chat.agent_id == agent_id:
            return False
        theirs = await self._client.rooms_of(chat.agent_id, self._breaker.acquire)
        if theirs.began_at < conclusive_from(chat, self._rules):
            return False
        return all(room.room_id != chat.room_id for room in theirs.seen)

    async def _suspect_missing(
        self, listing: Reading[PlatformRooms], held: Iterable[Chat]
    ) -> list[str]:
        shown = {room.room_id for room in listing.seen}
        found = []
        for chat in held:
            if not _is_missing(chat, shown, listing, self._rules):
                continue
            decided = await self._room_repo.decide(
                chat.room_id,
                partial(suspect, chat.id, chat.version, Doubt.NOT_LISTED, self._rules),
            )
            if decided.answer:
                found.append("suspect")
        return found


def _no_longer_listed(
    reading: Reading[Presences], holdings: Mapping[AgentId, CountBounds]
) -> list[Presence]:
    """Agents whose login is gone although we hold chats for them: nobody serves those any more."""
    listed = {presence.agent_id for presence in reading.seen}
    return [
        Presence(agent_id, online=False, read_at=reading.began_at, count=0)
        for agent_id in holdings
        if agent_id not in listed
    ]


def _pause(looks: int) -> float:
    """Seconds until a difference is looked at again; the second look comes with the next refresh.

    A listing may have come too early to prove anything about a room that just changed.
    """
    return doubled(FIRST_PAUSE, looks - 1, PAUSE_LIMIT).total_seconds() if looks else 0.0


def _is_news(held: Chat | None) -> bool:
    return held is None or held.state is not ChatState.ASSIGNED or held.doubt is not None


def _is_missing(
    chat: Chat, shown: set[RoomId], listing: Reading[PlatformRooms], rules: Rules
) -> bool:
    return (
        chat.state is ChatState.ASSIGNED
        and chat.doubt is None
        and chat.room_id not in shown
        and listing.began_at >= conclusive_from(chat, rules)
    )
