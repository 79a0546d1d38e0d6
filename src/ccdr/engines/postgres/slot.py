"""The replication slot, which keeps at the source what was not received yet: its name, how there is one, and what it
may do to its source."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres.connection import PSQL
from ccdr.model.finding import Finding, at_least, at_most
from ccdr.model.values import human_bytes

SLOT_LENGTH = 63
NEARLY = 0.5  # of what the source may keep for the slot
# SQLSTATE: it exists, or does not, since we looked. A backup and whatever ships the log see to it that there is a slot,
# and may do so at the same time.
MEANWHILE = re.compile(r"\b(42710|42704)\b")
_SQL = [*PSQL, "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-c"]
STATE = """\
select pg_is_in_recovery(), current_setting('wal_level'),
  pg_size_bytes(current_setting('wal_segment_size')),
  coalesce(nullif((select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size'), -1) * 1048576, -1),
  coalesce((select coalesce(wal_status, '?') from pg_replication_slots where slot_name = '{slot}'), ''),
  coalesce((select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint from pg_replication_slots
            where slot_name = '{slot}' and not pg_is_in_recovery()), 0);
"""


def nearly(keep: int, shipping: LogShipping) -> float:
    """Bytes of log that a source may keep for a slot before it is told. `keep` is its max_slot_wal_keep_size in bytes;
    negative: all there is. What is free on its disk no query tells, so the limit of the spool stands in for that: it is
    what the plan says of how much may wait."""
    return NEARLY * (keep if keep >= 0 else shipping.spool_limit)


def slot_name(name: str) -> str:
    """As PostgreSQL allows it, and unlike that of any other asset, whatever becomes the same by what is allowed."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    allowed = re.sub(r"[^a-z0-9_]", "_", f"ccdr_{name}")
    return f"{allowed[: SLOT_LENGTH - 1 - len(digest)]}_{digest}"


def threats(keep: int, behind: int, shipping: LogShipping) -> Iterator[Finding]:
    """What the log that is kept for a slot may do to its source; `keep` as in `nearly`, `behind` in bytes."""
    if keep < 0:
        yield Finding(
            "max_slot_wal_keep_size is not set: a slot whose log is not fetched fills the source's disk; set it to "
            "what its disk can spare",
            "max_slot_wal_keep_size",
        )
        if behind > nearly(keep, shipping):
            yield Finding(
                f"the source keeps {human_bytes(behind)} of log for us, and will until its disk is full: find"
                " out why it is not received",
                "log kept for us",
                (at_most(behind),),
            )
    elif behind > nearly(keep, shipping):
        yield Finding(
            f"the source keeps {human_bytes(behind)} of log for us and gives up at {human_bytes(keep)}: "
            "then a new base backup is needed",
            "log kept for us, up to a limit",
            (at_most(behind), at_least(keep)),
        )


def with_slot(run: Callable[[list[str], str], None], slot: str, state: str) -> Iterator[Finding]:
    """There is one then; what threatens it. `run` has a program run, and is content where somebody else
    has done its work (MEANWHILE); `state` is the slot's, none where it is not there."""
    if state == "lost":
        run([*_SQL, f"select from pg_drop_replication_slot('{slot}')"], "dropping the lost slot")
        text = f"the source gave the slot {slot} up and removed log that was not received: a gap"
        yield Finding(text, f"slot {slot} given up")
        state = ""
    if not state:
        # pg_receivewal's own --create-slot reserves nothing until it first receives.
        sql = f"select from pg_create_physical_replication_slot('{slot}', true)"
        run([*_SQL, sql], "creating the replication slot")
