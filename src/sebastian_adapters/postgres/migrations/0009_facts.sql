-- What decides about a chat that is in doubt, beside the word for the doubt: from when on a reading
-- counts for it, and what its assign call means. The version before writes none of these columns, so
-- they belong to the chat as it is only where `facts_version` is its version.

alter table sebastian.chat
    add column conclusive_from timestamptz,
    add column waiting_counts_from timestamptz,
    add column resolved_counts_from timestamptz,
    add column resolved_in_call text,
    add column outlives_call text,
    add column counts_as_refusal boolean,
    add column facts_version integer;

comment on column sebastian.chat.conclusive_from is 'A reading of the platform that began before this proves nothing about the chat; see the two columns behind it for exceptions.';
comment on column sebastian.chat.facts_version is 'The version of the chat that this column and the six before it belong to; the version of Sebastian before them changes a chat without writing them.';
