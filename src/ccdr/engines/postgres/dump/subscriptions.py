"""Subscriptions come back without their slot: it is the source's, and whoever drops a subscription drops the slot at
its publisher, too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ccdr.engines.postgres.dump import roles
from ccdr.engines.postgres.dump.toc import Toc
from ccdr.engines.postgres.inventory import quote_name
from ccdr.engines.servers.silenced import Silenced
from ccdr.ports.place import Place

ENTRIES = r"SUBSCRIPTION - |(COMMENT|SECURITY LABEL) - SUBSCRIPTION "  # in a table of contents
TITLES = re.compile(r"SUBSCRIPTION |(COMMENT|SECURITY LABEL) -\.SUBSCRIPTION ")
_SLOT = re.compile(r"(?<= WITH \(connect = false, slot_name = )'\w+'")
_MADE = re.compile(r'CREATE SUBSCRIPTION ("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*) ')
# Of the database that it is asked of, which goes only without them.
DROP = """\
set session_replication_role = replica;
select format('alter subscription %1$I disable; alter subscription %1$I set (slot_name = none); drop subscription %1$I',
              subname)
from pg_subscription s join pg_database d on d.oid = s.subdbid where datname = current_database()
\\gexec
"""


def without_slots(script: str) -> str:
    return _SLOT.sub("NONE", script)


def read(place: Place, dump: Path, toc: Toc) -> str:
    """The SQL that makes them."""
    argv = ["pg_restore", "-L", "/dev/stdin", "-f", "-", place.path(dump)]
    entries = toc.lines(re.compile(ENTRIES))
    return place.run(argv, stdin=entries, what="reading the dump's subscriptions").stdout


def let_go(script: str) -> Iterable[Silenced]:
    """What stands still once `script` was loaded without slots."""
    for statement in roles.statements(script):
        if (made := _MADE.match(statement)) and (slot := _SLOT.search(statement)):
            name = made[1]
            on = f"ALTER SUBSCRIPTION {name} SET (slot_name = {slot[0]}); ALTER SUBSCRIPTION {name} ENABLE"
            yield Silenced(f"the subscription {name} is disabled and has no slot: {slot[0]} is the source's", on)


def dropped(names: Iterable[str]) -> str:
    """How a person drops them; their database goes after them."""
    return "; ".join(f"DROP SUBSCRIPTION {quote_name(name)}" for name in names)
