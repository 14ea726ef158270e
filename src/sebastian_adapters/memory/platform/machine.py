"""The platform itself: its verbs, and the truth that they leave behind."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from attrs import evolve

from sebastian_adapters.memory.platform.app import App
from sebastian_adapters.memory.platform.bodies import Bodies
from sebastian_adapters.memory.platform.customers import Customers
from sebastian_adapters.memory.platform.history import StateHistory
from sebastian_adapters.memory.platform.log import Actor, Event, EventKind, EventLog
from sebastian_adapters.memory.platform.rooms import (
    FakeRoom,
    FakeRoomState,
    FakeService,
    Rooms,
    Unclean,
)
from sebastian_adapters.memory.platform.roster import FakeRoster, Person, page_of
from sebastian_adapters.memory.platform.stamps import Stamps
from sebastian_adapters.memory.platform.switches import Switches
from sebastian_adapters.memory.platform.values import (
    ADMIN,
    AGENT,
    GENERAL,
    LIVE_CHAT,
    AgentFilter,
    Assigned,
    Body,
    Channel,
    FakeAccount,
    FakeAgentView,
    FakePage,
    Properties,
    Refusal,
    Resolved,
    Role,
    RoomFilter,
    RoomView,
)

EPOCH = datetime(2025, 6, 22, tzinfo=UTC)
_FIRST_AGENT, _FIRST_ROOM = 160001, 273683234
_EVERYBODY = AgentFilter()
_FIRST_ROOM_NUMBER, _FIRST_SERVICE, _FIRST_COMMENT = 68303333, 115830865, 2487134935


class Platform:
    """One Qiscus account, as a deterministic state machine.

    The caller's `clock` answers seconds that never go back; `epoch` is what its zero means in
    bodies. The same calls at the same moments with the same seed make the same platform. Nothing
    here waits, sends or fails by chance: a webhook is a body that the caller may deliver, lose,
    repeat or delay. Verbs of the API are answered by the switches (lag, refusals); verbs of
    people (`customer_message`, `assign_by_hand`, `set_online`, ...) simply happen.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        rng: random.Random | None = None,
        switches: Switches | None = None,
        account: FakeAccount | None = None,
        epoch: datetime = EPOCH,
        log_limit: int | None = None,
    ) -> None:
        self.clock = clock
        self.rng = rng or random.Random(0)
        self.switches = switches or Switches()
        self.account = account or FakeAccount()
        self.epoch = epoch
        self.bodies = Bodies(self.account, Stamps(epoch))
        self.log = EventLog(log_limit)
        self.app = App(self.account, self.bodies.stamps, self.rng)
        self._roster = FakeRoster()
        self._rooms = Rooms()
        self.customers = Customers(self._rooms)
        self.channels: dict[int, Channel] = {LIVE_CHAT.id: LIVE_CHAT}
        """Every channel that somebody serves or wrote from."""
        self._next_agent, self._next_room = _FIRST_AGENT, _FIRST_ROOM
        self._next_service, self._next_comment = _FIRST_SERVICE, _FIRST_COMMENT
        self._roster.add(self._person_of_admin())

    def add_agent(
        self,
        name: str | None = None,
        *,
        agent_id: int | None = None,
        email: str | None = None,
        type_: int = AGENT,
        channels: tuple[Channel, ...] = (LIVE_CHAT,),
        roles: tuple[Role, ...] = (GENERAL,),
        online: bool = True,
    ) -> int:
        """Somebody gets a login; answers their id, a new one even for an old e-mail."""
        new_id = self._next_agent if agent_id is None else agent_id
        if self._roster.get(new_id):
            raise ValueError(f"there is an agent {new_id} already")
        self._next_agent = max(self._next_agent, new_id) + 1
        now = self.clock()
        person = Person(
            id=new_id,
            name=name or f"Agent {new_id}",
            email=email or f"agent.{new_id}@example.test",
            type=type_,
            channels=channels,
            roles=roles,
            created_at=now,
            counts=StateHistory(now, 0),
        )
        self._roster.add(person)
        self.channels |= {channel.id: channel for channel in channels}
        self._tell("agent_added", agent_id=new_id)
        if online:
            self.set_online(new_id, online=True)
        return new_id

    def delete_agent(self, agent_id: int) -> None:
        """The login is gone; the agent's rooms wait for somebody again."""
        person = self._person(agent_id)
        for room_id in self._rooms.held_by(agent_id):
            self.remove_agent(room_id, agent_id, by="platform")
        self._roster.remove(person)
        self._tell("agent_deleted", agent_id=agent_id)

    def set_online(
        self, agent_id: int, *, online: bool | None = None, force_offline: bool | None = None
    ) -> None:
        """The agent comes, goes, or is switched off by an admin; None leaves as it is."""
        person = self._person(agent_id)
        differs = self._roster.set_presence(
            person,
            is_available=person.is_available if online is None else online,
            force_offline=person.force_offline if force_offline is None else force_offline,
        )
        if differs:
            self._tell("online" if person.is_online else "offline", agent_id=agent_id)

    def login(self, email: str, password: str) -> Body | Refusal:
        """`auth`: a new token for the admin, a supervisor or an agent, or 401.

        An agent who logs in is online from then on, as observed.
        """
        person = self._roster.of_email(email)
        is_admin = person is not None and person.type == ADMIN
        wanted = self.account.admin_password if is_admin else self.account.agent_password
        if person is None or password != wanted:
            return Refusal(401, "wrong e-mail or password")
        self.set_online(person.id, online=True)
        return self.app.login(self._view(person), details=self.switches.login_details)

    def profile(self) -> Body:
        """`get_profile`: whom the credential belongs to; cheap, and about no chat."""
        admin = self._view(self._person(self.account.admin_id))
        return self.app.profile(admin, shows_app=self.switches.profile_shows_app)

    def user_of(self, token: str) -> FakeAgentView | None:
        """Whose login answered that token; None once it is void, or its owner is gone."""
        user_id = self.app.user_id_of(token)
        person = None if user_id is None else self._roster.get(user_id)
        return self._view(person) if person else None

    def new_room_id(self) -> str:
        """A room id that nobody has yet."""
        self._next_room += 1
        return str(self._next_room - 1)

    def open_room(
        self, room_id: str, *, channel: Channel = LIVE_CHAT, name: str | None = None
    ) -> None:
        """Somebody of the account opens a room; the customer has not written yet."""
        if self._rooms.get(room_id) is None:
            room = self._make_room(room_id, channel, name)
            self._become(room, room.state, touch=True)

    def customer_message(
        self,
        room_id: str,
        *,
        channel: Channel = LIVE_CHAT,
        name: str | None = None,
        properties: Properties | None = None,
    ) -> Body | None:
        """The customer writes: answers the allocation webhook to post, None once served.

        The first message ever, or since the room was resolved, opens a service. Channel and name
        are those of a new room; properties replace what was known.
        """
        room = self._rooms.get(room_id) or self._make_room(room_id, channel, name)
        if properties is not None:
            room.properties = properties
        was_resolved = room.state.is_resolved
        service = room.open_service
        is_new_session = service is None
        if service is None:
            service = self._open_service(room)
        service.last_comment_id = self._comment_id()
        now = self.clock()
        self._rooms.set_state(room, now, evolve(room.state, last_customer_at=now), touch=True)
        self._tell("message", room_id, service_id=service.id, by="customer")
        if room.state.agents:
            return None
        return self._allocation_webhook(room, is_new_session, was_resolved)

    def assign(
        self,
        room_id: str,
        agent_id: int,
        *,
        max_agent: int | None = None,
        replace_latest_agent: bool = False,
        by: Actor = "api",
    ) -> Assigned | Refusal:
        """`assign_agent`: looks at neither presence nor load, as observed.

        `max_agent` caps the agents *in the room*. On a room that is full it is refused, unless
        the newcomer replaces the latest one.
        """
        room, person = self._rooms.get(room_id), self._roster.get(agent_id)
        if room is None or person is None:
            return self._refuse(room_id, agent_id, by, "room or agent not found")
        if room.open_service is None:
            return self._assign_resolved(room, person, by)
        if agent_id in room.state.agents:
            return self._assign_again(room, person, by)
        agents = room.state.agents
        if replace_latest_agent and agents:
            self._leave(room, agents[-1], by)
        elif max_agent is not None and len(agents) >= max_agent:
            return self._refuse(room_id, agent_id, by, "room has reached its number of agents")
        self._join(room, person, by)
        return self._assigned(room, person)

    def assign_by_hand(self, room_id: str, agent_id: int) -> Assigned | Refusal:
        """A person in the dashboard gives the room to an agent, beside those who are in it."""
        return self.assign(room_id, agent_id, by="person")

    def allocate(
        self, channel_id: int | None = None, *, ignore_availability: bool = False
    ) -> FakeAgentView | Refusal:
        """`allocate_agent`: the agent with the fewest rooms, online unless ignored; gives nothing.

        Knows no capacity, as the platform does not.
        """
        agents = self._roster.agents_for(channel_id, online_only=not ignore_availability)
        if not agents:
            return Refusal(400, "no agent available")
        return self._view(min(agents, key=lambda each: (self.load(each.id), each.id)))

    def allocate_assign(
        self, room_id: str, *, ignore_availability: bool = False
    ) -> FakeAgentView | Refusal:
        """`allocate_assign_agent`: the platform picks for a room without an agent, and assigns."""
        room = self._rooms.get(room_id)
        if room is None:
            return self._refuse(room_id, None, "api", "room not found")
        chosen = self.allocate(room.channel.id, ignore_availability=ignore_availability)
        if isinstance(chosen, Refusal):
            return chosen
        answer = self.assign(room_id, chosen.id, max_agent=1)
        return answer if isinstance(answer, Refusal) else answer.agent

    def take_over(self, agent_id: int) -> RoomView | Refusal:
        """`takeover_unserved`: the agent takes the room that was silent longest of theirs."""
        person = self._person(agent_id)
        for room_id in self._rooms.waiting():
            room = self._known_room(room_id)
            if person.serves(room.channel.id):
                self._join(room, person, "agent")
                return room.view(room.state)
        return Refusal(400, "nobody waits")

    def bot_message(self, room_id: str) -> Refusal | None:
        """A program writes to the customer; who waits goes on waiting."""
        if self._rooms.get(room_id) is None:
            return Refusal(400, "room not found")
        self._tell("bot_message", room_id, service_id=self.open_service_id(room_id), by="api")
        return None

    def move(self, room_id: str, from_agent: int, to_agent: int) -> Assigned | Refusal:
        """A person hands the room over from one agent to another."""
        room, newcomer = self._rooms.get(room_id), self._roster.get(to_agent)
        if room is None or newcomer is None or from_agent not in room.state.agents:
            return self._refuse(room_id, to_agent, "person", "nothing to hand over")
        if to_agent in room.state.agents:
            return self._refuse(room_id, to_agent, "person", "already there")
        self._leave(room, from_agent, "person")
        self._join(room, newcomer, "person")
        return self._assigned(room, newcomer)

    def remove_agent(
        self, room_id: str, agent_id: int, *, by: Actor = "api"
    ) -> FakeAgentView | Refusal:
        """The agent leaves the room; with nobody left it waits, and messages fire again."""
        room, person = self._rooms.get(room_id), self._roster.get(agent_id)
        if room is None or person is None or agent_id not in room.state.agents:
            return self._refuse(room_id, agent_id, by, "agent is not in the room")
        self._leave(room, agent_id, by)
        return self._view(person)

    def mark_as_resolved(
        self, room_id: str, *, by: int | None = None, actor: Actor = "api", notes: str | None = None
    ) -> Resolved | Refusal:
        """The service is over; answers the webhook to post. `by` is the agent, None the admin."""
        room = self._rooms.get(room_id)
        service = room.open_service if room else None
        if room is None or service is None:
            return self._refuse(room_id, by, actor, "nothing to resolve")
        now = self.clock()
        service.resolved_at, service.notes = now, notes
        state = evolve(room.state, is_resolved=True, is_waiting=False, agents=())
        self._become(room, state)
        self._tell("resolved", room_id, by, service.id, by=actor)
        server = None if service.agent_id is None else self._roster.get(service.agent_id)
        return Resolved(
            room_id=room_id,
            service_id=service.id,
            agent_id=service.agent_id,
            answer=self.bodies.resolve_answer(
                room, service, self._view(server) if server else None, self.switches
            ),
            webhook=self.bodies.resolve_webhook(
                room, service, self._resolver(by, actor), self.switches
            ),
        )

    def agents(
        self,
        *,
        page: int = 1,
        cursor_after: str | None = None,
        limit: int | None = None,
        wanted: AgentFilter = _EVERYBODY,
    ) -> FakePage[FakeAgentView]:
        """All people, admins and supervisors too, in pages by number or cursor (a switch).

        An unknown cursor raises `ValueError`.
        """
        if self.switches.agents_paging == "page":
            return self.numbered_agents(wanted, page=page, limit=limit)
        size = self._page_size(limit, self.switches.agents_page_size)
        ids = self._roster.ids(wanted)
        people, more = self._roster.after(ids, _place(cursor_after), size)
        after = _cursor(people[-1].id) if more else None
        return page_of(map(self._listed, people), limit=size, after=after, total_count=len(ids))

    def numbered_agents(
        self,
        wanted: AgentFilter = _EVERYBODY,
        *,
        page: int = 1,
        limit: int | None = None,
        by_load: Literal["asc", "desc"] | None = None,
    ) -> FakePage[FakeAgentView]:
        """The people who match, by id or by their number of customers, in numbered pages."""
        size = self._page_size(limit, self.switches.agents_page_size)
        ids = self._roster.ids(wanted)
        if by_load:
            ids = sorted(ids, key=self.load, reverse=by_load == "desc")
        start = (max(page, 1) - 1) * size
        people = [self._person(each) for each in ids[start : start + size]]
        return page_of(map(self._listed, people), limit=size, after=None, total_count=len(ids))

    def other_agents(
        self, room_id: str, *, page: int = 1, limit: int | None = None, search: str | None = None
    ) -> FakePage[FakeAgentView] | Refusal:
        """`other_agents`: everybody who is not in the room, eligible for it or not."""
        if self._rooms.get(room_id) is None:
            return Refusal(400, "room not found")
        wanted = AgentFilter(search=search, not_in=self.agents_in(room_id))
        return self.numbered_agents(wanted, page=page, limit=limit)

    def divisions(self) -> list[Role]:
        """Every division that somebody ever was in, by id."""
        return [self._roster.divisions[each] for each in sorted(self._roster.divisions)]

    def division(self, name: str) -> Role:
        """The division of that name; a new one for a new name."""
        known = next((each for each in self.divisions() if each.name == name), None)
        if known is None:
            known = Role(max(self._roster.divisions) + 1, name)
            self._roster.divisions[known.id] = known
        return known

    def available_agents(
        self,
        room_id: str,
        *,
        cursor_after: str | None = None,
        limit: int | None = None,
        in_room: bool = False,
    ) -> FakePage[FakeAgentView] | Refusal:
        """Who is eligible for the room by its channel, online or not; or those in it already."""
        room = self._rooms.get(room_id)
        if room is None:
            return Refusal(400, "room not found")
        size = self._page_size(limit, self.switches.agents_page_size)
        after = _place(cursor_after)
        if in_room:
            people, more = self._roster.after(sorted(room.state.agents), after, size)
        else:
            people, more = self._roster.eligible_after(room.channel.id, after, size)
        next_after = _cursor(people[-1].id) if more else None
        return page_of(map(self._listed, people), limit=size, after=next_after, total_count=None)

    def agents_by_ids(self, agent_ids: tuple[int, ...]) -> list[FakeAgentView]:
        """Those agents, with counts that are fresh whatever the switches say."""
        people = [self._roster.get(each) for each in dict.fromkeys(agent_ids)]
        return [self._view(person) for person in people if person]

    def agent(self, agent_id: int) -> FakeAgentView | None:
        """One agent as the lists show them; None for an unknown id."""
        person = self._roster.get(agent_id)
        return self._listed(person) if person else None

    def rooms(
        self, wanted: RoomFilter, *, cursor_after: str | None = None, limit: int | None = None
    ) -> FakePage[RoomView]:
        """The rooms as they were `rooms_lag_seconds` ago, newest first."""
        if wanted.user_ids and not self.switches.user_ids_honoured:
            wanted = evolve(wanted, user_ids=())
        page = self._rooms.page(
            wanted,
            at=self.clock() - self.switches.rooms_lag_seconds,
            before=_place(cursor_after),
            limit=self._page_size(limit, self.switches.rooms_page_size),
            unclean=Unclean(self.switches.unclean_rows, self.switches.unclean_seconds),
        )
        return evolve(page, after=page.after and _cursor(int(page.after)))

    def room(self, room_id: str) -> RoomView | None:
        """The room as it was `rooms_lag_seconds` ago; None if it was not there yet."""
        room = self._rooms.get(room_id)
        if room is None:
            return None
        state = room.history.at(self.clock() - self.switches.rooms_lag_seconds)
        return room.view(state) if state else None

    def load(self, agent_id: int) -> int:
        """How many unresolved rooms the agent is in, now and truly."""
        return self._rooms.load_of(agent_id)

    def loads(self) -> dict[int, int]:
        """The load of every agent, and of whoever else is in a room."""
        loads = {person.id: self.load(person.id) for person in self._roster}
        agents = set(self.agent_ids())
        return {user_id: load for user_id, load in loads.items() if load or user_id in agents}

    def is_online(self, agent_id: int) -> bool:
        person = self._roster.get(agent_id)
        return person is not None and person.is_online

    def agent_ids(self) -> list[int]:
        """The agents, online or not; no admins and no supervisors."""
        return [person.id for person in self._roster if person.type == AGENT]

    def online_agents(self) -> list[int]:
        return self._roster.online_agents()

    def agents_in(self, room_id: str) -> tuple[int, ...]:
        room = self._rooms.get(room_id)
        return room.state.agents if room else ()

    def rooms_of(self, agent_id: int) -> list[str]:
        return self._rooms.held_by(agent_id)

    def waiting_rooms(self) -> list[str]:
        """The rooms without an agent, the one that was silent longest first."""
        return self._rooms.waiting()

    def unresolved_rooms(self) -> list[str]:
        return self._rooms.unresolved()

    def is_resolved(self, room_id: str) -> bool:
        room = self._rooms.get(room_id)
        return room is not None and room.state.is_resolved

    def open_service_id(self, room_id: str) -> int | None:
        """The id of the service that the room has open; None if none."""
        room = self._rooms.get(room_id)
        service = room.open_service if room else None
        return service.id if service else None

    def _make_room(self, room_id: str, channel: Channel, name: str | None) -> FakeRoom:
        number = _FIRST_ROOM_NUMBER + len(self._rooms)
        customer = name or f"cust{number - _FIRST_ROOM_NUMBER + 1}"
        room = FakeRoom(
            id=number,
            room_id=room_id,
            channel=channel,
            name=customer,
            user_id=f"{customer}@example.com",
            history=StateHistory(self.clock(), FakeRoomState()),
        )
        self._rooms.add(room)
        self.channels[channel.id] = channel
        return room

    def _known_room(self, room_id: str) -> FakeRoom:
        room = self._rooms.get(room_id)
        if room is None:
            raise KeyError(f"no room {room_id}")
        return room

    def _person_of_admin(self) -> Person:
        """The admin, who has been there since before the log begins."""
        now = self.clock()
        return Person(
            id=self.account.admin_id,
            name="Admin",
            email=self.account.admin_email,
            type=ADMIN,
            channels=(),
            roles=(),
            created_at=now,
            counts=StateHistory(now, 0),
            is_available=True,
        )

    def _resolver(self, by: int | None, actor: Actor) -> Person | None:
        """Whom the resolve webhook names: the admin where nobody is named, or nobody at all."""
        if by is None and actor == "api" and not self.switches.resolver_named:
            return None
        return self._roster.get(self.account.admin_id if by is None else by)

    def _open_service(self, room: FakeRoom) -> FakeService:
        comment = self._comment_id()
        service = FakeService(self._next_service, self.clock(), comment, comment)
        self._next_service += 1
        room.services.append(service)
        self._become(
            room, evolve(room.state, is_resolved=False, is_waiting=True, agents=()), touch=True
        )
        self._tell("opened", room.room_id, service_id=service.id, by="customer")
        return service

    def _allocation_webhook(self, room: FakeRoom, is_new_session: bool, was_resolved: bool) -> Body:
        candidate = (
            self._roster.suggested_for(room.channel.id) if self.switches.candidate_agent else None
        )
        return self.bodies.allocation_webhook(
            room,
            self.switches,
            latest=self._latest_service(room),
            candidate=self._view(candidate) if candidate else None,
            is_new_session=is_new_session,
            was_resolved=was_resolved,
        )

    def _latest_service(self, room: FakeRoom) -> FakeService | None:
        if self.switches.latest_service == "always_null":
            return None
        if self.switches.latest_service == "shows_open":
            return room.open_service
        return room.last_resolved_service

    def _join(self, room: FakeRoom, person: Person, by: Actor) -> None:
        service = room.services[-1]
        service.agent_id, service.retrieved_at = person.id, self.clock()
        agents = (*room.state.agents, person.id)
        self._become(room, evolve(room.state, is_waiting=False, agents=agents))
        self._tell("assigned", room.room_id, person.id, service.id, by=by)

    def _leave(self, room: FakeRoom, agent_id: int, by: Actor) -> None:
        agents = tuple(each for each in room.state.agents if each != agent_id)
        state = evolve(room.state, is_waiting=not agents, agents=agents)
        self._become(room, state, touch=not agents)
        self._tell("removed", room.room_id, agent_id, room.services[-1].id, by=by)

    def _become(self, room: FakeRoom, state: FakeRoomState, *, touch: bool = False) -> None:
        now, before = self.clock(), room.state.agents
        self._rooms.set_state(room, now, state, touch=touch)
        for agent_id in {*before} ^ {*state.agents}:
            person = self._roster.get(agent_id)
            if person:
                person.counts.set(now, self._rooms.load_of(agent_id))

    def _assigned(self, room: FakeRoom, person: Person) -> Assigned:
        service = room.services[-1]
        return Assigned(
            agent=self._view(person),
            room_id=room.room_id,
            service_id=service.id,
            is_resolved=room.state.is_resolved,
            opened_at=service.opened_at,
            at=self.clock(),
        )

    def _assign_again(self, room: FakeRoom, person: Person, by: Actor) -> Assigned | Refusal:
        if self.switches.same_agent_twice != 200:
            return self._refuse(room.room_id, person.id, by, "agent is in the room already")
        self._tell("assigned_again", room.room_id, person.id, room.services[-1].id, by=by)
        return self._assigned(room, person)

    def _assign_resolved(self, room: FakeRoom, person: Person, by: Actor) -> Assigned | Refusal:
        if self.switches.assign_resolved_room != 200 or not room.services:
            return self._refuse(room.room_id, person.id, by, "room is resolved")
        self._tell("assigned_resolved", room.room_id, person.id, room.services[-1].id, by=by)
        return self._assigned(room, person)

    def _refuse(self, room_id: str, agent_id: int | None, by: Actor, message: str) -> Refusal:
        self._tell("refused", room_id, agent_id, self.open_service_id(room_id), by=by)
        return Refusal(400, message)

    def _tell(
        self,
        kind: EventKind,
        room_id: str | None = None,
        agent_id: int | None = None,
        service_id: int | None = None,
        by: Actor = "platform",
    ) -> None:
        self.log.append(Event(self.clock(), kind, room_id, agent_id, service_id, by))

    def _person(self, agent_id: int) -> Person:
        person = self._roster.get(agent_id)
        if person is None:
            raise KeyError(f"no agent {agent_id}")
        return person

    def _view(self, person: Person) -> FakeAgentView:
        return person.view(person.counts.last)

    def _listed(self, person: Person) -> FakeAgentView:
        if self.switches.counts_absent:
            return person.view(None)
        if not self.switches.counts_lag_seconds:
            return person.view(person.counts.last)
        count = person.counts.at(self.clock() - self.switches.counts_lag_seconds)
        return person.view(count or 0)

    def _page_size(self, asked: int | None, default: int) -> int:
        return min(asked or default, self.switches.page_size_limit)

    def _comment_id(self) -> int:
        self._next_comment += 1
        return self._next_comment


def _cursor(place: int) -> str:
    return f"c{place:x}z"


def _place(cursor: str | None) -> int | None:
    """The place that a cursor stands for; anything that is not one of ours raises ValueError."""
    if not cursor:
        return None
    if cursor[0] != "c" or cursor[-1] != "z":
        raise ValueError(f"not a cursor: {cursor!r}")
    return int(cursor[1:-1], 16)
