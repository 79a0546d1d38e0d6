"""A server that its users may be using by now, asked by its own client, page by page: nobody is held up for long."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ccdr.engines.redis.client import Client
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CommandFailed
from ccdr.model.values import CheckResult, Manifest
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place

COUNTING = "counting keys"
# One page. ARGV: the cursor, a type or nothing, a pattern. Gives the next cursor, how many keys of it match, and the
# newest id of the streams' last entries among them (or 0).
_PAGE = """\
local words = {'SCAN', ARGV[1], 'MATCH', ARGV[3], 'COUNT', '10000'}
if ARGV[2] ~= '' then words[7], words[8] = 'TYPE', ARGV[2] end
local page, newest = redis.call(unpack(words)), 0
for _, key in ipairs(page[2]) do
  local last = ARGV[2] == 'stream' and redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if last then newest = math.max(newest, tonumber(string.match(last[1], '^%d+'))) end
end
return string.format('%s %d %.0f', page[1], #page[2], newest)
"""


@dataclass(frozen=True)
class Opened:
    """`Restored` for it: it counts keys, where the plan's user may."""

    has_server: ClassVar[bool] = True

    client: Client

    def matching(
        self, context: CheckContext, pattern: str, kind: str | None, database: int | None
    ) -> tuple[int, float | None] | None:
        """As `questions.matching`; None where the plan's user may not."""
        total, newest = 0, 0
        try:
            for one in self._databases() if database is None else (database,):
                cursor = "0"
                while True:
                    cursor, count, last = self._page(cursor, pattern, kind, one)
                    total, newest = total + count, max(newest, last)
                    if cursor == "0":
                        break
        except CommandFailed as error:
            if self.client.not_for_us(error):
                return None
            raise
        return total, newest / 1000 if newest else None

    def _page(self, cursor: str, pattern: str, kind: str | None, database: int) -> tuple[str, int, int]:
        """CommandFailed for an error of the server, which the client prints as any answer to what was typed."""
        said = self.client.typed(("EVAL", _PAGE, "0", cursor, kind or "", pattern), database=database, what=COUNTING)
        if (told := re.fullmatch(r"(\d+) (\d+) (\d+)\s*", said)) is None:
            raise CommandFailed(["EVAL"], 1, said, what=COUNTING)
        return told[1], int(told[2]), int(told[3])

    def _databases(self) -> Iterator[int]:
        for name in self.client.info("keyspace"):
            if match := re.fullmatch(r"db(\d+)", name):
                yield int(match[1])

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        raise CommandFailed(["query"], 2, "redis answers no SQL")

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        raise CommandFailed(["query"], 2, "redis answers no SQL")

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        raise CommandFailed(["identical"], 2, "one that is in use is not compared with what was captured")

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        raise CommandFailed(["integrity"], 2, "one that is in use is not taken apart")

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        raise CommandFailed(["erase"], 2, "one that is in use is not written to")
