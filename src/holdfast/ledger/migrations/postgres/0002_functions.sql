-- The clock of leases and limits. A session may shift its own, so that a clock that is wrong can be tried out.
create function holdfast_now() returns double precision
language sql volatile as $$
  select date_part('epoch', clock_timestamp())
       + coalesce(nullif(current_setting('holdfast.ahead_s', true), '')::double precision, 0)
$$;

-- Locks are named, not numbered, so that everybody takes the same ones in the same order. Two
-- ledgers in two schemas of one database have their own.
create function holdfast_lock_key(name text) returns bigint
language sql stable as $$
  select hashtextextended('holdfast:' || current_schema() || ':' || name, 0)
$$;

-- What changed since the guard looked: a JSON array of what it is, or null. The locks are held by
-- then, and each statement here sees everything that was committed before them.
create function holdfast_second_look(p_id text, p_look jsonb) returns text
language plpgsql volatile as $$
declare
  v_reserve jsonb := p_look -> 'reserve';
  v_key text := v_reserve ->> 'key';
  v_target text := v_reserve ->> 'target';
  v_cooldown_s double precision := p_look ->> 'cooldown_s';
  v_limit jsonb;
  v_system bigint;
  v_asked boolean;
  v_again boolean;
  v_unsettled text;
  v_count bigint;
  v_now double precision := holdfast_now();
  v_since double precision;
  v_last double precision;
begin
  select seq, exists (select from inbox where incident_id = p_id and answer is null
                                          and n > (p_look ->> 'inbox_n')::bigint)
    into v_system, v_asked from incident where id = '_system';
  if v_system <> (p_look ->> 'system_seq')::bigint then
    return '["system"]';
  end if;
  if v_asked then
    return '["asked"]';
  end if;
  -- An attempt that is performed again keeps the reservation it has.
  if v_reserve is null then
    return null;
  end if;
  select exists (select from action_log where key = v_key),
         (select jsonb_build_array('unsettled', incident_id, step_id)::text from action_log
           where target = v_target and not settled and key <> v_key limit 1)
    into v_again, v_unsettled;
  if v_again then
    return '["again"]';
  end if;
  if v_unsettled is not null then
    return v_unsettled;
  end if;
  for v_limit in select * from jsonb_array_elements(p_look -> 'limits') loop
    v_since := v_now - (v_limit ->> 'window_s')::double precision;
    select count(*) into v_count from action_log
     where target = v_limit ->> 'target' and action = v_limit ->> 'action' and at > v_since;
    if v_count + 1 > (v_limit ->> 'most')::bigint then
      return jsonb_build_array('limit', v_limit -> 'action', v_limit -> 'target', v_count,
                               v_limit -> 'window_s')::text;
    end if;
  end loop;
  if v_cooldown_s > 0 then
    select max(at) into v_last from action_log where target = v_target;
    if v_now - v_last < v_cooldown_s then
      return jsonb_build_array('cooldown', v_now - v_last)::text;
    end if;
  end if;
  return null;
end $$;

-- Appends batches, each for itself: one whose fence is not current any more, or whose grounds
-- changed, writes nothing and says why. One call is one transaction and one round trip. The rows of
-- all batches come together; `..._of` says for each which batch it belongs to, counted from 1.
--
-- A function and not one statement: it takes the locks first, and what it reads after them is what
-- was committed before them. A single statement would look with the eyes of the moment it began.
create function holdfast_append(
  p_ids text[], p_fences bigint[], p_owners text[], p_befores bigint[], p_afters bigint[],
  p_heads bytea[], p_ended boolean[], p_dues double precision[], p_leases double precision[],
  p_record_of integer[], p_seqs bigint[], p_bodies bytea[], p_hashes bytea[],
  p_kv_of integer[], p_keys text[], p_values bytea[],
  p_settle_of integer[], p_settles text[],
  p_answer_of integer[], p_answer_ids text[], p_answers bytea[],
  p_looks text[], p_locks text[]
) returns text
language plpgsql volatile as $$
declare
  -- Assigned, so that one element is found without walking over those before it.
  v_ids text[] := p_ids;
  v_owners text[] := p_owners;
  v_heads bytea[] := p_heads;
  v_looks text[] := p_looks;
  v_written boolean[] := array_fill(true, array[cardinality(p_ids)]);
  v_reasons text[];
  v_reason text;
  v_look jsonb;
  v_reserve jsonb;
  v_lock text;
  v_locked text;
