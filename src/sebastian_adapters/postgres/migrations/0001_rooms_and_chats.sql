-- The tables of Sebastian, in a schema of their own: another `chat` table may live in this database.

create table sebastian.room (
    room_id text collate "C" primary key check (char_length(room_id) between 1 and 64),
    closed_service_id bigint,
    closed_at timestamptz,
    closed_by_id boolean not null default false,
    last_assigned_at timestamptz
);

comment on table sebastian.room is 'What is remembered of a room: how its last chat ended. Its row is the lock of every decision about it.';

create index room_closed on sebastian.room (closed_at) where closed_at is not null;

create table sebastian.chat (
    id bigint generated always as identity primary key,
    room_id text collate "C" not null,
    state text not null check (state in ('waiting', 'reserved', 'assigned', 'closed')),
    version integer not null check (version > 0),
    arrived_at timestamptz not null,
    changed_at timestamptz not null,
    ready_at timestamptz not null,
    needs text collate "C" not null default '',
    source text,
    base_service_id bigint,
    base_resolved boolean not null default false,
    agent_id bigint,
    reservation_id bigint,
    assigned_at timestamptz,
    adopted boolean not null default false,
    asked_again_at timestamptz,
    refusals integer not null default 0 check (refusals >= 0),
    refused_by bigint,
    passes integer not null default 0 check (passes >= 0),
    excluded_until timestamptz,
    doubt text check (doubt <> ''),
    settle_at timestamptz,
    closed_at timestamptz,
    close_reason text
        check (close_reason in ('resolved', 'served elsewhere', 'gone', 'dropped')),
    properties jsonb not null default '{}',
    check ((state = 'closed') = (closed_at is not null)),
    check ((state = 'closed') = (close_reason is not null)),
    check (state <> 'closed' or settle_at is null),
    check (state <> 'waiting' or (agent_id is null and reservation_id is null)),
    check (state not in ('reserved', 'assigned') or agent_id is not null),
    check (state <> 'reserved' or (reservation_id is not null and settle_at is not null)),
    check (state <> 'assigned' or assigned_at is not null)
)
with (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
);

comment on table sebastian.chat is 'Requests for service. The load of an agent is the number of its rows here that are reserved or assigned; there is no counter.';
comment on column sebastian.chat.needs is 'What an agent must bring, as Needs.key writes it; chats with equal needs stand in one line.';

create unique index chat_one_live_per_room on sebastian.chat (room_id) where state <> 'closed';

create index chat_line on sebastian.chat (needs, arrived_at, id)
where state = 'waiting' and settle_at is null;

create index chat_waiting on sebastian.chat (arrived_at, id) where state = 'waiting';

create index chat_to_settle on sebastian.chat (settle_at) where settle_at is not null;

create index chat_held on sebastian.chat (agent_id) where state in ('reserved', 'assigned');

create index chat_not_ready on sebastian.chat (changed_at)
where state = 'waiting' and refusals > 0;

create index chat_excluded on sebastian.chat (excluded_until)
where excluded_until is not null and state <> 'closed';

create index chat_closed on sebastian.chat (closed_at) where closed_at is not null;

create table sebastian.history (
    id bigint generated always as identity primary key,
    chat_id bigint not null,
    room_id text collate "C" not null,
    version integer not null,
    at timestamptz not null,
    move text not null,
    before text check (before in ('waiting', 'reserved', 'assigned', 'closed')),
    after text not null check (after in ('waiting', 'reserved', 'assigned', 'closed')),
    agent_id bigint,
    reservation_id bigint,
    reason text not null default '',
    actor text not null default '',
    details jsonb not null default '{}',
    xid xid8 not null default pg_current_xact_id()
);

comment on table sebastian.history is 'Every change of a chat, written in the transaction that made it.';
comment on column sebastian.history.xid is 'That transaction; pg_visible_in_snapshot(xid, pass.snapshot) tells whether a pass saw the change.';

create index history_of_room on sebastian.history (room_id, id);

create table sebastian.pass (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    snapshot pg_snapshot not null default pg_current_snapshot(),
    asked integer not null,
    free_slots integer not null,
    given integer not null,
    policy text not null,
    explained jsonb not null default '{}',
    xid xid8 not null default pg_current_xact_id()
);

comment on table sebastian.pass is 'One row per pass that gave chats: what it saw of the line (snapshot) and of the agents (explained, per needs).';

create table sebastian.agent (
    agent_id bigint primary key,
    paused boolean not null default false,
    capacity integer check (capacity >= 0),
    last_given_at timestamptz,
    set_by text,
    set_at timestamptz
)
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

comment on table sebastian.agent is 'What people decided about an agent here, and when the agent was last given a chat.';

create table sebastian.watch (
    agent_id bigint primary key,
    list_at timestamptz not null
);

comment on table sebastian.watch is 'Agents whose rooms are to be listed from a moment on.';

create table sebastian.setting (
    name text primary key,
    value integer not null check (value >= 0),
    set_by text not null,
    set_at timestamptz not null
);

comment on table sebastian.setting is 'What people decided for all agents here.';

create table sebastian.duty (
    name text primary key,
    holder text not null,
    until timestamptz not null
);

comment on table sebastian.duty is 'Who does the duties, and until when nobody else may.';

create sequence sebastian.reservation_id as bigint cache 1;
