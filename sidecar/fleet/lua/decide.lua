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
