#!lua flags=allow-oom
-- For a Redis without room: a batch can not be taken, but readers must not be told that there is
-- nothing behind the marker. Some bytes over the limit, once for each partition.
-- KEYS: the marker. ARGV: source, end.
local next, goal = 0, 0
local before = redis.call('GET', KEYS[1])
if before then
  local n, g, source = string.match(before, '^(%d+) (%d+) (.*)$')
  if source == ARGV[1] then next, goal = tonumber(n), tonumber(g) end
end
if tonumber(ARGV[2]) > goal then goal = tonumber(ARGV[2]) end
local after = string.format('%.0f %.0f %s', next, goal, ARGV[1])
if after ~= before then redis.call('SET', KEYS[1], after) end
return {next, goal}
