-- Every statement that Sebastian sends, each with a name and why it is as it is.
-- `{chat}` stands for the columns of a chat in the order in which rows.py reads them, `{readable}`
-- for the condition that this version knows the words in it: others are in no list.

-- name: begin
-- Lock and read are two statements, and the second must see what the lock's last holder committed:
-- this isolation gives each statement a snapshot of its own.
begin isolation level read committed

-- name: commit
-- What was written is durable when this is answered.
commit

-- name: rollback
-- The end of whatever wrote nothing: there is no need to wait for the disk.
rollback

-- name: limits
-- Each transaction brings its own limits: a proxy that pools by transaction cannot lose them. The
-- line is empty at one moment and holds a million chats at the next, so a plan that scans whole
-- tables, made when they were small, must never be kept. Who asks by ids alone has no need of a plan
-- for each asking. Names are looked up as sessions.py says, also behind a proxy that pools by
-- transaction.
select
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
    pg_catalog.set_config('lock_timeout', %(lock_timeout)s, true),
    pg_catalog.set_config('statement_timeout', %(statement_timeout)s, true),
    pg_catalog.set_config(
        'idle_in_transaction_session_timeout', %(idle_in_transaction_session_timeout)s, true
    ),
    pg_catalog.set_config('synchronous_commit', 'on', true),
    pg_catalog.set_config('enable_seqscan', 'off', true),
    pg_catalog.set_config('jit', 'off', true),
    pg_catalog.set_config('plan_cache_mode', %(plan_cache_mode)s, true)

-- name: account
-- Whose tables these are; no row before the first start.
select app_id from sebastian.account where one

-- name: claim_account
-- The first one stays: another process waits here until that is decided.
insert into sebastian.account (app_id) values (%(app_id)s) on conflict (one) do nothing

-- name: migrations
-- Which of them were applied, each with the oldest code that it admits.
select number, oldest_code from sebastian.migration

-- name: settings
-- What the server really does with our transactions; read inside one, after `limits`.
select name, setting
from pg_settings
where name = any(%(names)s::text[])

-- name: lock_line
-- The one lock for whatever adds load, changes capacity or puts a chat into the line. Always a
-- statement of its own: the next one then sees everything that its last holder committed.
select pg_advisory_xact_lock(5337264819)

-- name: clock
-- The clock that counts, read after the locks were waited for.
select clock_timestamp()

-- name: lock_rooms
-- Rooms never heard of get a row, so that there is something to lock; then those that have one are
-- locked. In one order everywhere, so that two groups never wait for each other. A row that somebody
-- else adds meanwhile is in neither half: whoever misses it asks again.
with met as (
    insert into sebastian.room (room_id)
    select room_id from unnest(%(room_ids)s::text[]) as asked (room_id)
    order by room_id collate "C"
    on conflict (room_id) do nothing
    returning room_id, closed_service_id, closed_at, closed_by_id, last_assigned_at, dropped
)
select room_id, closed_service_id, closed_at, closed_by_id, last_assigned_at, dropped
from met
union all
select *
from (
    select room_id, closed_service_id, closed_at, closed_by_id, last_assigned_at, dropped
    from sebastian.room
    where room_id = any(%(room_ids)s::text[])
    order by room_id
    for update
) as known

-- name: lock_live_chats
-- After the rooms, in a statement of its own: it sees what the lock's last holder wrote. The clock
-- that counts stands in each row and is read behind its lock, the last one's behind all of them;
-- there is one row even where no chat lives.
select clock_timestamp(), locked.*
from (values (true)) as always
left join (
    select {chat}
    from sebastian.chat
    where room_id = any(%(room_ids)s::text[]) and state <> 'closed'
    order by id
    for update
) as locked on true

