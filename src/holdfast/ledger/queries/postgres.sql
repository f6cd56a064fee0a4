-- open_incident --
-- Ids are for people, so they count up; a number that was never used leaves a gap.
with counted as (
  update counter set value = value + 1 where name = 'incident' returning value)
insert into incident (id, n, fence, owner, lease_until, seq, head)
select 'INC-' || value, value, 1, %(owner)s, holdfast_now() + %(lease_s)s, 0,
       decode(repeat('00', 32), 'hex')
  from counted
returning id;

-- claim_many --
-- Expired leases first and the oldest of them first: an order that starves them hides every bug.
-- A row that somebody else is just taking is passed over, so that workers never wait for each other.
with free as (
  select id, lease_until as until from incident
   where not ended and seq > 0
     and (lease_until <= holdfast_now()
       or (owner is null
         and (not parked or due_at <= holdfast_now()
           or id in (select incident_id from inbox where answer is null))))
   order by lease_until is null, lease_until, n
   limit %(most)s
   for update skip locked),
taken as (
  update incident i
     set fence = fence + 1, owner = %(owner)s, parked = false,
         lease_until = holdfast_now() + %(lease_s)s
    from free where i.id = free.id
  returning i.id, i.fence, i.seq, i.head, i.n, free.until)
select id, fence, seq, head from taken order by until is null, until, n;

-- claim_one --
-- One incident by name: a request may arrive for one that has ended.
update incident
   set fence = fence + 1, owner = %(owner)s, parked = false,
       lease_until = holdfast_now() + %(lease_s)s
 where id = %(id)s and seq > 0 and (owner is null or lease_until <= holdfast_now())
returning id, fence, seq, head;

-- renew_many --
-- A lease is renewed only by the one who holds the fence; who is not in the answer has lost it. It is
-- never made shorter: an intent may have taken a longer one for its action.
-- Rows are locked in the order in which a group of appends takes them, so neither waits in a ring.
with held as (
  select i.id from incident i
    join unnest(%(ids)s::text[], %(fences)s::bigint[]) as asked (id, fence)
      on i.id = asked.id and i.fence = asked.fence
   where i.owner = %(owner)s
   order by i.id collate "C"
     for no key update of i)
update incident i set lease_until = greatest(i.lease_until, holdfast_now() + %(lease_s)s)
  from held where i.id = held.id
returning i.id, i.fence;

-- lease_left --
-- By the store's clock, as the lease was written by it.
select lease_until - holdfast_now() from incident
 where id = %(id)s and fence = %(fence)s and owner = %(owner)s;

-- release --
-- The fence stays: whoever claims next raises it, and is told that there is something to claim.
with released as (
  update incident set owner = null, lease_until = null
   where id = %(id)s and fence = %(fence)s and owner = %(owner)s
  returning id)
select pg_notify('holdfast', '') from released;

-- park --
-- A request that arrives at this very moment makes the parked incident claimable, so none is lost.
-- Asked twice because the first reply was lost, it says yes again.
update incident set owner = null, lease_until = null, parked = true, due_at = %(due_at)s
 where id = %(id)s and fence = %(fence)s and (owner = %(owner)s or (owner is null and parked))
   and not exists (select from inbox where incident_id = %(id)s and answer is null)
returning id;

-- written --
-- What became of appends whose reply was lost, and whether the fence is still theirs.
select r.incident_id, r.seq, r.hash, i.fence = asked.fence
  from unnest(%(ids)s::text[], %(seqs)s::bigint[], %(fences)s::bigint[]) as asked (id, seq, fence)
  join record r on r.incident_id = asked.id and r.seq = asked.seq
  join incident i on i.id = asked.id;

-- append_system --
-- See the migration: under the lock that intents share.
select holdfast_append_system(%(seq_before)s::bigint, %(body)s::bytea, %(hash)s::bytea);

-- submit --
-- See the migration: under the lock that intents of this incident take.
select holdfast_submit(%(id)s::text, %(incident_id)s::text, %(kind)s::text, %(actor)s::bytea,
                       %(data)s::bytea, %(at)s::text);

-- request_by_id --
-- Read back what was stored under this id.
select n, id, incident_id, kind, actor, data, at from inbox where id = %(id)s;

-- open_requests --
-- Unanswered, in the order in which they came.
select n, id, incident_id, kind, actor, data, at from inbox
 where incident_id = %(incident_id)s and answer is null order by n;

