"""Recovery of a physical base by its shipped log, up to a point (PostgreSQL's PITR), in the sandbox.

Recovery "to the end" stops silently where log is missing or torn. So the end is a target too: the last record that the
fetched log holds is looked up first, it must not lie before what the log was said to hold, and the server then has to
reach it, or does not start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ccdr.engines.base import left_behind, not_reached
from ccdr.engines.postgres.connection import answer
from ccdr.engines.postgres.segments import lsn, number
from ccdr.model.answers import FreeText
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place

Start = Callable[[Mapping[str, str]], None]  # has the restored server begin, with these settings besides its own

# The server promotes itself once it has reached the target; one that cannot reach it ends.
_WAIT = """until [ "$(psql -XwqAt -c 'select pg_is_in_recovery()' 2>/dev/null)" = f ]; do
  pg_ctl -D "$1" status >/dev/null || exit 9
  sleep 0.1
done
"""
ENDED = 9
LAST_LINES = 500  # of the server's log, among which it says why it ended
PAGE_HEADER = 40  # bytes that a position may differ by where it lies at a page's edge
_RECORD = re.compile(r"len \(rec/tot\):\s*\d+/\s*(?P<bytes>\d+),.* lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),")
_FULL = "No space left on device"
_NOT_REACHED = "recovery ended before configured recovery target was reached"
# Records from the segment on, the last few; where the log ends it says so and fails, which is expected.
_TAIL = 'pg_waldump -p "$1" "$2" 2>/dev/null | tail -n 1'
SAID = """\
select pg_last_wal_replay_lsn(), extract(epoch from pg_last_xact_replay_timestamp()), pg_is_in_recovery(),
  to_regclass('ccdr.heartbeat') is not null;
"""
HEARTBEAT = "select extract(epoch from max(at)) from ccdr.heartbeat;"


def settings(log: str, target: RecoveryTarget, skew: float, last: str | None) -> dict[str, str]:
    """For postgresql.conf. `log` is the directory of segments, `last` the log's last record (None: as far as it goes);
    times are by the source's clock, which was `skew` seconds ahead of ours."""
    options = {
        "restore_command": f'cp "{log}/%f" "%p"',
        "recovery_target_action": "promote",
        "recovery_target_timeline": "latest" if target.branch is None else str(target.branch),
        "recovery_target_inclusive": "on",
    }
    if target.time is not None:
        when = target.time + timedelta(seconds=skew)
        options["recovery_target_time"] = when.astimezone(UTC).isoformat(sep=" ")
    elif target.name is not None:
        options["recovery_target_name"] = target.name
    elif last is not None:
        options["recovery_target_lsn"] = last
    return options


@dataclass(frozen=True)
class RecoveringServer:
    """The restored one, its base in place: `begin` has it begin (CommandFailed where it does not, and `judged` says
    whose fault that is); `data` is its directory in the sandbox, `words` gives the end of its log, `env` is how it is
    reached."""

    box: Place
    begin: Start
    judged: Callable[[CommandFailed], CcdrError]
    data: str
    words: Callable[[], FreeText]
    env: Mapping[str, str]

    def to(self, settings: Mapping[str, str]) -> bool:
        """Has it reached the target? False where its log ends before: little log has ended before the server was seen
        to begin."""
        try:
            self.begin({**settings, "hot_standby": "off"})  # which would ask for as many connections as the source had
        except CommandFailed as error:
            if not error.stalled and _NOT_REACHED in self.words():
                return False
            raise self.judged(error) from None
        try:
            self.box.run(["sh", "-c", _WAIT, "wait", self.data], env=self.env, what="recovery")
        except CommandFailed as error:
            if error.code != ENDED:
                raise
            if _NOT_REACHED in (words := self.words()):
                return False
            why = f": {words.answer}" if words.answer else ""
            if _FULL in words:
                raise TestBroken(f"recovery broke off{why}", hint="give it more room", words=words) from None
            raise BackupBad(
                f"recovery broke off{why}", hint="recover to an earlier time, and back up again", words=words
            ) from None
        return True


def recover(server: RecoveringServer, log: str, segments: list[str], target: RecoveryTarget, skew: float) -> Reached:
    """Bring the loaded base to the target. `segments` are the log's own, in order. BackupBad where the log does not
    hold what it should; UsageProblem where the point that is asked for is not in it."""
    last, end = _end_of(server.box, log, segments)
    if target.position is not None and number(end) + PAGE_HEADER < number(target.position):
        raise BackupBad(
            f"the log ends at {end}, and was stored as reaching to {target.position}",
            hint="recover to an earlier time, and back up again",
        )
    if not server.to(settings(log, target, skew, last)):
        if target.name is not None:
            raise UsageProblem(
                f"the log has no point named {target.name!r}", hint="`select pg_create_restore_point('…')` makes one"
            )
        if target.left is not None:
            # Nothing of it where it was left: all is there that either of them holds by then.
            if abs(number(end) - number(target.left.position)) > PAGE_HEADER:
                raise left_behind(target)
        elif target.beyond:
            raise not_reached(target)
        # Nothing was committed after that time: then all of the log lies before it.
        if target.time is None or not server.to(settings(log, RecoveryTarget(branch=target.branch), skew, last)):
            raise BackupBad(
                f"recovery ended before the log's last record at {last}: {target.position} was not reached",
                hint="a part of the log is damaged: recover to an earlier time, and back up again",
            )
    return _reached(server.box, server.env, target, skew)


def _end_of(box: Place, log: str, segments: list[str]) -> tuple[str, str]:
    """The last record that the log holds, and where it ends."""
    for segment in reversed(segments):
        argv = ["bash", "-c", _TAIL, "tail", log, segment]
        match = _RECORD.search(box.run(argv, what="reading the end of the log").stdout)
        if match is not None:
            start = number(match["lsn"])
            return match["lsn"], lsn(start + (int(match["bytes"]) + 7) // 8 * 8)
    raise BackupBad("the log holds no record at all", hint="back up again")


def _reached(box: Place, env: Mapping[str, str], target: RecoveryTarget, skew: float) -> Reached:
    output = answer(box, env, SAID, "asking how far recovery went").strip()
    position, committed, recovering, beats = output.split("|")
    if recovering != "f":
        raise CommandFailed(["postgres"], 1, "it is still in recovery", what="recovery")
    beat = answer(box, env, HEARTBEAT).strip() if beats == "t" else ""
    newest = max((float(text) for text in (committed, beat) if text), default=None)
    if target.time is not None:
        at: datetime | None = target.time
    else:
        at = None if newest is None else datetime.fromtimestamp(newest - skew, UTC)
    return Reached(position, at, datetime.fromtimestamp(float(committed), UTC) if committed else None)
