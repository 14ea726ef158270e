-- What people do themselves: chats that they took out of the line stay out, and what they change
-- about agents and capacities is remembered with who it was.

alter table sebastian.room add column dropped boolean not null default false;

comment on column sebastian.room.dropped is 'A person took its last chat out of the line: only a new request of the customer brings it back.';

create table sebastian.steering (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    agent_id bigint,
    change jsonb not null
);

comment on table sebastian.steering is 'Pauses and capacities as people changed them; without an agent it is the default capacity.';

create index steering_at on sebastian.steering (at);
