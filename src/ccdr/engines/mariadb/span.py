"""What a run of the log's files holds: where it ends, where a time lies in it, whether it does the same again.

The log's order is the order of the commits; the time of a transaction is what its session said it was (SET TIMESTAMP
sets it), and of a long statement when that began. So a time is looked for in the log as a whole, and where the log goes
back behind it again, that is told. `mariadb-binlog --stop-datetime` would stop at the first event that claims to be so
late, whatever comes after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccdr.engines.mariadb import statements
from ccdr.ports.place import Place

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
