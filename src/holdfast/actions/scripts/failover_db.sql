-- The statements of failover_db, one after `-- name:` each. %(...)s are bound by the driver.

-- name: table
-- What a person runs once on the primary; it reaches the standby as everything else does.
create table if not exists holdfast_token (
  target text not null, incident text not null, fence bigint not null, key text primary key,
  at timestamptz not null default clock_timestamp(), promoted_at timestamptz
)

-- name: look
-- Needs no table, so that what is missing can be said.
select pg_is_in_recovery() as in_recovery,
       pg_postmaster_start_time()::text as started_at,
       current_setting('default_transaction_read_only') = 'on' as read_only,
       to_regclass('holdfast_token') is not null as has_tokens,
       has_function_privilege('pg_promote(boolean, integer)', 'execute') as may_promote,
       (select system_identifier::text from pg_control_system()) as system_id,
       coalesce(pg_wal_lsn_diff(
         case when pg_is_in_recovery() then pg_last_wal_receive_lsn() end,
         case when pg_is_in_recovery() then pg_last_wal_replay_lsn() end), 0)::bigint as behind_bytes

-- name: lock
-- Works on a standby too. Held by the session, so it goes when the worker does.
select pg_try_advisory_lock(hashtextextended('holdfast failover ' || %(target)s, 0)) as got

-- name: known
select promoted_at is not null as promoted, at::text as at from holdfast_token where key = %(key)s

-- name: seal
-- On the primary, which takes no other writes any more, before a planned failover: refused when a
-- newer fence was there.
insert into holdfast_token (target, incident, fence, key)
select %(target)s, %(incident)s, %(fence)s, %(key)s
where not exists (
  select from holdfast_token
  where target = %(target)s and incident = %(incident)s and fence > %(fence)s)
on conflict (key) do update set fence = greatest(holdfast_token.fence, excluded.fence)
returning key

-- name: would
-- What speaks against a promotion by now: asked before the fence is run, which can't be taken back.
select case
  when not pg_is_in_recovery() then 'primary'
  when pg_postmaster_start_time()::text <> %(started_at)s then 'restarted'
  when exists (
    select from holdfast_token
    where target = %(target)s and incident = %(incident)s and fence > %(fence)s) then 'stale'
  else 'ready'
end as state

-- name: promote
-- Everything is checked and done in one statement: `case` looks at its branches in order, and
-- pg_promote is volatile, so it is not called before its branch is reached.
select case
  when not pg_is_in_recovery() then 'primary'
  when pg_postmaster_start_time()::text <> %(started_at)s then 'restarted'
  when exists (
    select from holdfast_token where key = %(key)s and promoted_at is not null) then 'known'
  when exists (
    select from holdfast_token
    where target = %(target)s and incident = %(incident)s and fence > %(fence)s) then 'stale'
  when pg_promote(true, %(wait_s)s) then 'promoted'
  else 'slow'
end as state

-- name: remember
-- On the new primary.
insert into holdfast_token (target, incident, fence, key, promoted_at)
values (%(target)s, %(incident)s, %(fence)s, %(key)s, clock_timestamp())
on conflict (key) do update set promoted_at = coalesce(holdfast_token.promoted_at, excluded.promoted_at)
