-- Takes one batch of one partition. Redis runs it as one step, and hands it on to replicas as one.
-- KEYS: the marker, the values, the key ids that are kept apart.
-- ARGV: source, from, to, end, number of values; offset, expiry and value of each; the key ids.
local next, goal = 0, 0
local before = redis.call('GET', KEYS[1])
if before then
  local n, g, source = string.match(before, '^(%d+) (%d+) (.*)$')
  if source == ARGV[1] then next, goal = tonumber(n), tonumber(g) end
end
local from, to, last, values = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if last > goal then goal = last end
if next >= from then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  -- Key ids first: a value never names one that is not there.
  for i = 1, #KEYS - 1 - values do
    redis.call('SET', KEYS[1 + values + i], ARGV[5 + 3 * values + i])
  end
  for i = 1, values do
    local at = 3 + 3 * i
    if tonumber(ARGV[at]) >= next and tonumber(ARGV[at + 1]) > now then
      redis.call('SET', KEYS[1 + i], ARGV[at + 2], 'PXAT', ARGV[at + 1])
    end
  end
  if to > next then next = to end
end
local after = string.format('%.0f %.0f %s', next, goal, ARGV[1])
if after ~= before then redis.call('SET', KEYS[1], after) end
return {next, goal}
