create table incident (
  id text primary key,
  n bigint not null unique,
  fence bigint not null,
  owner text,
  lease_until double precision,
  seq bigint not null,
  head bytea not null,
  ended boolean not null default false,
  due_at double precision,
  parked boolean not null default false
) with (fillfactor = 50);

-- Not over lease_until: every append moves that, and would write every index of the row too.
create index incident_live on incident (n) where not ended;

create table record (
  incident_id text not null,
  seq bigint not null,
  body bytea not null,
  hash bytea not null,
  primary key (incident_id, seq)
);

create table kv (
  key text primary key,
  value bytea not null
) with (fillfactor = 50);

create table inbox (
  n bigint generated always as identity primary key,
  id text not null unique,
  incident_id text not null,
  kind text not null,
  actor bytea not null,
  data bytea not null,
  at text not null,
  answer bytea
);

create index inbox_open on inbox (incident_id, n) where answer is null;

create table action_log (
  key text primary key,
  incident_id text not null,
  step_id text not null,
  attempt bigint not null,
  action text not null,
  target text not null,
  at double precision not null,
  settled boolean not null default false
);

create index action_log_target on action_log (target, at);

create index action_log_unsettled on action_log (target) where not settled;

create table counter (
  name text primary key,
  value bigint not null
);

create table head_signature (
  incident_id text not null,
  seq bigint not null,
  head bytea not null,
  at text not null,
  key_id text not null,
  signature bytea not null,
  primary key (incident_id, seq, key_id)
);

create table audit_blob (
  digest text primary key,
  incident_id text not null,
  step_id text not null,
  at double precision not null,
  expires_at double precision not null,
  sealed bytea not null
);

create index audit_blob_expiry on audit_blob (expires_at);

insert into counter (name, value) values ('incident', 0);

insert into incident (id, n, fence, seq, head, ended)
values ('_system', 0, 0, 0, decode(repeat('00', 32), 'hex'), true);
