create table incident (
  id text primary key,
  n integer not null unique,
  fence integer not null,
  owner text,
  lease_until real,
  seq integer not null,
  head blob not null,
  ended integer not null default 0,
  due_at real
) strict;

create table record (
  incident_id text not null,
  seq integer not null,
  body blob not null,
  hash blob not null,
  primary key (incident_id, seq)
) strict, without rowid;

create table kv (
  key text primary key,
  value blob not null
) strict, without rowid;

create table inbox (
  n integer primary key autoincrement,
  id text not null unique,
  incident_id text not null,
  kind text not null,
  actor blob not null,
  data blob not null,
  at text not null,
  answer blob
) strict;

create index inbox_open on inbox (incident_id, n) where answer is null;

create table action_log (
  key text primary key,
  incident_id text not null,
  step_id text not null,
  attempt integer not null,
  action text not null,
  target text not null,
  at real not null,
  settled integer not null default 0
) strict;

create index action_log_target on action_log (target, at);

create table counter (
  name text primary key,
  value integer not null
) strict;

insert into counter (name, value) values ('incident', 0);

insert into incident (id, n, fence, seq, head, ended)
values ('_system', 0, 0, 0, zeroblob(32), 1);