-- name: save_chats
-- Their rows are locked. Columns that never change are left alone. One history row per change that
-- is told, in the statement that makes it: a group is small as a rule, and then a statement costs
-- more than its rows.
with told as (
    insert into sebastian.history
        (chat_id, room_id, version, at, move, before, after, agent_id, reservation_id, reason,
         actor, details)
    select
        chat_id, room_id, version, %(now)s, move, before, after, agent_id, reservation_id, reason,
        actor, details::jsonb
    from unnest(
        %(told_chat_id)s::bigint[],
        %(told_room_id)s::text[],
        %(told_version)s::integer[],
        %(told_move)s::text[],
        %(told_before)s::text[],
        %(told_after)s::text[],
        %(told_agent_id)s::bigint[],
        %(told_reservation_id)s::bigint[],
        %(told_reason)s::text[],
        %(told_actor)s::text[],
        %(told_details)s::text[]
    ) with ordinality as told (
        chat_id, room_id, version, move, before, after, agent_id, reservation_id, reason, actor,
        details, nr
    )
    order by nr
)
update sebastian.chat
set
    state = new.state,
    version = new.version,
    changed_at = new.changed_at,
    ready_at = new.ready_at,
    needs = new.needs,
    agent_id = new.agent_id,
    reservation_id = new.reservation_id,
    assigned_at = new.assigned_at,
    adopted = new.adopted,
    asked_again_at = new.asked_again_at,
    refusals = new.refusals,
    refused_by = new.refused_by,
    passes = new.passes,
    excluded_until = new.excluded_until,
    doubt = new.doubt,
    settle_at = new.settle_at,
    closed_at = new.closed_at,
    close_reason = new.close_reason,
    conclusive_from = new.conclusive_from,
    waiting_counts_from = new.waiting_counts_from,
    resolved_counts_from = new.resolved_counts_from,
    resolved_in_call = new.resolved_in_call,
    outlives_call = new.outlives_call,
    counts_as_refusal = new.counts_as_refusal,
    facts_version = new.version
from unnest(
    %(id)s::bigint[],
    %(state)s::text[],
    %(version)s::integer[],
    %(changed_at)s::timestamptz[],
    %(ready_at)s::timestamptz[],
    %(needs)s::text[],
    %(agent_id)s::bigint[],
    %(reservation_id)s::bigint[],
    %(assigned_at)s::timestamptz[],
    %(adopted)s::boolean[],
    %(asked_again_at)s::timestamptz[],
    %(refusals)s::integer[],
    %(refused_by)s::bigint[],
    %(passes)s::integer[],
    %(excluded_until)s::timestamptz[],
    %(doubt)s::text[],
    %(settle_at)s::timestamptz[],
    %(closed_at)s::timestamptz[],
    %(close_reason)s::text[],
    %(conclusive_from)s::timestamptz[],
    %(waiting_counts_from)s::timestamptz[],
    %(resolved_counts_from)s::timestamptz[],
    %(resolved_in_call)s::text[],
    %(outlives_call)s::text[],
    %(counts_as_refusal)s::boolean[]
) as new (
    id, state, version, changed_at, ready_at, needs, agent_id, reservation_id, assigned_at,
    adopted, asked_again_at, refusals, refused_by, passes, excluded_until, doubt, settle_at,
    closed_at, close_reason, conclusive_from, waiting_counts_from, resolved_counts_from,
    resolved_in_call, outlives_call, counts_as_refusal
)
where chat.id = new.id

-- name: add_chats
-- New chats with their first history row. They get their ids in the order in which they came: who
-- came first stands first where moments of arrival are equal. A room opens one at most.
with new as (
    select *
    from unnest(
        %(room_id)s::text[],
        %(state)s::text[],
        %(version)s::integer[],
        %(arrived_at)s::timestamptz[],
        %(changed_at)s::timestamptz[],
        %(ready_at)s::timestamptz[],
        %(needs)s::text[],
        %(source)s::text[],
        %(base_service_id)s::bigint[],
        %(base_resolved)s::boolean[],
        %(agent_id)s::bigint[],
        %(assigned_at)s::timestamptz[],
        %(adopted)s::boolean[],
        %(doubt)s::text[],
        %(settle_at)s::timestamptz[],
        %(conclusive_from)s::timestamptz[],
        %(waiting_counts_from)s::timestamptz[],
        %(properties)s::text[],
        %(move)s::text[],
        %(reason)s::text[],
        %(actor)s::text[],
        %(details)s::text[]
    ) with ordinality as new (
        room_id, state, version, arrived_at, changed_at, ready_at, needs, source,
        base_service_id, base_resolved, agent_id, assigned_at, adopted, doubt, settle_at,
        conclusive_from, waiting_counts_from, properties, move, reason, actor, details, nr
    )
),
added as (
    insert into sebastian.chat
        (room_id, state, version, arrived_at, changed_at, ready_at, needs, source,
         base_service_id, base_resolved, agent_id, assigned_at, adopted, doubt, settle_at,
         conclusive_from, waiting_counts_from, facts_version, properties)
    select
        room_id, state, version, arrived_at, changed_at, ready_at, needs, source,
        base_service_id, base_resolved, agent_id, assigned_at, adopted, doubt, settle_at,
        conclusive_from, waiting_counts_from, version, properties::jsonb
    from new
    order by nr
    returning id, room_id
),
told as (
    insert into sebastian.history
        (chat_id, room_id, version, at, move, after, agent_id, reason, actor, details)
    select
        added.id, new.room_id, new.version, %(now)s, new.move, new.state, new.agent_id,
        new.reason, new.actor, new.details::jsonb
    from new
    join added using (room_id)
    order by new.nr
)
select room_id, id from added

