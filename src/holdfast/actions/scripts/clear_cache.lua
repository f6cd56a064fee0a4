-- Clears one page of the keys below a prefix. Atomic: what is checked still holds when it acts.
-- KEYS[1] memory  ARGV: run_id, fence field, fence, key field, cursor, glob, prefix, page, cleared so far
-- Answers {state, cursor, unlinked in this page, total}.
local memory = KEYS[1]
local run_id, fence_field, fence, key_field = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local prefix, cleared = ARGV[7], tonumber(ARGV[9])

-- A server that was restarted may have lost what it remembered.
if string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') ~= run_id then
  return {'restarted', '0', 0, 0}
end
local newest = tonumber(redis.call('HGET', memory, fence_field) or '0')
if fence < newest then return {'stale', tostring(newest), 0, 0} end
local known = string.match(redis.call('HGET', memory, key_field) or '', '^done:(%d+)$')
if known then return {'known', '0', 0, tonumber(known)} end

local page = redis.call('SCAN', ARGV[5], 'MATCH', ARGV[6], 'COUNT', ARGV[8])
local unlinked = 0
for _, name in ipairs(page[2]) do
  -- The prefix once more, by its letters: a glob must not decide alone what goes.
  if name ~= memory and string.sub(name, 1, #prefix) == prefix then
    unlinked = unlinked + redis.call('UNLINK', name)
  end
end
-- After the unlinking, as a server that is full takes a write only once something went.
local total = cleared + unlinked
local state = page[1] == '0' and ('done:' .. total) or ('begun:' .. total)
local sealed = redis.pcall('HSET', memory, fence_field, fence, key_field, state)
if type(sealed) == 'table' and sealed.err then return {'full', page[1], unlinked, total} end
return {page[1] == '0' and 'done' or 'begun', page[1], unlinked, total}
