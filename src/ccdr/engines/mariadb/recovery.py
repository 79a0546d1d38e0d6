"""Recovery of a MariaDB snapshot by the shipped binary log, up to a point, in the sandbox.

The log is applied by the server's own client, all of it: the base is the whole server, so whatever the log names is
there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccdr.engines.mariadb.binlog import began, head, head_of, segments_in, started_at
from ccdr.engines.mariadb.client import Login, lines
from ccdr.errors import BackupBad, CommandFailed, TestBroken, UsageProblem
from ccdr.interfaces import Place, Reached, Target
from ccdr.model import Manifest

GTID = re.compile(r"\d+-\d+-\d+(,\d+-\d+-\d+)*")
# $1: where the log is read from in its first file; $2: up to where, as an option; $3: the client's words, apart by
# newlines. Then the files.
_APPLY = """set -o pipefail
start=$1; stop=$2
mapfile -t client <<< "$3"; shift 3
mariadb-binlog --no-defaults --start-position="$start" "$stop" "$@" | "${client[@]}"
"""
# The last event that is whole: where it ends, and when it was written. A torn one ends the listing, with an error.
_END = """mariadb-binlog --no-defaults --base64-output=decode-rows "$1" 2> /dev/null |
  grep -aoE '^#[0-9]{6} +[0-9:]+ server id [0-9]+ +end_log_pos [0-9]+' | tail -n 1