-- name: save_rooms
-- What is remembered of rooms whose last chat ended otherwise than we knew.
update sebastian.room
set
    closed_service_id = new.closed_service_id,
    closed_at = new.closed_at,
    closed_by_id = new.closed_by_id,
    last_assigned_at = new.last_assigned_at,
    dropped = new.dropped
from unnest(
    %(room_id)s::text[],
    %(closed_service_id)s::bigint[],
    %(closed_at)s::timestamptz[],
    %(closed_by_id)s::boolean[],
    %(last_assigned_at)s::timestamptz[],
    %(dropped)s::boolean[]
) as new (room_id, closed_service_id, closed_at, closed_by_id, last_assigned_at, dropped)
where room.room_id = new.room_id

-- name: save_watches
-- The later wish about one agent counts.
insert into sebastian.watch (agent_id, list_at)
select agent_id, list_at
from unnest(%(agent_id)s::bigint[], %(list_at)s::timestamptz[]) as new (agent_id, list_at)
order by agent_id
on conflict (agent_id) do update set list_at = excluded.list_at

-- name: staffing
-- How many live chats each agent holds, what people decided about agents, when each was last given a
-- chat, and the default capacity, if people set one; in arrays: ten thousand rows would cost more to
-- read. With a moment, of the agents only those whom somebody decided about and those who were given
-- a chat since. The clock is read behind all that: nothing here is younger.
select
    held.agent_ids, held.loads,
    known.agent_ids, known.paused, known.capacities, known.last_given_at,
    (select value from sebastian.setting where name = 'default capacity'),
    clock_timestamp()
from (
    select
        coalesce(array_agg(agent_id), '{}') as agent_ids,
        coalesce(array_agg(load), '{}') as loads
    from (
        select agent_id, count(*)::integer as load
        from sebastian.chat
        where state in ('reserved', 'assigned')
        group by agent_id
    ) as held_by_agent
) as held
cross join (
    select
        coalesce(array_agg(agent_id), '{}') as agent_ids,
        coalesce(array_agg(paused), '{}') as paused,
        coalesce(array_agg(capacity), '{}') as capacities,
        coalesce(array_agg(last_given_at), '{}') as last_given_at
    from sebastian.agent
    where
        %(since)s::timestamptz is null
        or last_given_at >= %(since)s
        or paused
        or capacity is not null
) as known

-- name: default_capacity
-- The default capacity that people set here, if they did.
select value from sebastian.setting where name = 'default capacity'

-- name: heads
-- Which needs are waited for (one step through the index per line, however long the lines are), the
-- heads of those lines that may be served, and exactly what was visible when all this was read. The
-- clock is read after the snapshot was taken: whatever is visible is not from the future.
with recursive line (needs) as (
    (
        select needs from sebastian.chat
        where state = 'waiting' and settle_at is null
        order by needs
        limit 1
    )
    union all
    select (
        select chat.needs from sebastian.chat
        where chat.state = 'waiting' and chat.settle_at is null and chat.needs > line.needs
        order by chat.needs
        limit 1
    )
    from line
    where line.needs is not null
),
moment as materialized (
    select
        clock_timestamp() as now,
        pg_current_snapshot()::text as snapshot,
        (select array_agg(needs) from line where needs is not null) as lines
)
select
    moment.now,
    moment.snapshot,
    case when row_number() over (order by chat.arrived_at, chat.id) = 1 then moment.lines end,
    case when chat.id is not null then nextval('sebastian.reservation_id') end,
    {chat}
from moment
left join line on line.needs is not null and line.needs <> all(%(closed)s::text[])
left join lateral (
    select head.*
    from sebastian.chat as head
    where
        head.state = 'waiting'
        and head.settle_at is null
        and head.doubt is null
        and head.needs = line.needs
        and head.ready_at <= moment.now
    order by head.arrived_at, head.id
    limit %(limit)s
) as chat on true
order by chat.arrived_at, chat.id
limit %(first)s

