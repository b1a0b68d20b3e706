-- What became of a reservation. KEYS[1]: prefix. ARGV: the key's name, the kinds of its windows as letters, id of the
-- call, its tokens as reserved, what: sent, cancelled, noted (made without a reservation), ended, or the tokens it took;
-- then, of a probe that ended and was not answered, for how many milliseconds the key rests, else 0.
local LIVES = 60000000
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000000 + clock[2])
local kinds, id, tokens, what, rests = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
for kind in string.gmatch(kinds, '.') do
  local name, member, counts = KEYS[1] .. ARGV[1] .. ':' .. kind, id, kind == 't'
  if counts then member = id .. ':' .. tokens end
  local under_way = kind == 'c' or kind == 'p'
  local score = redis.call('ZSCORE', name, member)
  if under_way and what == 'noted' then
    redis.call('ZADD', name, string.format('%.0f', tonumber(now) + LIVES), member)
    redis.call('PEXPIRE', name, 3600000)
  elseif under_way and what ~= 'cancelled' then
    if what == 'ended' then redis.call('ZREM', name, member) end
    if kind == 'p' and rests > 0 then redis.call('SET', name .. ':rest', 1, 'PX', rests) end
  elseif what == 'ended' then
    -- its slots stay until they have left their windows
  elseif what == 'noted' then
    if not score then
      redis.call('ZADD', name, now, member)
      redis.call('PEXPIRE', name, 3600000)
      if counts then redis.call('INCRBY', name .. ':sum', tokens) end
    end
  elseif not score then
    -- it has left the window
  elseif what == 'sent' then
    if tonumber(score) > tonumber(now) then redis.call('ZADD', name, 'XX', now, member) end
  elseif what == 'cancelled' then
    redis.call('ZREM', name, member)
    if counts then redis.call('DECRBY', name .. ':sum', tokens) end
  elseif counts then
    redis.call('ZREM', name, member)
    redis.call('ZADD', name, score, id .. ':' .. what)
    redis.call('INCRBY', name .. ':sum', string.format('%.0f', tonumber(what) - tonumber(tokens)))
  end
end
return 1
