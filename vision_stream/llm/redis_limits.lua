-- Chooses a key and reserves its slots in one step. Times are Redis's own, in microseconds.
-- KEYS[1]      hash tag and prefix of all
-- ARGV         id of the call, its tokens, how long a reservation lives, this worker, how long a worker is counted,
--              a name for this data should there be none, then the candidates in the order of preference:
--              name, how many windows, and of each: kind, limit, span
-- kinds        t: of tokens; c: calls under way; p: the one probe of a cooled key; else of calls sent
-- returns      name of the data, how many workers, the chosen candidate from 1 or 0, then for each candidate that was
--              looked at when it is worth another look: microseconds from now
local prefix, id, tokens, lives = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local function text(number) return string.format('%.0f', number) end

redis.call('SET', prefix .. 'data', ARGV[6], 'NX')
local data = redis.call('GET', prefix .. 'data')
redis.call('ZADD', prefix .. 'workers', text(now), ARGV[4])
redis.call('ZREMRANGEBYSCORE', prefix .. 'workers', '-inf', text(now - tonumber(ARGV[5])))
local workers = redis.call('ZCARD', prefix .. 'workers')

local function weight(member) return tonumber(string.match(member, ':(%d+)$')) end

local function forget(name, span)
  local oldest = text(now - span)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', name, '-inf', oldest)) do
    redis.call('DECRBY', name .. ':sum', weight(member))
  end
  redis.call('ZREMRANGEBYSCORE', name, '-inf', oldest)
end

local function under_way(kind) return kind == 'c' or kind == 'p' end

-- When the window has room: 0 at once, else its score plus span; nobody knows when a call under way ends.
local function free_at(kind, name, limit, span)
  if under_way(kind) then
    local rests = kind == 'p' and redis.call('PTTL', name .. ':rest') or 0
    if rests > 0 then return now + rests * 1000 end
    redis.call('ZREMRANGEBYSCORE', name, '-inf', text(now))
    return redis.call('ZCARD', name) < limit and 0 or math.huge
  elseif kind ~= 't' then
    redis.call('ZREMRANGEBYSCORE', name, '-inf', text(now - span))
    local used = redis.call('ZCARD', name)
    if used < limit then return 0 end
    return redis.call('ZRANGE', name, used - limit, used - limit, 'WITHSCORES')[2] + span
  end
  forget(name, span)
  local sum, weighs = tonumber(redis.call('GET', name .. ':sum') or '0'), math.min(tokens, limit)
  if sum + weighs <= limit then return 0 end
  local entries = redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')
  for i = 1, #entries, 2 do
    sum = sum - weight(entries[i])
    if sum + weighs <= limit then return entries[i + 1] + span end
  end
  return now
end

local answer, at = {data, workers, 0}, 7
local candidate = 0
while at <= #ARGV do
  candidate = candidate + 1
  local key, windows, free, pending = prefix .. ARGV[at], tonumber(ARGV[at + 1]), 0, false
  for w = 0, windows - 1 do
    local kind, limit, span = ARGV[at + 2 + 3 * w], tonumber(ARGV[at + 3 + 3 * w]), tonumber(ARGV[at + 4 + 3 * w])
    local room = free_at(kind, key .. ':' .. kind, limit, span)
    if room > now + span and (kind ~= 'p' or room == math.huge) then pending = true end
    free = math.max(free, room)
  end
  if free <= now then
    for w = 0, windows - 1 do
      local kind = ARGV[at + 2 + 3 * w]
      local name = key .. ':' .. kind
      local member = id
      if kind == 't' then
        local weighs = math.min(tokens, tonumber(ARGV[at + 3 + 3 * w]))
        member = id .. ':' .. text(weighs)
        redis.call('INCRBY', name .. ':sum', text(weighs))
        redis.call('PEXPIRE', name .. ':sum', 3600000)
      end
      redis.call('ZADD', name, text(now + lives), member)
      redis.call('PEXPIRE', name, 3600000)
    end
    answer[3] = candidate
    return answer
  end
  answer[#answer + 1] = text(pending and 20000 or free - now)
  at = at + 2 + 3 * windows
end
return answer
