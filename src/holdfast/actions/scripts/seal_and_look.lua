-- Tells what is remembered of a key, and seals the caller's fence: what a late worker with an older
-- one sends after this look is refused, so that the answer stays true.
-- KEYS[1] memory  ARGV: run_id, fence field, fence, key field
-- Answers {same server, sealed, what is remembered}.
local memory = KEYS[1]
local same = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') == ARGV[1]
local newest = tonumber(redis.call('HGET', memory, ARGV[2]) or '0')
local sealed = true
if tonumber(ARGV[3]) > newest then
  local answer = redis.pcall('HSET', memory, ARGV[2], ARGV[3])
  sealed = not (type(answer) == 'table' and answer.err)
end
return {same and 1 or 0, sealed and 1 or 0, redis.call('HGET', memory, ARGV[4]) or ''}
