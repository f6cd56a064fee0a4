-- next_incident_number --
-- Ids are for people, so they count up; a number that was never used leaves a gap.
update counter set value = value + 1 where name = 'incident' returning value;

-- create_incident --
-- The row stands before the first record does; an incident without records is not listed.
insert into incident (id, n, fence, owner, lease_until, seq, head)
values (:id, :n, 1, :owner, holdfast_now() + :lease_s, 0, zeroblob(32));

-- claim_next --
-- Expired leases first and the oldest of them first: an order that starves them hides every bug.
update incident
   set fence = fence + 1, owner = :owner, lease_until = holdfast_now() + :lease_s
 where id = (
   select id from incident
    where ended = 0 and seq > 0 and (owner is null or lease_until <= holdfast_now())
    order by lease_until is null, lease_until, n
    limit 1)
returning id, fence, seq, head;

-- claim_one --
-- The same for one incident by name: a request may arrive for one that has ended.
update incident
   set fence = fence + 1, owner = :owner, lease_until = holdfast_now() + :lease_s
 where id = :id and seq > 0 and (owner is null or lease_until <= holdfast_now())
returning id, fence, seq, head;

-- renew --
-- A lease is renewed only by the one who holds the fence.
update incident set lease_until = holdfast_now() + :lease_s
 where id = :id and fence = :fence and owner = :owner
returning id;

-- lease_left --
-- By the store's clock, as the lease was written by it.
select lease_until - holdfast_now() from incident
 where id = :id and fence = :fence and owner = :owner;

-- release --
-- The fence stays: whoever claims next raises it.
update incident set owner = null, lease_until = null
 where id = :id and fence = :fence;

-- move_head --
-- The fence check and the append are one transaction: no row here means that nothing is written.
update incident
   set seq = :seq, head = :head, ended = :ended, due_at = :due_at,
       lease_until = holdfast_now() + :lease_s
 where id = :id and fence = :fence and seq = :seq_before and owner = :owner
returning id;

-- move_system_head --
-- The _system chain has no lease: its appends are short and come one at a time.
update incident set seq = :seq, head = :head where id = '_system' and seq = :seq_before
returning id;

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

-- unsettled_elsewhere --
-- Any unsettled step keeps its target, across incidents.
select incident_id, step_id from action_log
 where target = :target and settled = 0 and key <> :key limit 1;

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

-- newest_open_request --
-- For the second look inside the intent's transaction.
select coalesce(max(n), 0) from inbox where incident_id = :incident_id and answer is null;

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
-- In order, from a number on.
select seq, body, hash from record where incident_id = :incident_id and seq > :after order by seq;

-- chain --
-- Records and head in one statement, so that an append between two reads can't look like a cut.
select r.seq, r.body, r.hash, i.head from record r left join incident i on i.id = r.incident_id
 where r.incident_id = :incident_id order by r.seq;

-- incident_ids --
-- Oldest first.
select id from incident where seq > 0 and id <> '_system' and (:live_only = 0 or ended = 0) order by n;
