create table change (
  id text primary key,
  at double precision not null,
  data bytea not null
);

create index change_at on change (at);
