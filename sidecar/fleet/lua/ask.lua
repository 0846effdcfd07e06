local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
redis.call('SET', KEYS[1], now)
redis.call('PUBLISH', ARGV[1], 'ask')
return now
