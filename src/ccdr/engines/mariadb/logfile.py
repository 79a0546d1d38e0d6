"""Files of the binary log as they lie in a spool: when each was begun, which transactions it holds, where a run of them
ends, and what a base goes on from.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccdr.engines.mariadb import statements
from ccdr.model.errors import LogStops
from ccdr.model.values import Manifest, utc
from ccdr.ports.log import Segment
from ccdr.ports.place import Place

MAGIC, DESCRIPTION = b"\xfebin", 15  # what a file begins with, and the kind of its first event
_BEGIN = struct.Struct("<4sIBI")  # the first word, the first event's second, its kind, its server
_EVENT = struct.Struct("<4xBII6x")  # an event begins with its kind, its server, its length
TRANSACTION = 162  # the kind of the event that a transaction begins with
_LIST = 163  # the kind of the event that lists what came before
_COUNT, _COUNTED = struct.Struct("<I"), 2**28 - 1  # how many it lists, and flags above them
_ENTRY = struct.Struct("<IIQ")  # a domain, a server, and its last number there
_HEAD = 2**16  # bytes in which that list stands, behind the first event
_STATEMENT, _UNREADABLE = 2, (164, 165)  # a statement's kind; of what is encrypted, and of a compressed one
_DIRECTORY = re.compile(rb"""(?i:\b(?:data|index)\s+directory)\s*=?\s*(['"])(.*?)\1""", re.DOTALL)
_WORD = re.compile(rb"(?i)directory")
_GTID = struct.Struct("<QI")  # ... whose own begins with its number and its domain


def head_of(file: Path) -> str | None:
    """When it was begun, by the source's clock, and by which server: as its first event tells, to the second."""
    try:
        with file.open("rb") as log:
            start = log.read(_BEGIN.size)
    except FileNotFoundError:
        return None
    if len(start) < _BEGIN.size:
        return None
    magic, when, kind, server = _BEGIN.unpack(start)
    if magic != MAGIC or kind != DESCRIPTION:
        return None
    return head(datetime.fromtimestamp(when, UTC), server)


def head(when: datetime, server: int) -> str:
    return f"{when:%Y%m%dT%H%M%SZ}-{server}"


def begun(head: str) -> datetime:
    """When the file was begun that has this head."""
    return datetime.strptime(head.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def same_server(head: str, other: str) -> bool:
    return head.partition("-")[2] == other.partition("-")[2]


def transactions(file: Path) -> Iterator[str]:
    """The GTIDs of a file, in order."""
    for held, at, kind, server, _ in _events(file):
        if kind == TRANSACTION:
            sequence, domain = _GTID.unpack_from(held, at + _EVENT.size)
            yield f"{domain}-{server}-{sequence}"


def directories_in(file: Path, start: int) -> Iterator[str]:
    """The paths that statements from there on give as DATA DIRECTORY or INDEX DIRECTORY. LogStops where one may give
    others."""
    for held, at, kind, _, size in _events(file):
        if at < start or kind not in (_STATEMENT, *_UNREADABLE):
            continue
        text = held[at : at + size]
        paths = [path for _, path in _DIRECTORY.findall(text)]
        if kind != _STATEMENT or len(paths) != len(_WORD.findall(text)):
            raise LogStops("a statement in the log does not tell at which paths it makes files")
        yield from map(os.fsdecode, paths)


def _events(file: Path) -> Iterator[tuple[mmap.mmap, int, int, int, int]]:
    """The file, and where in it each begins, its kind, its server and its length."""
    if not file.stat().st_size:
        return
    with file.open("rb") as log, mmap.mmap(log.fileno(), 0, access=mmap.ACCESS_READ) as held:
        at = len(MAGIC)
        while at + _EVENT.size + _GTID.size <= len(held):
            kind, server, size = _EVENT.unpack_from(held, at)
            if size < _EVENT.size:
                return  # it has not come yet
            yield held, at, kind, server, size
            at += size


def state_before(file: Path) -> dict[str, str]:
    """The last transaction before a file by each domain and server, as its own list at its beginning has it; nothing
    where there is no such list."""
    with file.open("rb") as log:
        begin = log.read(_HEAD)
    at = len(MAGIC)
    while at + _EVENT.size + _COUNT.size <= len(begin):
        kind, _, size = _EVENT.unpack_from(begin, at)
        if kind == _LIST:
            (count,) = _COUNT.unpack_from(begin, at + _EVENT.size)
            first = at + _EVENT.size + _COUNT.size
            places = range(first, first + (count & _COUNTED) * _ENTRY.size, _ENTRY.size)
            entries = [_ENTRY.unpack_from(begin, place) for place in places if place + _ENTRY.size <= len(begin)]
            return {f"{domain}-{server}": f"{domain}-{server}-{sequence}" for domain, server, sequence in entries}
        if size < _EVENT.size:
            break
        at += size
    return {}


def breaks_off(file: Path, behind: Path) -> str | None:
    """The transaction that a file lacks at its end, by what the one behind it says of what came before."""
    state = state_before(file)
    for gtid in transactions(file):
        state[gtid.rpartition("-")[0]] = gtid
    return next((gtid for whose, gtid in state_before(behind).items() if state.get(whose) != gtid), None)


def cut_short(file: Path) -> str | None:
    """What is wrong with a file that is written to no more: its events must fill it to its end. None where they do."""
    size = file.stat().st_size
    if size < len(MAGIC):
        return f"{file.name} has {size} bytes"
    with file.open("rb") as log, mmap.mmap(log.fileno(), 0, access=mmap.ACCESS_READ) as held:
        at = len(MAGIC)
        while at + _EVENT.size <= size:
            length = _EVENT.unpack_from(held, at)[2]
            if length < _EVENT.size or at + length > size:
                break
            at += length
    return None if at == size else f"{file.name} ends at {size}, within an event that begins at {at}"


# The binary log's files as they lie in a spool, and what a base tells of the one that it goes on from.

KEPT_BESIDE = ".kept"  # what was received of a file before its receiver was started again
SEGMENT = re.compile(r"(?P<base>.+)\.(?P<number>[0-9]{6,})")


def segments_in(spool: Path) -> list[Segment]:
    """As `ShippedLog.segments`: all but the last are written to no more."""
    there = {p.name.removesuffix(KEPT_BESIDE) for p in spool.iterdir()}
    names = sorted((name for name in there if SEGMENT.fullmatch(name)), key=number_of)
    whole = [Segment(name, name, whole=True) for name in names[:-1]]
    return whole + [Segment(name, _fullest(spool, name), whole=False) for name in names[-1:]]


def _fullest(spool: Path, name: str) -> str:
    """The file that holds the most of a segment: while it is received anew, what is kept of it. Once a later one has
    begun, it is as the source has it; a log that was begun anew is another one."""
    kept = spool / f"{name}{KEPT_BESIDE}"
    anew = head_of(spool / name)
    less = size_of(spool / name) < size_of(kept) and anew in (None, head_of(kept))
    return kept.name if less else name


def size_of(file: Path) -> int:
    """In bytes; 0 where there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def started_at(manifest: Manifest) -> tuple[str, int]:
    """The file, and the position in it, from which on what is logged is not in the snapshot."""
    binlog = manifest.contents["binlog"]
    return str(binlog["file"]), int(binlog["position"])


def began(manifest: Manifest) -> str | None:
    """The head of that file; None in a base of the days before the log was shipped, or where it could not be read."""
    return manifest.contents["binlog"]["head"]  # type: ignore[no-any-return]


def gtids_of(manifest: Manifest) -> tuple[str, ...]:
    """The newest transaction of each domain that is in the snapshot."""
    return tuple(filter(None, str(manifest.contents["binlog"]["gtid"]).split(",")))


def until(manifest: Manifest) -> datetime:
    """From when on nothing more is in the snapshot; it agrees with a position that came after its consistent point."""
    return utc(str(manifest.contents["binlog"]["until"]))


def base_of(name: str) -> str | None:
    match = SEGMENT.fullmatch(name)
    return match["base"] if match else None


def number_of(name: str) -> int:
    match = SEGMENT.fullmatch(name)
    return int(match["number"]) if match else -1


# What a run of the log's files holds: where it ends, where a time lies in it, whether it does the same again.
#
# The log's order is the order of the commits; the time of a transaction is what its session said it was (SET
# TIMESTAMP sets it), and of a long statement when that began. So a time is looked for in the log as a whole, and
# where the log goes back behind it again, that is told. `mariadb-binlog --stop-datetime` would stop at the first
# event that claims to be so late, whatever comes after it.

# $1: where the first file is read from; $2: the second that is looked for, or nothing; $3: GTIDs, apart by commas; $4:
# the program below. Then the files. An event that is torn, or not as its checksum says, ends a file's listing: that is
# told. (Unless it is asked to look, mariadb-binlog passes such a change on as if it were whole.)
_READ = """start=$1 wanted=$2 named=$3 program=$4; shift 4
for file; do
  printf '\\001%s\\n' "$file"
  mariadb-binlog --no-defaults --verify-binlog-checksum --base64-output=decode-rows \
    ${start:+--start-position="$start"} "$file" 2> /dev/null || printf '\n\002%s\n' "$file"
  start=
done | LC_ALL=C awk -v "wanted=$wanted" -v "named=$named" "$program"
"""
# The text of a Query stands behind its header and settings, and ends with /*!*/;. Whatever its lines look like, they
# are its own. What opens and ends transactions is passed over here, what plainly changes rows is counted here, and any
# other text is told once, for Python to judge. Within a transaction, end_log_pos may be 0.
_PROGRAM = r"""
function over() {
  if (!open || plain || stop) { open = 0; return }
  open = 0
  if (text ~ /^(BEGIN|COMMIT|ROLLBACK|START TRANSACTION|(SAVEPOINT|ROLLBACK TO) `[^`\n]+`)?$/) return
  if (text ~ /^XA [A-Z]+ [Xx0-9A-Fa-f', ]+(ONE PHASE)?$/) return
  gsub(/\n/, "\n ", text)
  if (!((mode, charset, zone, text) in number)) {
    if ((size += length(text)) > MOST) { statements++; return }
    number[mode, charset, zone, text] = ++told; texts[told] = mode "\t" charset "\t" zone "\n " text
  }
  times[number[mode, charset, zone, text]]++
}
BEGIN { MOST = 64 * 1024 * 1024; n = split(named, names, ","); for (i = 1; i <= n; i++) missing[names[i]] = 1 }
/^\001/ { over(); file = substr($0, 2); end = mode = gather = 0; charset = zone = held = ""; next }
/^\002/ { broken = broken " " substr($0, 2); next }
open {
  ended = sub(/\/\*!\*\/;$/, "")
  if (!plain && length(text) > 1024 * 1024) { plain = 1; statements += !stop }
  if (!plain && !(ended && $0 == "")) text = text "\n" $0
  if (ended) over()
  next
}
gather && /^SET (@@[A-Za-z_.]+|TIMESTAMP)=[^()]*\/\*!\*\/;$/ {
  if (match($0, /sql_mode=[0-9]+/)) mode = substr($0, RSTART + 9, RLENGTH - 9)
  if (/time_zone=/) zone = /time_zone='SYSTEM'/ ? "SYSTEM" : ""
  next
}
gather && /^\/\*!\\C [a-z0-9_]+ \*\/\/\*!\*\/;$/ { charset = $2; next }
gather && /^use `.*`\/\*!\*\/;$/ { next }
gather && held == "" && /^# at [0-9]+$/ { held = $0; at = $3; next }
gather && silent && /^DELIMITER ;$/ { gather = 0; next }
gather && !(held && /^#[0-9][0-9][0-9][0-9][0-9][0-9] +[0-9]+:[0-9][0-9]:[0-9][0-9] server id /) {
  gather = 0; text = (held ? held "\n" : "") $0; held = ""; open = !sub(/\/\*!\*\/;$/, "", text); head = text
  while (sub(/^[ \t(]*\/\*[^*!M][^*]*\*\/[ \t(]*/, "", head)) continue
  plain = toupper(head) ~ /^[ \t(]*(INSERT|UPDATE|DELETE|REPLACE)[ \t]/ && head !~ /^DELETE FROM `[^`]+`\.`[^`]+`$/
  if (plain) statements += !stop
  else if (!open) { open = 1; over() }
  next
}
/^# at [0-9]+$/ { at = $3; next }
/^#[0-9][0-9][0-9][0-9][0-9][0-9] +[0-9]+:[0-9][0-9]:[0-9][0-9] server id [0-9]+ +end_log_pos [0-9]+/ {
  split($2, t, ":"); when = sprintf("%s %02d:%s:%s", substr($1, 2), t[1], t[2], t[3])
  split($0, parts, "\t"); kind = parts[2]
  if ($7 > end) end = $7
  gather = kind ~ /^Query/; held = ""
  if (kind ~ /^Execute_load_query/ && !stop) statements++
  if (gather && /error_code=[1-9]/ && !stop) halves++
  if (kind ~ /^GTID /) {
    split(kind, words, " "); gtid = words[2]; last = when
    delete missing[gtid]
    silent = kind ~ / ALTER/
    if (kind ~ /START ALTER/ && !stop) { phases++; split(gtid, parts, "-"); begun[parts[3]] = 1 }
    if (match(kind, /COMMIT ALTER id= *[0-9]+/) && !stop) {
      id = substr(kind, RSTART, RLENGTH); sub(/.* /, "", id); phases += !(id in begun)
    }
    if (wanted != "" && !stop && when >= wanted) { stop = at; in_file = file; of = gtid }
    else if (stop && when < wanted) { if (low == "" || when < low) low = when; behind = gtid }
  }
}
END {
  over()
  left = ""
  for (name in missing) left = left " " name
  print end + 0 "\t" last "\t" statements + 0 "\t" phases + 0 "\t" halves + 0 "\t" left "\t" broken
  print (stop ? in_file "\t" stop "\t" of "\t" low "\t" behind : "")
  for (i = 1; i <= told; i++) print times[i] "\t" texts[i]
}
"""
_FORMAT = "%y%m%d %H:%M:%S"


@dataclass(frozen=True)
class Stop:
    """The first transaction that claims to be of the wanted second or later, and where it begins. `earliest` is the
    oldest time that one behind it claims, and `behind` the last such one, if any is of before that second."""

    file: str
    position: int
    gtid: str
    earliest: float | None
    behind: str


@dataclass(frozen=True)
class Span:
    """`end` is where the last file's last whole event ends, and `last` the time that the newest transaction claims (the
    source's clock); `doubts` are the kinds of what stands before the stop and may not do the same again, and how many
    there are of each; `missing` are GTIDs that were asked for and are not there; `broken` are files that cannot be read
    to their end."""

    end: int
    last: float | None
    doubts: Mapping[str, int]
    missing: tuple[str, ...]
    stop: Stop | None
    broken: tuple[str, ...] = ()


def read(
    box: Place,
    log: Path,
    names: Sequence[str],
    start: int,
    *,
    second: int | None = None,
    gtids: str = "",
    local: bool = False,
) -> Span:
    """`names` are files of the directory `log`; `second` is what is looked for, by the source's clock. `local`: here
    nobody knows the time zone of the source's system."""
    wanted = "" if second is None else datetime.fromtimestamp(second, UTC).strftime(_FORMAT)
    argv = ["bash", "-c", _READ, "read", str(start), wanted, gtids, _PROGRAM]
    argv += [box.path(log / name) for name in names]
    ended, stopped, *text_lines = box.run(argv, env={"TZ": "UTC"}, what="reading the log").stdout.split("\n")
    end, last, plain, phases, halves, missing, broken = ended.split("\t")
    stop = None
    if stopped:
        file, position, gtid, low, behind = stopped.split("\t")
        stop = Stop(Path(file).name, int(position), gtid, _seconds(low), behind)
    # A file of which nothing comes after `start` tells the end of its head alone.
    least = start if len(names) == 1 else 0
    doubts = Counter({statements.STATEMENT: int(plain)})
    doubts += Counter({statements.IN_PHASES: int(phases), statements.HALF_WAY: int(halves)})
    for times, sql_mode, charset, zone, text in _texts(text_lines):
        if kind := statements.doubt(text, sql_mode, charset, local=local and zone == "SYSTEM"):
            doubts[kind] += times
    torn = tuple(Path(file).name for file in broken.split())
    return Span(max(int(end), least), _seconds(last), +doubts, tuple(missing.split()), stop, torn)


def _texts(text_lines: Sequence[str]) -> Iterator[tuple[int, int, str, str, str]]:
    """`text_lines`: of each text how often it is there, and how it is to be read, then its own lines."""
    head: list[str] = []
    lines: list[str] = []
    for line in [*text_lines, "\t\t\t"]:
        if line.startswith(" "):
            lines.append(line[1:])
        elif line:
            if head:
                yield int(head[0]), int(head[1]), head[2], head[3], "\n".join(lines)
            head, lines = line.split("\t"), []


def _seconds(text: str) -> float | None:
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp() if text else None
