-- A few minutes of work, between one backup and the next.

local call, now = redis.call, tonumber(redis.call('TIME')[1])

for n = 1, 10 do
  call('LPOP', 'queue:sales')
  call('RPUSH', 'queue:support', 'call:new:' .. n)
  call('HSET', 'agent:' .. n, 'state', 'talking', 'since', now)
  call('XADD', 'events', '*', 'call', 'new:' .. n, 'what', 'ringing')
end
call('DEL', 'session:7')
return 'OK'
