"""The account's people: who they are, whether they are there, how many rooms they have."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from attrs import define, evolve, field

from sebastian_adapters.memory.platform.history import StateHistory
from sebastian_adapters.memory.platform.values import (
    ADMIN,
    AGENT,
    GENERAL,
    TYPE_NAMES,
    AgentFilter,
    Channel,
    FakeAgentView,
    FakePage,
    Role,
)


@define(eq=False)
class Person:
    """Somebody with a login; agents, admins and supervisors alike."""

    id: int
    name: str
    email: str
    type: int
    channels: tuple[Channel, ...]
    roles: tuple[Role, ...]
    created_at: float
    counts: StateHistory[int]
    is_available: bool = False
    force_offline: bool = False
    _view: FakeAgentView | None = field(default=None, init=False)

    @property
    def is_online(self) -> bool:
        return self.is_available and not self.force_offline

    def serves(self, channel_id: int) -> bool:
        """Whether the channel is theirs; without any of their own, every one is."""
        return not self.channels or any(channel.id == channel_id for channel in self.channels)

    def set_presence(self, *, is_available: bool, force_offline: bool) -> None:
        self.is_available, self.force_offline, self._view = is_available, force_offline, None

    def view(self, customer_count: int | None) -> FakeAgentView:
        """This person with that count; the same object while nothing changes."""
        if self._view is None:
            self._view = self._fresh_view(customer_count)
        elif self._view.customer_count != customer_count:
            self._view = evolve(self._view, customer_count=customer_count)
        return self._view

    def _fresh_view(self, customer_count: int | None) -> FakeAgentView:
        return FakeAgentView(
            id=self.id,
            name=self.name,
            email=self.email,
            type=self.type,
            is_available=self.is_available,
            force_offline=self.force_offline,
            channels=self.channels,
            roles=self.roles,
            customer_count=customer_count,
            created_at=self.created_at,
        )


class FakeRoster:
    """All people of the account, in the order of their ids, and who serves which channel.

    Nothing here grows with the number of agents but adding, deleting and reading all of them.
    """

    def __init__(self) -> None:
        self._people: dict[int, Person] = {}
        self._ids: list[int] = []
        self._of_channel: dict[int, list[int]] = {}
        self._of_any_channel: list[int] = []
        self._online: dict[int, None] = {}
        self.divisions: dict[int, Role] = {GENERAL.id: GENERAL}

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Person]:
        return iter(self._people.values())

    def get(self, agent_id: int) -> Person | None:
        return self._people.get(agent_id)

    def of_email(self, email: str) -> Person | None:
        return next((each for each in self if each.email == email), None)

    def online_agents(self) -> list[int]:
        """The ids of the agents (no admins, no supervisors) who are online."""
        return [each for each in self._online if self._people[each].type == AGENT]

    def add(self, person: Person) -> None:
        self._people[person.id] = person
        self.divisions |= {role.id: role for role in person.roles}
        for ids in self._lists_of(person):
            insort(ids, person.id)
        self._note_presence(person)

    def remove(self, person: Person) -> None:
        del self._people[person.id]
        self._online.pop(person.id, None)
        for ids in self._lists_of(person):
            del ids[bisect_left(ids, person.id)]

    def set_presence(self, person: Person, *, is_available: bool, force_offline: bool) -> bool:
        """Change it; whether the person came online or went offline by that."""
        was_online = person.is_online
        person.set_presence(is_available=is_available, force_offline=force_offline)
        self._note_presence(person)
        return person.is_online != was_online

    def ids(self, wanted: AgentFilter) -> list[int]:
        """The ids of all who match, in ascending order."""
        if wanted == _EVERYBODY:
            return self._ids
        return [each for each in self._ids if _matches(self._people[each], wanted)]

    def after(self, ids: list[int], after: int | None, limit: int) -> tuple[list[Person], bool]:
        """Of these people the ones behind that id, and whether there are more."""
        return self._people_of(_behind(ids, after, limit + 1), limit)

    def eligible_after(
        self, channel_id: int, after: int | None, limit: int
    ) -> tuple[list[Person], bool]:
        """Who serves the channel (or has none of their own), behind that id; never the admin."""
        own = _behind(self._of_channel.get(channel_id, []), after, limit + 1)
        any_channel = _behind(self._of_any_channel, after, limit + 1)
        ids = sorted([*own, *any_channel])[: limit + 1] if any_channel else own
        return self._people_of(ids, limit)

    def suggested_for(self, channel_id: int) -> Person | None:
        """Somebody who is online and serves the channel: the one longest online."""
        for agent_id in self._online:
            person = self._people[agent_id]
            if person.type == AGENT and person.serves(channel_id):
                return person
        return None

    def agents_for(self, channel_id: int | None, *, online_only: bool) -> list[Person]:
        """The agents who serve the channel (None: any channel)."""
        return [
            person
            for person in self
            if person.type == AGENT
            and (channel_id is None or person.serves(channel_id))
            and (person.is_online or not online_only)
        ]

    def _people_of(self, ids: list[int], limit: int) -> tuple[list[Person], bool]:
        return [self._people[each] for each in ids[:limit]], len(ids) > limit

    def _lists_of(self, person: Person) -> list[list[int]]:
        if person.type == ADMIN:
            return [self._ids]
        if not person.channels:
            return [self._ids, self._of_any_channel]
        channel_ids = dict.fromkeys(channel.id for channel in person.channels)
        return [self._ids, *(self._of_channel.setdefault(each, []) for each in channel_ids)]

    def _note_presence(self, person: Person) -> None:
        if not person.is_online:
            self._online.pop(person.id, None)
        elif person.id not in self._online:
            self._online[person.id] = None


_EVERYBODY = AgentFilter()


def page_of(
    items: Iterable[FakeAgentView], *, limit: int, after: str | None, total_count: int | None
) -> FakePage[FakeAgentView]:
    return FakePage(items=tuple(items), per_page=limit, after=after, total_count=total_count)


def _behind(ids: list[int], after: int | None, limit: int) -> list[int]:
    start = 0 if after is None else bisect_right(ids, after)
    return ids[start : start + limit]


def _matches(person: Person, wanted: AgentFilter) -> bool:
    if wanted.is_available is not None and person.is_available != wanted.is_available:
        return False
    if wanted.type_name and TYPE_NAMES.get(person.type, "supervisor") != wanted.type_name:
        return False
    if wanted.division_ids and not {each.id for each in person.roles} & {*wanted.division_ids}:
        return False
    if person.id in wanted.not_in:
        return False
    return not wanted.search or _is_found(person, wanted.search.lower(), wanted.scope)


def _is_found(person: Person, search: str, scope: str | None) -> bool:
    places = {
        "name": [person.name],
        "email": [person.email],
        "division": [role.name for role in person.roles],
    }
    searched = places[scope] if scope else [person.name, person.email]
    return any(search in place.lower() for place in searched)
