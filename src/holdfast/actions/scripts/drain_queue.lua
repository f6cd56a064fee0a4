-- Moves one page of messages, the oldest first, to the parking list of one key, or back again.
-- KEYS[1] memory, KEYS[2] from, KEYS[3] to  ARGV: run_id, fence field, fence, key field, wanted, page, out end, in end
-- Answers {state, moved in this page, moved by this key in all}.
local memory, from, to = KEYS[1], KEYS[2], KEYS[3]
local run_id, fence_field, fence, key_field = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local wanted, page = tonumber(ARGV[5]), tonumber(ARGV[6])

if string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') ~= run_id then
  return {'restarted', 0, 0}
end
local state, count = string.match(redis.call('HGET', memory, key_field) or '', '^(%a+):(%d+)$')
local moved = tonumber(count or '0')
if state == 'done' then return {'known', 0, moved} end
local newest = tonumber(redis.call('HGET', memory, fence_field) or '0')
if fence < newest then return {'stale', newest, moved} end
for _, name in ipairs({from, to}) do
  local kind = redis.call('TYPE', name).ok
  if kind ~= 'list' and kind ~= 'none' then return {'kind', 0, moved} end
end

-- Remembered in the same breath as the messages go: a repeat goes on from here.
redis.call('HSET', memory, fence_field, fence, key_field, 'begun:' .. moved)
local now = 0
while now < page and moved < wanted and redis.call('LMOVE', from, to, ARGV[7], ARGV[8]) do
  now, moved = now + 1, moved + 1
end
local ended = moved >= wanted or now < page
redis.call('HSET', memory, key_field, (ended and 'done:' or 'begun:') .. moved)
return {ended and 'done' or 'begun', now, moved}
