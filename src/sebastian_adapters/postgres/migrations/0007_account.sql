-- Whose tables these are: room ids mean nothing at another account of Qiscus.

create table sebastian.account (
    one boolean primary key default true check (one),
    app_id text not null,
    set_by text not null default '',
    set_at timestamptz not null default clock_timestamp()
);

comment on table sebastian.account is 'The account of Qiscus that the tables belong to: one row, written by the first start. Processes of another account are refused.';
