"""What checks ask of a restored server. What has expired by now is hidden: a real restore would not bring it back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ccdr.engines.redis.restored import restored_server
from ccdr.engines.redis.server import PrivateServer
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
    for one in databases(server) if database is None else (database,):
        # On its standard input: a pattern may quote somebody, and arguments are everybody's to read.
        words = ("-x", "EVAL", _MATCHING, "0", kind or "")
        count, last = server.raw(*words, database=one, what="counting keys", stdin=pattern).split()
        total, newest = total + int(count), max(newest, int(last))
    return total, newest / 1000 if newest else None


def databases(server: PrivateServer) -> Iterator[int]:
    for name in server.info("keyspace"):
        if match := re.fullmatch(r"db(\d+)", name):
            yield int(match[1])
