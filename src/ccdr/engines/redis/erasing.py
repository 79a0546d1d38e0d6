"""Erase people's keys from a restored server, in each of its databases; and from the files that a new one starts with.
Redis has no transaction for that: what counts is that all are gone before anything leaves quarantine."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ccdr.engines.redis.capture import written
from ccdr.engines.redis.client import databases_in
from ccdr.engines.redis.server import PrivateServer
from ccdr.model.erasure import Erased, Replayed, Wanted
from ccdr.model.errors import CommandFailed, TestBroken

# ARGV: `count` or `erase`, and a list of patterns for each entry. Gives how many keys each one names. A key may have a
# name that is a pattern as well; one that is named whole goes though its time is over, which hides it.
_ERASE = """\
local function each(pattern, act)
  if redis.call('EXISTS', pattern) == 1 then act(pattern) end
  if not string.find(pattern, '[%*%?%[\\\\]') then return end
  local cursor = '0'
  repeat
    local page = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', 10000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do act(key) end
  until cursor == '0'
end
local counts = {}
for entry, patterns in ipairs(cjson.decode(ARGV[2])) do
  local found = {}
  for _, pattern in ipairs(patterns) do
    each(pattern, function(key) found[key] = true end)
    if ARGV[1] == 'erase' then redis.call('DEL', pattern) end
  end
  local count = 0
  for key in pairs(found) do
    count = count + 1
    if ARGV[1] == 'erase' then redis.call('DEL', key) end
  end
  counts[entry] = count
end
return table.concat(counts, ' ')
"""


def erase(server: PrivateServer, wanted: Sequence[Wanted]) -> Replayed:
    """As `Restored.erase`."""
    found = [Erased.of(one) for one in wanted]
    patterns = json.dumps([list(one.selector.keys) for one in wanted])
    to_go = json.dumps([list(one.selector.keys) for one in wanted if not one.stays])
    try:
        databases = databases_in(server.info("keyspace"))
        server.raw("CONFIG", "SET", "replica-read-only", "no", what="erasing")
        for database in databases:
            for one, count in zip(found, _asked(server, database, "count", patterns), strict=True):
                one.before += count
            _asked(server, database, "erase", to_go)
        for database in databases:
            for one, count in zip(found, _asked(server, database, "count", patterns), strict=True):
                one.after += count
        server.raw("CONFIG", "SET", "replica-read-only", "yes", what="erasing")
    except CommandFailed as error:
        raise TestBroken(
            f"the register of erasures could not be replayed: {error}", hint="see what its log says", words=error.stderr
        ) from None
    return Replayed(found, atomic=False)


def _asked(server: PrivateServer, database: int, act: str, patterns: str) -> list[int]:
    """The patterns on standard input: they may quote somebody, and arguments are everybody's to read."""
    answer = server.raw("-x", "EVAL", _ERASE, "0", act, database=database, what="erasing", stdin=patterns)
    return [int(count) for count in answer.split()]


def written_again(server: PrivateServer) -> None:
    """Of a new server: what it will start with holds them still."""
    server.raw("SAVE", what="writing the RDB")
    if server.info("persistence").get("aof_enabled") == "1":
        server.raw("BGREWRITEAOF", what="writing the append-only file")
        written(server)