begin
  foreach v_lock in array p_locks loop
    if v_lock = 'system' then
      v_locked := pg_advisory_xact_lock_shared(holdfast_lock_key(v_lock))::text;
    else
      v_locked := pg_advisory_xact_lock(holdfast_lock_key(v_lock))::text;
    end if;
  end loop;
  for i in 1 .. cardinality(p_ids) loop
    v_reason := null;
    v_look := v_looks[i];
    if v_look is not null then
      v_reason := holdfast_second_look(v_ids[i], v_look);
    end if;
    if v_reason is null then
      update incident
         set seq = p_afters[i], head = v_heads[i], ended = p_ended[i], due_at = p_dues[i],
             lease_until = holdfast_now() + p_leases[i]
       where id = v_ids[i] and fence = p_fences[i] and seq = p_befores[i] and owner = v_owners[i];
      if not found then
        v_reason := '["stale"]';
      end if;
    elsif not exists (
      select from incident
       where id = v_ids[i] and fence = p_fences[i] and seq = p_befores[i] and owner = v_owners[i])
    then
      v_reason := '["stale"]';
    end if;
    if v_reason is not null then
      if v_reasons is null then
        v_reasons := array_fill(null::text, array[cardinality(p_ids)]);
      end if;
      v_reasons[i] := v_reason;
      v_written[i] := false;
      continue;
    end if;
    -- In turn, so that the next batch of this call sees what this one reserved.
    if v_look is not null then
      v_reserve := v_look -> 'reserve';
      if v_reserve is not null then
        insert into action_log (key, incident_id, step_id, attempt, action, target, at)
        values (v_reserve ->> 'key', v_ids[i], v_reserve ->> 'step_id',
                (v_reserve ->> 'attempt')::bigint, v_reserve ->> 'action', v_reserve ->> 'target',
                holdfast_now());
      end if;
    end if;
  end loop;
  insert into record (incident_id, seq, body, hash)
  select v_ids[t.i], t.seq, t.body, t.hash
    from unnest(p_record_of, p_seqs, p_bodies, p_hashes) as t (i, seq, body, hash)
   where v_written[t.i];
  insert into kv (key, value)
  select t.key, t.value from unnest(p_kv_of, p_keys, p_values) as t (i, key, value)
   where v_written[t.i]
  on conflict (key) do update set value = excluded.value;
  for j in 1 .. cardinality(p_settles) loop
    if v_written[p_settle_of[j]] then
      update action_log set settled = true where key = p_settles[j];
    end if;
  end loop;
  for j in 1 .. cardinality(p_answer_ids) loop
    if v_written[p_answer_of[j]] then
      update inbox set answer = p_answers[j] where id = p_answer_ids[j] and answer is null;
    end if;
  end loop;
  return array_to_json(v_reasons)::text;
end $$;

-- Appends one record to the `_system` chain if it still ends at p_seq_before. The lock lets no
-- intent be written between this commit and the answer to whoever asked for it.
create function holdfast_append_system(p_seq_before bigint, p_body bytea, p_hash bytea)
returns boolean
language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock(holdfast_lock_key('system'));
  update incident set seq = p_seq_before + 1, head = p_hash
   where id = '_system' and seq = p_seq_before;
  if not found then
    return false;
  end if;
  insert into record (incident_id, seq, body, hash)
  values ('_system', p_seq_before + 1, p_body, p_hash);
  perform pg_notify('holdfast', '');
  return true;
end $$;

-- Puts a request into the inbox; the same id again changes nothing. Under the lock, numbers of one
-- incident become visible in their order.
create function holdfast_submit(
  p_id text, p_incident_id text, p_kind text, p_actor bytea, p_data bytea, p_at text
) returns void
language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock(holdfast_lock_key('inbox:' || p_incident_id));
  insert into inbox (id, incident_id, kind, actor, data, at)
  values (p_id, p_incident_id, p_kind, p_actor, p_data, p_at)
  on conflict (id) do nothing;
  perform pg_notify('holdfast', '');
end $$;