-- name: lock_offered_chats
-- In the order in which everybody locks chats, before they are written.
select id
from sebastian.chat
where id = any(%(ids)s::bigint[]) and state = 'waiting'
order by id
for update

-- name: reserve_chats
-- Only a chat that is still what was offered gets its slot; only what got one is told, and answered.
-- The agents who were given a chat go behind their equals. The pass keeps what it saw, with the
-- snapshot of the statement that read the heads.
with offered as (
    select *
    from unnest(
        %(id)s::bigint[],
        %(room_id)s::text[],
        %(version)s::integer[],
        %(settle_at)s::timestamptz[],
        %(conclusive_from)s::timestamptz[],
        %(agent_id)s::bigint[],
        %(reservation_id)s::bigint[],
        %(move)s::text[],
        %(reason)s::text[],
        %(actor)s::text[],
        %(details)s::text[]
    ) with ordinality as offered (
        id, room_id, version, settle_at, conclusive_from, agent_id, reservation_id, move, reason,
        actor, details, nr
    )
),
taken as (
    update sebastian.chat
    set
        state = 'reserved',
        version = offered.version,
        changed_at = %(now)s,
        agent_id = offered.agent_id,
        reservation_id = offered.reservation_id,
        doubt = null,
        settle_at = offered.settle_at,
        conclusive_from = offered.conclusive_from,
        waiting_counts_from = null,
        resolved_counts_from = null,
        resolved_in_call = null,
        outlives_call = null,
        counts_as_refusal = null,
        facts_version = offered.version
    from offered
    where
        chat.id = offered.id
        and chat.state = 'waiting'
        and chat.version = offered.version - 1
    returning chat.id
),
given as (
    insert into sebastian.agent (agent_id, last_given_at)
    select distinct offered.agent_id, %(now)s::timestamptz
    from offered
    join taken using (id)
    order by offered.agent_id
    on conflict (agent_id) do update set last_given_at = excluded.last_given_at
),
pass as (
    insert into sebastian.pass
        (at, snapshot, asked, free_slots, given, policy, explained)
    select
        %(now)s, %(snapshot)s::pg_snapshot, %(asked)s, %(free_slots)s, count(*), %(policy)s,
        %(explained)s::jsonb
    from taken
    having count(*) > 0
    returning id
),
told as (
    insert into sebastian.history
        (chat_id, room_id, version, at, move, before, after, agent_id, reservation_id, reason,
         actor, details)
    select
        offered.id, offered.room_id, offered.version, %(now)s, offered.move, 'waiting', 'reserved',
        offered.agent_id, offered.reservation_id, offered.reason, offered.actor,
        offered.details::jsonb || jsonb_build_object('pass', pass.id)
    from offered
    join taken using (id)
    cross join pass
    order by offered.nr
)
select coalesce(array_agg(id), '{}') from taken

-- name: reservation_id
-- A fencing token.
select nextval('sebastian.reservation_id')

-- name: mark_given
-- Who was given a chat just now goes behind their equals.
insert into sebastian.agent (agent_id, last_given_at)
select agent_id, %(now)s
from unnest(%(agent_ids)s::bigint[]) as given (agent_id)
order by agent_id
on conflict (agent_id) do update set last_given_at = excluded.last_given_at

-- name: due
-- Chats to be settled, the longest due first. (A clock in a subquery is read once, so that the
-- index can be searched with it; this is so in all that follows.)
select {chat}
from sebastian.chat
where settle_at <= (select clock_timestamp()) and state <> 'closed' and {readable}
order by settle_at, id
limit %(limit)s

-- name: rooms
-- A room that nothing is remembered of counts as never heard of.
select room_id, closed_service_id, closed_at, closed_by_id, last_assigned_at, dropped
from sebastian.room
where room_id = any(%(room_ids)s::text[])

-- name: live_chats
-- The live chats of some rooms.
select {chat}
from sebastian.chat
where room_id = any(%(room_ids)s::text[]) and state <> 'closed'

-- name: held_by
-- The chats that count as one agent's load.
select {chat}
from sebastian.chat
where agent_id = %(agent_id)s and state in ('reserved', 'assigned') and {readable}
order by id

