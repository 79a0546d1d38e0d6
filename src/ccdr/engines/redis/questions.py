"""What checks ask of a restored server, where what has expired by now is hidden; and one key of it damaged, for a
negative control.
"""

from __future__ import annotations

from random import Random

from ccdr.engines.redis.capture import restored_server
from ccdr.engines.redis.client import databases_in
from ccdr.engines.redis.server import PrivateServer
from ccdr.model.damage import Damage, NothingToDamage
from ccdr.ports.check import CheckContext

# ARGV: a type or nothing, and a pattern. Gives how many keys match, and the newest id of the streams' last
# entries among them (or -).
_MATCHING = """\
local cursor, count, newest = '0', 0, 0
repeat
  local page = ARGV[1] ~= '' and redis.call('SCAN', cursor, 'MATCH', ARGV[2], 'COUNT', 10000, 'TYPE', ARGV[1])
    or redis.call('SCAN', cursor, 'MATCH', ARGV[2], 'COUNT', 10000)
  cursor, count = page[1], count + #page[2]
  for _, key in ipairs(page[2]) do
    local last = ARGV[1] == 'stream' and redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    if last then newest = math.max(newest, tonumber(string.match(last[1], '^%d+'))) end
  end
until cursor == '0'
return string.format('%d %.0f', count, newest)
"""


def matching(context: CheckContext, pattern: str, kind: str | None, database: int | None) -> tuple[int, float | None]:
    """How many keys match, in one database or in all; and when the newest entry of the streams among them was made
    (seconds since the epoch, as ids tell), where `kind` is stream and there is one."""
    server = restored_server(context.sandbox, context.manifest)
    total, newest = 0, 0
    for one in databases_in(server.info("keyspace")) if database is None else (database,):
        # On its standard input: a pattern may quote somebody, and arguments are everybody's to read.
        words = ("-x", "EVAL", _MATCHING, "0", kind or "")
        count, last = server.raw(*words, database=one, what="counting keys", stdin=pattern).split()
        total, newest = total + int(count), max(newest, int(last))
    return total, newest / 1000 if newest else None


# Damages what a sandbox's server holds, for a negative control: one key.

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
    held = list(databases_in(server.info("keyspace")))
    chance.shuffle(held)
    for database in held:
        number = str(chance.randrange(2**31))
        words = ("EVAL", _DAMAGE, "0", kind.value, number)
        if server.raw(*words, database=database, what="damaging the copy").strip() == "done":
            return
    raise NothingToDamage("the server holds no key that could be damaged so")
