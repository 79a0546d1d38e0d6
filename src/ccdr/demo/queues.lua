-- The sample contact centre's queues, in Redis.

local call, now = redis.call, tonumber(redis.call('TIME')[1])
local skills = {'sales', 'support', 'complaints', 'collections'}

for _, skill in ipairs(skills) do
  for n = 1, 40 do call('RPUSH', 'queue:' .. skill, 'call:' .. skill .. ':' .. n) end
end
for n = 1, 400 do
  call('HSET', 'agent:' .. n, 'state', ({'ready', 'talking', 'away'})[1 + n % 3], 'seat', 'SIP/' .. 100 + n, 'since', now - n)
  call('SADD', 'agents:' .. skills[1 + n % 4], n)
end
for n = 1, 2000 do
  call('HSET', 'caller:' .. n, 'number', '+9997' .. 20000000 + n, 'name', 'Ștefan ' .. n, 'waits', n % 300)
end
for n = 1, 500 do call('SET', 'session:' .. n, 'token-' .. n, 'EX', 86400 + n) end
for n = 1, 300 do call('ZADD', 'callbacks', now + 60 * n, 'caller:' .. n) end
for n = 1, 1000 do call('XADD', 'events', '*', 'call', n, 'what', n % 2 == 0 and 'answered' or 'ringing') end
call('XGROUP', 'CREATE', 'events', 'wallboard', '0')
call('XREADGROUP', 'GROUP', 'wallboard', 'screen1', 'COUNT', 5, 'STREAMS', 'events', '>')
for n = 1, 900 do call('PFADD', 'callers:today', n) end

call('SELECT', 3)
for n = 1, 60 do call('SET', 'setting:' .. n, 'value ' .. n) end
return 'OK'
