-- next_incident_number --
-- Ids are for people, so they count up; a number that was never used leaves a gap.
update counter set value = value + 1 where name = 'incident' returning value;

-- create_incident --
-- The row stands before the first record does; an incident without records is not listed.
insert into incident (id, n, fence, owner, lease_until, seq, head)
values (:id, :n, 1, :owner, holdfast_now() + :lease_s, 0, zeroblob(32));

-- claimable --
-- Expired leases first and the oldest of them first: an order that starves them hides every bug.
select id, fence, seq, head from incident
 where ended = 0 and seq > 0
   and (lease_until <= :now
     or (owner is null
       and (parked = 0 or due_at <= :now
         or id in (select incident_id from inbox where answer is null))))
 order by lease_until is null, lease_until, n
 limit :most;

-- take --
-- Chosen and taken in one transaction, so nobody else can have moved it in between.
update incident
   set fence = fence + 1, owner = :owner, lease_until = holdfast_now() + :lease_s, parked = 0
 where id = :id;

-- claim_one --
-- One incident by name: a request may arrive for one that has ended.
update incident
   set fence = fence + 1, owner = :owner, lease_until = holdfast_now() + :lease_s, parked = 0
 where id = :id and seq > 0 and (owner is null or lease_until <= holdfast_now())
returning id, fence, seq, head;

-- renew --
-- A lease is renewed only by the one who holds the fence, and never made shorter: an intent may
-- have taken a longer one for its action.
update incident set lease_until = max(coalesce(lease_until, 0), holdfast_now() + :lease_s)
 where id = :id and fence = :fence and owner = :owner;

-- lease_left --
-- By the store's clock, as the lease was written by it.
select lease_until - holdfast_now() from incident
 where id = :id and fence = :fence and owner = :owner;

-- release --
-- The fence stays: whoever claims next raises it.
update incident set owner = null, lease_until = null
 where id = :id and fence = :fence;

-- park --
-- Looked at in the same statement, so that a request can't slip in and wait for ever.
update incident set owner = null, lease_until = null, parked = 1, due_at = :due_at
 where id = :id and fence = :fence and owner = :owner
   and not exists (select 1 from inbox where incident_id = :id and answer is null);

-- move_head --
-- The fence check and the append are one transaction: no row here means that nothing is written.
-- It sets no `ended`, so that the index of live incidents is not written with every append.
update incident
   set seq = :seq, head = :head, due_at = :due_at, lease_until = holdfast_now() + :lease_s
 where id = :id and fence = :fence and seq = :seq_before and owner = :owner and ended = :ended;

-- move_head_over --
-- The same for the append that ends an incident, or opens it again.
update incident
   set seq = :seq, head = :head, ended = :ended, due_at = :due_at,
       lease_until = holdfast_now() + :lease_s
 where id = :id and fence = :fence and seq = :seq_before and owner = :owner;

-- move_system_head --
-- The _system chain has no lease: its appends are short and come one at a time.
update incident set seq = :seq, head = :head where id = '_system' and seq = :seq_before;

-- insert_record --
-- The exact bytes that were hashed.
insert into record (incident_id, seq, body, hash) values (:incident_id, :seq, :body, :hash);

-- put_kv --
-- Projections are written with the records that they follow from.
insert into kv (key, value) values (:key, :value)
on conflict (key) do update set value = excluded.value;

-- get_kv --
-- One projection.
select value from kv where key = :key;

-- reserve --
-- The key is unique: the same attempt can't be intended twice.
insert into action_log (key, incident_id, step_id, attempt, action, target, at)
values (:key, :incident_id, :step_id, :attempt, :action, :target, holdfast_now());

-- settle --
-- The target is free again.
update action_log set settled = 1 where key = :key;

-- count_actions --
-- Counted where the intents are written, so two workers can't both pass.
select count(*) from action_log
 where target = :target and action = :action and at > holdfast_now() - :window_s;

-- last_action_age --
-- Seconds since the last action on this target, for the cooldown.
select holdfast_now() - max(at) from action_log where target = :target;

-- actions_on --
-- What the guard is shown.
select key, incident_id, step_id, action, target, at, settled from action_log
 where target = :target and (at >= :since or settled = 0) order by at;

