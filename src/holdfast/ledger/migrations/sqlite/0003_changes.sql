create table change (
  id text primary key,
  at real not null,
  data blob not null
) strict;

create index change_at on change (at);
