alter table incident add column parked integer not null default 0;

-- Not over lease_until: every append moves that, and would write the index too.
create index incident_live on incident (n) where ended = 0;

-- With a rowid, what is appended goes to the last page, whosever it is: a group of writers shares
-- its pages, and a row of some kilobytes needs no page of its own.
alter table record rename to record_before;

create table record (
  incident_id text not null,
  seq integer not null,
  body blob not null,
  hash blob not null,
  unique (incident_id, seq)
) strict;

insert into record select incident_id, seq, body, hash from record_before order by incident_id, seq;

drop table record_before;

alter table kv rename to kv_before;

create table kv (
  key text not null unique,
  value blob not null
) strict;

insert into kv select key, value from kv_before;

drop table kv_before;

alter table action_log rename to action_log_before;

create table action_log (
  key text primary key,
  incident_id text not null,
  step_id text not null,
  attempt integer not null,
  action text not null,
  target text not null,
  at real not null,
  settled integer not null default 0
) strict, without rowid;

insert into action_log
select key, incident_id, step_id, attempt, action, target, at, settled from action_log_before;

drop table action_log_before;

create index action_log_target on action_log (target, at);

create table head_signature (
  incident_id text not null,
  seq integer not null,
  head blob not null,
  at text not null,
  key_id text not null,
  signature blob not null,
  primary key (incident_id, seq, key_id)
) strict, without rowid;

create table audit_blob (
  digest text primary key,
  incident_id text not null,
  step_id text not null,
  at real not null,
  expires_at real not null,
  sealed blob not null
) strict;

create index audit_blob_expiry on audit_blob (expires_at);