-- actions_since --
-- What the limits on the rate of all actions count.
select key, incident_id, step_id, action, target, at, settled from action_log
 where at >= :since order by at;

-- submit --
-- The id makes it safe to send a request twice.
insert into inbox (id, incident_id, kind, actor, data, at)
values (:id, :incident_id, :kind, :actor, :data, :at)
on conflict (id) do nothing;

-- request_by_id --
-- Read back what was stored under this id.
select n, id, incident_id, kind, actor, data, at from inbox where id = :id;

-- open_requests --
-- Unanswered, in the order in which they came.
select n, id, incident_id, kind, actor, data, at from inbox
 where incident_id = :incident_id and answer is null order by n;

-- incidents_with_requests --
-- Who has something to answer.
select distinct incident_id from inbox where answer is null;

-- second_look --
-- In one reading, inside the intent's transaction: where `_system` ends, the newest request that
-- stands unanswered, and whose unsettled step keeps the target, across incidents.
select i.seq,
       (select max(n) from inbox where incident_id = :incident_id and answer is null),
       a.incident_id, a.step_id
  from incident i
  left join action_log a on a.target = :target and a.settled = 0 and a.key <> :key
 where i.id = '_system' limit 1;

-- answer --
-- The first answer counts.
update inbox set answer = :answer where id = :id and answer is null;

-- answer_of --
-- Null while nobody has answered.
select answer from inbox where id = :id;

-- head --
-- Where the chain ends.
select seq, head from incident where id = :id;

-- records --
-- In order, from a number on, so many at once that a long chain fits into memory.
select seq, body from record where incident_id = :incident_id and seq > :after order by seq
 limit :most;

-- records_of --
-- Several chains whole, in one reading; the ids come as a JSON array.
select r.incident_id, r.seq, r.body from json_each(:ids) ids
  join record r on r.incident_id = ids.value
 order by r.incident_id, r.seq;

-- chain --
-- Records and head in one statement, so that an append between two reads can't look like a cut.
select i.seq, i.head, r.seq, r.body, r.hash
  from (select :incident_id as id) wanted
  left join incident i on i.id = wanted.id
  left join record r on r.incident_id = wanted.id
 order by r.seq;

-- incident_ids --
-- Oldest first.
select id from incident where seq > 0 and id <> '_system' and (:live_only = 0 or ended = 0) order by n;

-- lately_ended --
-- One that has ended is due for nothing: its time says until when it may be reopened.
select id from incident where ended = 1 and due_at > :now order by n;

-- unsigned_heads --
-- A head rewritten under a signed number is listed again: whoever signs then sees that it is another.
select id, seq, head from incident i
 where seq > 0 and not exists (
   select 1 from head_signature s
    where s.incident_id = i.id and s.seq = i.seq and s.key_id = :key_id and s.head = i.head)
 order by n limit :most;

-- put_signature --
-- What was signed once is never replaced.
insert into head_signature (incident_id, seq, head, at, key_id, signature)
values (:incident_id, :seq, :head, :at, :key_id, :signature)
on conflict do nothing;

-- signatures --
-- Lowest number first.
select incident_id, seq, head, at, key_id, signature from head_signature
 where incident_id = :incident_id order by seq, at;

-- put_blob --
-- The digest names the content, so the same one again is the same entry.
insert into audit_blob (digest, incident_id, step_id, at, expires_at, sealed)
values (:digest, :incident_id, :step_id, :at, :expires_at, :sealed)
on conflict do nothing;

-- blob --
-- One entry of the restricted audit store.
select digest, incident_id, step_id, at, expires_at, sealed from audit_blob where digest = :digest;

-- prune_blobs --
-- Retention: what is over is removed; the record that links to it stays.
delete from audit_blob where expires_at <= :now;

-- put_change --
-- Whoever tells of a change may tell it twice; the first telling counts.
insert into change (id, at, data) values (:id, :at, :data) on conflict do nothing;

-- changes_since --
-- Where there are too many, the newest: what has just changed is what is asked for.
select data from (
  select id, at, data from change where at >= :since order by at desc, id desc limit :most)
 order by at, id;