-- incidents_with_requests --
-- Who has something to answer.
select distinct incident_id from inbox where answer is null;

-- answer --
-- The first answer counts.
update inbox set answer = %(answer)s where id = %(id)s and answer is null;

-- answer_of --
-- Null while nobody has answered.
select answer from inbox where id = %(id)s;

-- actions_on --
-- What the guard is shown.
select key, incident_id, step_id, action, target, at, settled from action_log
 where target = %(target)s and (at >= %(since)s or not settled) order by at;

-- actions_since --
-- What the limits on the rate of all actions count.
select key, incident_id, step_id, action, target, at, settled from action_log
 where at >= %(since)s order by at;

-- get_kv --
-- One projection.
select value from kv where key = %(key)s;

-- head --
-- Where the chain ends.
select seq, head from incident where id = %(id)s;

-- records --
-- In order, from a number on, so many at once that a long chain fits into memory; null: all.
select seq, body from record where incident_id = %(incident_id)s and seq > %(after)s order by seq
 limit %(most)s::bigint;

-- records_of --
-- Several chains whole, in one reading.
select incident_id, seq, body from record where incident_id = any(%(ids)s::text[])
 order by incident_id, seq;

-- chain --
-- Records and head in one statement, so that an append between two reads can't look like a cut.
select i.seq, i.head, r.seq, r.body, r.hash
  from (select %(incident_id)s::text as id) wanted
  left join incident i on i.id = wanted.id
  left join record r on r.incident_id = wanted.id
 order by r.seq;

-- incident_ids --
-- Oldest first.
select id from incident
 where seq > 0 and id <> '_system' and not (%(live_only)s::boolean and ended) order by n;

-- lately_ended --
-- One that has ended is due for nothing: its time says until when it may be reopened.
select id from incident where ended and due_at > %(now)s order by n;

-- unsigned_heads --
-- A head rewritten under a signed number is listed again: whoever signs then sees that it is another.
select id, seq, head from incident i
 where seq > 0 and not exists (
   select from head_signature s
    where s.incident_id = i.id and s.seq = i.seq and s.key_id = %(key_id)s and s.head = i.head)
 order by n limit %(most)s;

-- put_signature --
-- What was signed once is never replaced.
insert into head_signature (incident_id, seq, head, at, key_id, signature)
values (%(incident_id)s, %(seq)s, %(head)s, %(at)s, %(key_id)s, %(signature)s)
on conflict do nothing;

-- signatures --
-- Lowest number first.
select incident_id, seq, head, at, key_id, signature from head_signature
 where incident_id = %(incident_id)s order by seq, at;

-- put_blob --
-- The digest names the content, so the same one again is the same entry.
insert into audit_blob (digest, incident_id, step_id, at, expires_at, sealed)
values (%(digest)s, %(incident_id)s, %(step_id)s, %(at)s, %(expires_at)s, %(sealed)s)
on conflict do nothing;

-- blob --
-- One entry of the restricted audit store.
select digest, incident_id, step_id, at, expires_at, sealed from audit_blob
 where digest = %(digest)s;

-- prune_blobs --
-- Retention: what is over is removed; the record that links to it stays.
delete from audit_blob where expires_at <= %(now)s;

-- at_work --
-- Held, shared, by every session that listens: it goes with the process, however that ends.
select pg_advisory_lock_shared(holdfast_lock_key('at work'));

-- take_detector --
-- One detector at a time opens incidents; the lock goes with its session.
select pg_try_advisory_lock(holdfast_lock_key('detector'));

-- somebody_works --
-- Whether anybody listens.
select exists (
  select from pg_locks
   where locktype = 'advisory' and granted and objsubid = 1
     and database = (select oid from pg_database where datname = current_database())
     and (classid::bigint << 32 | objid::bigint) = holdfast_lock_key('at work'));

-- put_change --
-- Whoever tells of a change may tell it twice; the first telling counts. Sent again because the
-- first reply was lost, it says that the change is known.
insert into change (id, at, data) values (%(id)s, %(at)s, %(data)s) on conflict do nothing;

-- changes_since --
-- Where there are too many, the newest: what has just changed is what is asked for.
select data from (
  select id, at, data from change where at >= %(since)s
   order by at desc, id collate "C" desc limit %(most)s) newest
 order by at, id collate "C";