"""
_NOT_REACHED = "Did not reach stop position"  # only a warning, for mariadb-binlog
_LAST = re.compile(r"#(?P<day>\d{6}) +(?P<time>[\d:]+) server id \d+ +end_log_pos (?P<end>\d+)")
LOOKS_APART = timedelta(hours=1)  # a base may be that much younger than what it is certain of
HEARTBEAT = """SELECT COALESCE((SELECT 1 FROM information_schema.tables
  WHERE table_schema = 'ccdr' AND table_name = 'heartbeat'), 0);"""
BEAT = "SELECT COALESCE(UNIX_TIMESTAMP(MAX(at)), '') FROM ccdr.heartbeat;"


def recover(box: Place, login: Login, log: Path, manifest: Manifest, target: Target) -> Reached:
    """Apply the log (a directory of its files) to the restored server. BackupBad where it does not hold what it should;
    UsageProblem where the target is none."""
    first, start = started_at(manifest)
    _of_one_log(log, manifest)
    names = [segment.name for segment in segments_in(log)]
    names = names[names.index(first) :]
    end, when = _end_of(box, log, names[-1])
    stop = _stop(target, target.clock_skew(manifest), end)
    if target.name is not None:
        _refuse_before(target.name, manifest)
    if target.position is not None:
        file, _, offset = target.position.rpartition(":")
        if file not in names or (file == names[-1] and end < int(offset)):
            raise BackupBad(
                f"the log ends at {names[-1]}:{end}, and was stored as reaching to {target.position}",
                hint="recover to an earlier time, and back up again",
            )
    argv = ["bash", "-c", _APPLY, "apply", str(start), stop, "\n".join(login.client())]
    try:
        files = [box.path(log / name) for name in names]
        said = box.run([*argv, *files], env={"TZ": "UTC"}, what="applying the log").stderr
    except CommandFailed as error:
        if error.stalled:
            raise TestBroken(str(error), hint="give `limits: no_progress` more time") from None
        raise BackupBad(
            f"the log cannot be applied: {error}", hint="recover to an earlier time, and back up again"
        ) from None
    if target.name is not None and _NOT_REACHED in said:
        raise UsageProblem(f"the log does not reach GTID {target.name}", hint="name one that is in it, or `latest`")
    skew = target.clock_skew(manifest)
    if target.time is not None:
        at: datetime | None = datetime.fromtimestamp(int(target.time.timestamp() + skew) - skew, UTC)
        return Reached(f"{names[-1]}, before {int(target.time.timestamp() + skew)}", at, None)
    if target.name is not None:
        return Reached(f"GTID {target.name}", None, None)
    beat = _heartbeat(box, login)
    known = [moment for moment in (when, beat) if moment is not None]
    newest = max(known) if known else None
    at = None if newest is None else datetime.fromtimestamp(newest - skew, UTC)
    return Reached(f"{names[-1]}:{end}", at, None if when is None else datetime.fromtimestamp(when, UTC))


def by_hand(log: Path, manifest: Manifest, target: Target) -> str:
    """What a person does with a base and its log, as one sentence of commands."""
    first, start = started_at(manifest)
    _of_one_log(log, manifest)
    base = log.parent / "data"
    stop = _stop(target, target.clock_skew(manifest), None)
    apply = f"mariadb-binlog --start-position={start} {stop} {log}/{first} …the files after it | mariadb"
    return (
        f"mariadb-backup --prepare --target-dir={base}; give {log.parent} to the server's user and start a server on "
        f"{base}; then, with TZ=UTC: {' '.join(apply.split())}"
    )


def _of_one_log(log: Path, manifest: Manifest) -> None:
    """A server whose log was begun anew gives the same names again, and what bears them leads nowhere from the base."""
    first, _ = started_at(manifest)
    wanted, there = began(manifest), head_of(log / first)
    if there is None or there == wanted:
        return
    if wanted is None:  # the base does not tell: but what it lies in was not begun after it
        latest = manifest.consistent_point + timedelta(seconds=manifest.clock_skew_s or 0.0) + LOOKS_APART
        if there < head(latest, 0):
            return
    raise BackupBad(
        f"the source's log was begun anew: {first} of the log begins otherwise ({there}) than that of the base "
        f"({wanted or 'which is older'})",
        hint="restore the base without the log; give the asset another name in the plan, and back it up",
    )


def _stop(target: Target, skew: float, end: int | None) -> str:
    """The log tells seconds only: an event in the second that is asked for is left out."""
    if target.time is not None:
        second = datetime.fromtimestamp(int(target.time.timestamp() + skew), UTC)
        return f"--stop-datetime={second:%Y-%m-%dT%H:%M:%S}"
    if target.name is not None:
        if not GTID.fullmatch(target.name):
            raise UsageProblem(
                f"{target.name!r} is no point in a binary log", hint="name a time, `latest`, or a GTID like 0-1-4711"
            )
        return f"--stop-position={target.name}"
    return "" if end is None else f"--stop-position={end}"


def _numbers(gtids: str) -> dict[str, int]:
    """The last number of each domain."""
    found = (one.strip().split("-") for one in gtids.split(",") if one.strip())
    return {domain: int(number) for domain, _, number in found}


def _refuse_before(gtid: str, manifest: Manifest) -> None:
    """What the base holds already, no log takes back: nothing would be applied, and nothing be said of it."""
    binlog = manifest.contents["binlog"]
    held = str(binlog.get("gtid") or "") if isinstance(binlog, dict) else ""
    base, wanted = _numbers(held), _numbers(gtid)
    if any(number < base.get(domain, 0) for domain, number in wanted.items()):
        raise UsageProblem(
            f"GTID {gtid} lies before the newest base, which is of {held}",
            hint="name a time: then the newest base before that is taken",
        )


def _end_of(box: Place, log: Path, name: str) -> tuple[int, float | None]:
    said = box.run(["bash", "-c", _END, "end", box.path(log / name)], env={"TZ": "UTC"}, what="the log's end").stdout
    match = _LAST.search(said)
    if match is None:
        raise BackupBad(f"{name} of the log holds no event at all", hint="back up again")
    hours, minutes, seconds = (int(part) for part in match["time"].split(":"))
    day = datetime.strptime(match["day"], "%y%m%d").replace(tzinfo=UTC)
    return int(match["end"]), day.replace(hour=hours, minute=minutes, second=seconds).timestamp()


def _heartbeat(box: Place, login: Login) -> float | None:
    """The canary's newest restored beat, by the source's clock."""
    if lines(box, login, HEARTBEAT, "looking for the canary") != ["1"]:
        return None
    found = lines(box, login, BEAT, "asking the canary")
    return float(found[0]) if found and found[0] else None