-- name: waiting
-- The line in its order, from its head or from behind a place in it.
select {chat}
from sebastian.chat
where
    state = 'waiting'
    and (arrived_at, id) > (coalesce(%(after_at)s::timestamptz, '-infinity'), %(after_id)s::bigint)
    and {readable}
order by arrived_at, id
limit %(limit)s

-- name: ahead_of
-- How many stand before a place in the line.
select count(*)::integer
from sebastian.chat
where state = 'waiting' and (arrived_at, id) < (%(arrived_at)s, %(id)s)

-- name: holdings
-- What the platform may count of each agent: surely what was assigned long enough ago, perhaps
-- whatever is held or was closed only just. `lagging` is how old the platform's truth may be.
select
    coalesce(array_agg(agent_id), '{}'),
    coalesce(array_agg(low), '{}'),
    coalesce(array_agg(high), '{}')
from (
    select agent_id, sum(surely)::integer as low, count(*)::integer as high
    from (
        select
            agent_id,
            (state = 'assigned' and assigned_at <= %(lagging)s)::integer as surely
        from sebastian.chat
        where state in ('reserved', 'assigned')
        union all
        select agent_id, 0
        from sebastian.chat
        where closed_at > %(lagging)s and agent_id is not null
    ) as counted
    group by agent_id
) as bounds

-- name: take_watches
-- Whoever takes a wish off carries it out; two who ask at once get different ones.
delete from sebastian.watch
where agent_id in (
    select agent_id from sebastian.watch
    where list_at <= (select clock_timestamp())
    order by list_at
    limit %(limit)s
    for update skip locked
)
returning agent_id

-- name: set_agent
-- What a person decided about an agent. When the agent was last given a chat is not theirs to say.
insert into sebastian.agent (agent_id, paused, capacity, set_by, set_at)
values (%(agent_id)s, %(paused)s, %(capacity)s, %(actor)s, clock_timestamp())
on conflict (agent_id) do update
set
    paused = excluded.paused,
    capacity = excluded.capacity,
    set_by = excluded.set_by,
    set_at = excluded.set_at
returning agent_id

-- name: agent_setting
-- What people decided about one agent; nobody else can change it under the lock.
select paused, capacity, last_given_at from sebastian.agent where agent_id = %(agent_id)s

-- name: tell_setting_change
-- What a person changed, and who it was.
insert into sebastian.steering (actor, agent_id, change)
values (%(actor)s, %(agent_id)s, %(change)s::jsonb)

-- name: setting_changes
-- What people changed, newest first.
select at, actor, agent_id, change from sebastian.steering order by id desc limit %(limit)s

-- name: set_default_capacity
-- The default that beats the file's.
insert into sebastian.setting (name, value, set_by, set_at)
values ('default capacity', %(capacity)s, %(actor)s, clock_timestamp())
on conflict (name) do update
set value = excluded.value, set_by = excluded.set_by, set_at = excluded.set_at
returning name

-- name: drop_default_capacity
-- Back to the file's.
delete from sebastian.setting where name = 'default capacity' returning name

-- name: hasten
-- Refused chats become ready at once, each with its history row.
with moment as materialized (
    select clock_timestamp() as now
),
late as materialized (
    select chat.id
    from sebastian.chat, moment
    where
        chat.state = 'waiting'
        and chat.refusals > 0
        and chat.changed_at >= %(since)s
        and chat.ready_at > moment.now
    order by chat.id
    for update of chat
),
hastened as (
    update sebastian.chat
    set ready_at = moment.now, changed_at = moment.now, version = chat.version + 1
    from late, moment
    where chat.id = late.id and chat.state = 'waiting'
    returning chat.id, chat.room_id, chat.version, moment.now
)
insert into sebastian.history (chat_id, room_id, version, at, move, before, after, reason, actor)
select id, room_id, version, now, 'hasten', 'waiting', 'waiting', %(reason)s, %(actor)s
from hastened
order by id
returning chat_id

-- name: lift_exclusions
-- The chat goes back to the line of its channel, at the place of its arrival.
with over as (
    select id from sebastian.chat
    where excluded_until <= (select clock_timestamp()) and state <> 'closed'
    order by id
    for update
)
update sebastian.chat
set needs = split_part(chat.needs, '=', 1), excluded_until = null
from over
where chat.id = over.id
returning chat.id

