-- What every process says of itself, for the floor page and `sebastian doctor`; and the index by
-- which the arrivals and assignments of the last hour are counted.

create table sebastian.worker_state (
    name text primary key,
    at timestamptz not null,
    state jsonb not null default '{}'
)
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

comment on table sebastian.worker_state is 'The last word of each process about itself: how it sees the platform, and what its duties last found. Overwritten every few seconds; nothing rests on it.';

create index history_flow on sebastian.history (at) where move in ('admit', 'confirm');
