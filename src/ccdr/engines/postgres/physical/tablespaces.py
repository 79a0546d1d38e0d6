"""Tablespaces that a shipped log creates, each at a path of the source's own: found before the log is applied, and led
below what was restored afterwards. Only where such a path leads is the restore's own can a server replay them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ccdr.engines.postgres import segments
from ccdr.engines.postgres.physical.capture import CLUSTER, LINKS, TABLESPACES
from ccdr.engines.postgres.segments import SEGMENT_BYTES, number, segment_name, segments_in, timeline_of
from ccdr.model.errors import BackupBad, CommandFailed, LogStops, TestBroken
from ccdr.ports.place import Place

# The log of one history, as if it were of one timeline. On standard input each name and the file that it leads to. $1:
# the log, $2: the timeline, $3: where the base begins.
_DUMP = """set -e
line=$(mktemp -d)
trap 'rm -rf "$line"' EXIT
while read -r name file; do ln -s "$1/$file" "$line/$name"; done
pg_waldump --rmgr=Tablespace --path="$line" --timeline="$2" --start="$3"
"""
# Where a log ends pg_waldump fails. A server reads by the same rules and comes no further.
_ENDS = re.compile(r"error in WAL record at|could not find (?:file|a valid record)|WAL segment size")
_RECORD = re.compile(r'rmgr: Tablespace .*?desc: (?:CREATE (?P<oid>\d+) "(?P<path>.*)"|DROP \d+)\s*', re.DOTALL)
# $1: where the cluster is. A path that is no directory there is of a sandbox that is thrown away.
_LEAD_BACK = f"""set -e
cd "$1"
[ -d {TABLESPACES} ] || exit 0
cd {TABLESPACES}
for link in ../{CLUSTER}/{LINKS}/*; do
  oid=${{link##*/}}
  for directory in *; do
    if [ -L "$link" ] && [ "$directory" -ef "$link" ]; then
      if [ "$directory" != "$oid" ]; then mv -T "$directory" "$oid"; fi
      ln -s "../../{TABLESPACES}/$oid" link
      mv -T link "$link"
    fi
  done
done
find . -mindepth 1 -maxdepth 1 -type d -empty -delete
"""


def created(box: Place, log: Path, branch: int, start: str) -> dict[str, str]:
    """As `Engine.outside`, of the log that leads to the branch, from the position `start` on. BackupBad where it cannot
    be read from there on; LogStops for a path that no sandbox can be given."""
    lines = "".join(f"{name} {file}\n" for name, file in line_of(log, branch, number(start) // SEGMENT_BYTES))
    argv = ["sh", "-c", _DUMP, "dump", box.path(log), str(branch), start]
    try:
        said = box.run(argv, stdin=lines, ok=(0, 1), what="looking for tablespaces in the log")
    except CommandFailed as error:
        raise TestBroken(str(error), hint="name an image that holds all of PostgreSQL's programs") from None
    if said.code and not said.stderr.search(_ENDS):
        raise BackupBad(
            f"the log cannot be read from {start} on",
            hint="recover by another base, and back up again",
            words=said.stderr,
        )
    return parse(said.stdout)


def line_of(log: Path, branch: int, start: int) -> Iterator[tuple[str, str]]:
    """The files that a recovery on this branch reads, from the segment of that number on, each with a name as if it
    were the branch's own. Where a branch begins within a segment, its own copy holds both."""
    history = log / f"{branch:08X}.history"
    forks = segments.forks(branch, history.read_text("utf-8", "replace")) if history.is_file() else ()
    begins = {fork.branch: number(fork.position) // SEGMENT_BYTES for fork in forks}
    begins[forks[0].parent if forks else branch] = 0
    there: dict[int, int] = {}
    for name in (segment.name for segment in segments_in(log) if not segment.beside):
        place, timeline = int(name[8:16], 16) * (2**32 // SEGMENT_BYTES) + int(name[16:], 16), timeline_of(name)
        if begins.get(timeline, place + 1) <= place:
            there[place] = max(timeline, there.get(place, 0))
    newest, place = 0, start
    while (timeline := there.get(place, 0)) >= max(newest, 1):
        yield segment_name(branch, place), segment_name(timeline, place)
        newest, place = timeline, place + 1


def parse(dump: str) -> dict[str, str]:
    """Of pg_waldump's records: each path, and for its directory the last tablespace that was made there. One that the
    server keeps in its own directory has no path."""
    made: dict[str, str] = {}
    for text in re.split(r"\n(?=rmgr: )", dump.removesuffix("\n")) if dump else ():
        if (record := _RECORD.fullmatch(text)) is None or not (record["path"] or "").isprintable():
            raise LogStops(
                "the log creates a tablespace at a path that cannot be read",
                hint="back up again: a base that holds the tablespace needs no such path",
            )
        if record["path"]:
            made[record["path"]] = f"{TABLESPACES}/{record['oid']}"
    return made


def lead_back(box: Place, home: str) -> None:
    """Have links that lead to directories below `home` by another path do so relatively, each to one of its own number;
    a server may run meanwhile: it is the same directory. Directories that nothing was left in go."""
    box.run(["sh", "-c", _LEAD_BACK, "lead", home], what="leading tablespaces to what was restored")
