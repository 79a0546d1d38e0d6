"""What a run of the log's files holds: where it ends, where a time lies in it, and whether its changes are rows.

The log's order is the order of the commits; the time of a transaction is what its session said it was (SET TIMESTAMP
sets it), and of a long statement when that began. So a time is looked for in the log as a whole, and where the log goes
back behind it again, that is told. `mariadb-binlog --stop-datetime` would stop at the first event that claims to be so
late, whatever comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccdr.interfaces import Place

# $1: where the first file is read from; $2: the second that is looked for, or nothing; $3: GTIDs, apart by commas; $4:
# the program below. Then the files. A torn event ends a file's listing; whoever applies it meets it again.
_READ = """start=$1 wanted=$2 named=$3 program=$4; shift 4
for file; do
  printf '\\001%s\\n' "$file"
  mariadb-binlog --no-defaults --base64-output=decode-rows ${start:+--start-position="$start"} "$file" 2> /dev/null
  start=
done | LC_ALL=C awk -v "wanted=$wanted" -v "named=$named" "$program"
"""
# What is logged as a statement stands behind the header of a Query that is no DDL, behind settings that end in /*!*/;
# that all rows of a table go does the same again (so the server logs that a MEMORY table began empty). Within a
# transaction, end_log_pos may be 0.
_PROGRAM = r"""
BEGIN { n = split(named, names, ","); for (i = 1; i <= n; i++) missing[names[i]] = 1 }
/^\001/ { file = substr($0, 2); end = 0; told = 0; next }
/^# at [0-9]+$/ { at = $3; told = 0; next }
/^#[0-9][0-9][0-9][0-9][0-9][0-9] +[0-9]+:[0-9][0-9]:[0-9][0-9] server id [0-9]+ +end_log_pos [0-9]+/ {
  split($2, t, ":"); when = sprintf("%s %02d:%s:%s", substr($1, 2), t[1], t[2], t[3])
  split($0, parts, "\t"); kind = parts[2]
  if ($7 > end) end = $7
  told = kind ~ /^Query/ && !ddl
  if (kind ~ /^Execute_load_query/ && !stop) statements++
  if (kind ~ /^GTID /) {
    split(kind, words, " "); gtid = words[2]; ddl = kind ~ / ddl/; last = when
    delete missing[gtid]
    if (wanted != "" && !stop && when >= wanted) { stop = at; in_file = file; of = gtid }
    else if (stop && when < wanted) { if (low == "" || when < low) low = when; behind = gtid }
  }
  next
}
told {
  text = $0
  if (text ~ /\/\*!\*\/;$/ || text ~ /^(--|#)/) next
  gsub(/\/\*[^*]*\*\//, "", text); sub(/^[ \t(]+/, "", text)
  if (text == "") next
  changes = toupper(text) ~ /^(INSERT|UPDATE|DELETE|REPLACE|LOAD|WITH|SELECT|CALL|DO|EXECUTE|SET STATEMENT)([^A-Z]|$)/
  if (changes && text !~ /^DELETE FROM [^ ]+$/ && !stop) statements++
  told = 0
}
END {
  left = ""
  for (name in missing) left = left " " name
  print end + 0 "\t" last "\t" statements + 0 "\t" left
  if (stop) print in_file "\t" stop "\t" of "\t" low "\t" behind
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
    source's clock); `statements` counts changes before the stop that are logged as statements, `missing` are GTIDs that
    were asked for and are not there."""

    end: int
    last: float | None
    statements: int
    missing: tuple[str, ...]
    stop: Stop | None


def read(
    box: Place, log: Path, names: Sequence[str], start: int, *, second: int | None = None, gtids: str = ""
) -> Span:
    """`names` are files of the directory `log`; `second` is what is looked for, by the source's clock."""
    wanted = "" if second is None else datetime.fromtimestamp(second, UTC).strftime(_FORMAT)
    argv = ["bash", "-c", _READ, "read", str(start), wanted, gtids, _PROGRAM]
    argv += [box.path(log / name) for name in names]
    ended, *stopped = box.run(argv, env={"TZ": "UTC"}, what="reading the log").stdout.splitlines()
    end, last, statements, missing = ended.split("\t")
    stop = None
    if stopped:
        file, position, gtid, low, behind = stopped[0].split("\t")
        stop = Stop(Path(file).name, int(position), gtid, _seconds(low), behind)
    # A file of which nothing comes after `start` tells the end of its head alone.
    least = start if len(names) == 1 else 0
    return Span(max(int(end), least), _seconds(last), int(statements), tuple(missing.split()), stop)


def _seconds(text: str) -> float | None:
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp() if text else None
