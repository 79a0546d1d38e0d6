"""Damages what a sandbox's server holds, for a negative control: one key."""

from __future__ import annotations

from random import Random

from ccdr.engines.redis.questions import databases
from ccdr.engines.redis.server import PrivateServer
from ccdr.model.damage import Damage, NothingToDamage

# ARGV: what to do, and a number that chooses. The key's name stays in the server: arguments are everybody's to read. Of
# keys that expire it takes none while there are others: of these nobody can tell whether they are to be there.
_DAMAGE = """\
if redis.replicate_commands then redis.replicate_commands() end
local lasting, others, cursor = {}, {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local into = redis.call('PTTL', key) == -1 and lasting or others
    into[#into + 1] = key
  end
until cursor == '0' or #lasting >= 10000
local keys = #lasting > 0 and lasting or others
if #keys == 0 then return 'none' end
table.sort(keys)
local key = keys[tonumber(ARGV[2]) % #keys + 1]
if ARGV[1] == 'key_removed' then
  redis.call('DEL', key)
  return 'done'
end
local kind = redis.call('TYPE', key)['ok']
if kind == 'string' then redis.call('APPEND', key, '!')
elseif kind == 'list' then redis.call('RPUSH', key, 'ccdr')
elseif kind == 'set' then redis.call('SADD', key, 'ccdr:' .. ARGV[2])
elseif kind == 'hash' then redis.call('HSET', key, 'ccdr:' .. ARGV[2], '1')
elseif kind == 'zset' then redis.call('ZADD', key, 1, 'ccdr:' .. ARGV[2])
elseif kind == 'stream' then redis.call('XADD', key, '*', 'ccdr', '1')
else return 'none' end
return 'done'
"""


def damage(server: PrivateServer, kind: Damage, chance: Random) -> None:
    server.raw("CONFIG", "SET", "replica-read-only", "no", what="damaging the copy")
    held = sorted(databases(server))
    chance.shuffle(held)
    for database in held:
        number = str(chance.randrange(2**31))
        words = ("EVAL", _DAMAGE, "0", kind.value, number)
        if server.raw(*words, database=database, what="damaging the copy").strip() == "done":
            return
    raise NothingToDamage("the server holds no key that could be damaged so")