-- name: bring_chats_back
-- What lies further ahead than it can, written by a clock that was set back since. Each kind is
-- found by an index of its own; refused ones and those that hold a slot are few enough to be looked
-- at one by one.
with moment as materialized (
    select clock_timestamp() as now
),
ahead as (
    select chat.id from sebastian.chat, moment
    where chat.state = 'waiting' and chat.arrived_at > moment.now + %(passed)s::interval
    union
    select chat.id from sebastian.chat, moment
    where
        chat.state = 'waiting'
        and chat.refusals > 0
        and (
            chat.ready_at > moment.now + %(ready)s::interval
            or chat.changed_at > moment.now + %(passed)s::interval
        )
    union
    select chat.id from sebastian.chat, moment
    where
        chat.state in ('reserved', 'assigned')
        and (
            chat.changed_at > moment.now + %(passed)s::interval
            or chat.conclusive_from > moment.now + %(passed)s::interval
        )
    union
    select chat.id from sebastian.chat, moment
    where chat.settle_at > moment.now + %(settle)s::interval
    union
    select chat.id from sebastian.chat, moment
    where
        chat.excluded_until > moment.now + %(excluded)s::interval
        and chat.excluded_until is not null
        and chat.state <> 'closed'
    union
    select chat.id from sebastian.chat, moment
    where chat.closed_at > moment.now + %(passed)s::interval
),
locked as (
    select chat.id
    from sebastian.chat
    join ahead using (id)
    order by chat.id
    for update of chat
)
update sebastian.chat
set
    arrived_at = case
        when arrived_at > now + %(passed)s::interval then now else arrived_at
    end,
    changed_at = case
        when changed_at > now + %(passed)s::interval then now else changed_at
    end,
    assigned_at = case
        when assigned_at > now + %(passed)s::interval then now else assigned_at
    end,
    asked_again_at = case
        when asked_again_at > now + %(passed)s::interval then now else asked_again_at
    end,
    closed_at = case
        when closed_at > now + %(passed)s::interval then now else closed_at
    end,
    conclusive_from = case
        when conclusive_from <= now + %(passed)s::interval then conclusive_from
    end,
    waiting_counts_from = case
        when waiting_counts_from <= now + %(passed)s::interval then waiting_counts_from
    end,
    resolved_counts_from = case
        when resolved_counts_from <= now + %(passed)s::interval then resolved_counts_from
    end,
    ready_at = case
        when ready_at > now + %(ready)s::interval then now else ready_at
    end,
    settle_at = case
        when settle_at > now + %(settle)s::interval then now else settle_at
    end,
    excluded_until = case
        when excluded_until > now + %(excluded)s::interval then now else excluded_until
    end
from locked, moment
where chat.id = locked.id
returning chat.id

-- name: bring_rooms_back
-- A close that lies ahead would make every arrival look as if it came right behind it.
with ahead as (
    select room_id from sebastian.room
    where closed_at > (select clock_timestamp() + %(passed)s::interval) and closed_at is not null
    order by room_id
    for update
)
update sebastian.room
set closed_at = clock_timestamp()
from ahead
where room.room_id = ahead.room_id
returning room.room_id

-- name: bring_watches_back
-- Wishes are few.
update sebastian.watch
set list_at = clock_timestamp()
where list_at > (select clock_timestamp() + %(passed)s::interval)

-- name: hold_duty
-- Taken where it is free, ours, over, or ends later than a lease can: a clock that was set back
-- since has written that.
insert into sebastian.duty (name, holder, until)
values ('duties', %(holder)s, clock_timestamp() + %(lease)s::interval)
on conflict (name) do update
set holder = excluded.holder, until = excluded.until
where
    duty.holder = excluded.holder
    or duty.until <= clock_timestamp()
    or duty.until > clock_timestamp() + 2 * %(lease)s::interval
returning true

-- name: history
-- A reservation is told with what its pass saw of the agents.
select
    h.chat_id, h.room_id, h.version, h.at, h.move, h.before, h.after, h.agent_id,
    h.reservation_id, h.reason, h.actor,
    coalesce(p.explained -> (h.details ->> 'needs'), '{}') || h.details
from sebastian.history as h
left join sebastian.pass as p on p.id = (h.details ->> 'pass')::bigint
where h.room_id = %(room_id)s
order by h.id desc
limit %(limit)s

-- name: decisions
-- The newest rows of all rooms.
select
    h.chat_id, h.room_id, h.version, h.at, h.move, h.before, h.after, h.agent_id,
    h.reservation_id, h.reason, h.actor,
    coalesce(p.explained -> (h.details ->> 'needs'), '{}') || h.details
