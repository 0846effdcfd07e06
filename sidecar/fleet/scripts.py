"""The store's atomic steps: scripts in Lua. Times are the store's own."""

DECIDE = """
local held = redis.call('HGET', KEYS[1], 'version')
if (held or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'data', ARGV[3], 'mark', ARGV[10])
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[4])
for _, old in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1 - ARGV[7])) do
  redis.call('HDEL', KEYS[2], old)
  redis.call('ZREM', KEYS[3], old)
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'entry', ARGV[6])
redis.call('PUBLISH', ARGV[9], ARGV[2])
return 1
"""
"""Compare and set: 1 when the version was the expected one, 0 when nothing was changed."""

HELLO = """
local now = redis.call('TIME')[1]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])) do
  redis.call('HDEL', KEYS[1], old)
  redis.call('ZREM', KEYS[2], old)
end
return 1
"""

TELL = """
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], time[1] .. '.' .. string.format('%06d', time[2]), ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', time[1] - ARGV[3])
for _, old in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - ARGV[4])) do table.insert(gone, old) end
for _, old in ipairs(gone) do
  redis.call('HDEL', KEYS[1], old)
  redis.call('ZREM', KEYS[2], old)
end
return 1
"""

ASK = """
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
redis.call('SET', KEYS[1], now)
redis.call('PUBLISH', ARGV[1], 'ask')
return now
"""

RETURNED = """
local added = redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if added == 1 and redis.call('SCARD', KEYS[1]) == tonumber(ARGV[2]) then return 1 end
return 0
"""
"""1 when this way was the last that a canary needed."""

VOTE = """
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ARGV[2]))
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[2]) + 60)
return redis.call('ZCARD', KEYS[1])
"""
"""How many replicas have voted within the window."""
