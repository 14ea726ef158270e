-- Logins of the floor page that somebody ended: their cookies prove themselves, so that a cookie
-- that was copied would open the page until its time is over.

create table sebastian.ended_login (
    login text primary key,
    until timestamptz not null
);

comment on table sebastian.ended_login is 'Logins of the floor page that were ended before their time, kept until a day after it.';

create index ended_login_until on sebastian.ended_login (until);