from sebastian.history as h
left join sebastian.pass as p on p.id = (h.details ->> 'pass')::bigint
order by h.id desc
limit %(limit)s

-- name: summary
-- The line and the slots in numbers, from one snapshot.
select
    moment.now,
    count(*) filter (where state = 'waiting'),
    count(*) filter (where state = 'waiting' and settle_at is null and ready_at <= moment.now),
    count(*) filter (where state = 'waiting' and settle_at is not null),
    count(*) filter (where state = 'waiting' and refusals >= %(alert_refusals)s),
    count(*) filter (where state = 'reserved'),
    count(*) filter (where state = 'assigned'),
    count(*) filter (where not ({readable})),
    min(arrived_at) filter (where state = 'waiting')
from (select clock_timestamp() as now) as moment
left join sebastian.chat on chat.state <> 'closed'
group by moment.now

-- name: prune_chats
-- Closed chats, and whatever was told of them, longest closed first.
with old as (
    select id, room_id from sebastian.chat
    where closed_at < (select clock_timestamp() - %(keep)s::interval)
    order by closed_at
    limit %(batch)s
    for update skip locked
),
forgotten as (
    delete from sebastian.history using old
    where history.room_id = old.room_id and history.chat_id = old.id
)
delete from sebastian.chat using old
where chat.id = old.id
returning chat.id

-- name: prune_rooms
-- Rooms of which only an old close is left. A room with chats has history: both go together.
with old as (
    select room_id from sebastian.room
    where
        closed_at < (select clock_timestamp() - %(keep)s::interval)
        and not exists (select from sebastian.history where history.room_id = room.room_id)
    order by closed_at
    limit %(batch)s
    for update skip locked
)
delete from sebastian.room using old
where room.room_id = old.room_id
returning room.room_id

-- name: prune_setting_changes
-- What people changed longer ago than anything is remembered.
delete from sebastian.steering where at < (select clock_timestamp() - %(keep)s::interval)

-- name: prune_passes
-- Passes older than whatever may still be explained.
delete from sebastian.pass
where id in (
    select id from sebastian.pass
    where at < (select clock_timestamp() - %(keep)s::interval)
    order by id
    limit %(batch)s
)

-- name: held
-- What fills the slots, agent by agent.
select {chat}
from sebastian.chat
where state in ('reserved', 'assigned') and {readable}
order by agent_id, id
limit %(limit)s

-- name: flow
-- From the index of what came and went; the wait of a chat that is pruned is not known any more.
select
    date_trunc('minute', h.at) as began_at,
    count(*) filter (where h.move = 'admit'),
    count(*) filter (where h.move = 'confirm' and c.id is not null),
    coalesce(avg(h.at - c.arrived_at) filter (where h.move = 'confirm'), '0'::interval),
    coalesce(max(h.at - c.arrived_at) filter (where h.move = 'confirm'), '0'::interval)
from sebastian.history as h
left join sebastian.chat as c on c.id = h.chat_id and h.move = 'confirm'
where h.move in ('admit', 'confirm') and h.at >= date_trunc('minute', %(since)s::timestamptz)
group by began_at
order by began_at

-- name: report
-- One row per process, overwritten in place.
insert into sebastian.worker_state (name, at, state)
values (%(name)s, clock_timestamp(), %(state)s::jsonb)
on conflict (name) do update set at = excluded.at, state = excluded.state
returning name

-- name: forget_reports
-- Processes that ended long ago.
delete from sebastian.worker_state
where
    at < (select clock_timestamp() - %(keep)s::interval)
    or at > (select clock_timestamp() + %(ahead)s::interval)

-- name: reports
-- Whoever lives, and who fell silent lately.
select name, at, state::text
from sebastian.worker_state
where
    at >= (select clock_timestamp() - %(keep)s::interval)
    and at <= (select clock_timestamp() + %(ahead)s::interval)
order by name collate "C"

-- name: end_login
-- A login of the floor page is over from now on; the first word counts.
insert into sebastian.ended_login (login, until)
values (%(login)s, %(until)s)
on conflict (login) do nothing
returning login

-- name: forget_logins
-- Logins whose cookies are over by themselves; a day later, because clocks differ.
delete from sebastian.ended_login
where until < (select clock_timestamp() - interval '1 day')

-- name: ended_logins
-- Which of these were ended.
select login
from sebastian.ended_login
where login = any(%(logins)s::text[])
