"""Method `stream`: the dump goes into the repository as it is made, and never lies on this host's disk.

What `dump` reads from files is read from the stream as it goes by: `tee` hands it to restic, to sha256sum and to
pg_restore, which must read all of it to its end, and tells every table's rows. restic's reader ends well only where
all of them did.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ccdr.engines.postgres.dump import Dump, archive
from ccdr.engines.postgres.dump.capture import Dumper, Read
from ccdr.engines.postgres.dump.definitions import Schema, schema_of
from ccdr.engines.postgres.dump.toc import TABLE_DATA, TableFact, Toc, toc_of
from ccdr.model.errors import CommandFailed
from ccdr.model.values import FileDigest
from ccdr.ports.capture import Capture, Streamed, Tools
from ccdr.ports.place import Output, Pulse, Source

PIPES = "pipes"  # in the captured directory, and gone before that is stored
# Each reader of the stream is waited for: a pipeline's status does not tell of one that failed beside it. Of the last
# tee, two readers end as soon as they have seen the table of contents; of the first one, none may. 141: nobody read on.
# pg_dump begins at once, and has locked what it dumps by the time that the repository begins to read.
_WRITE = f"""\
cd "$1" && pipe=$2 verdict=$3 program=$4 && shift 4 && mkfifo listed defined rows hashed dumped || exit
pg_restore -l < listed > toc & toc=$!
pg_restore -s -C --no-tablespaces -f - < defined > schema & schema=$!
( set -o pipefail; {archive.FROM_INPUT} ) < rows > contents & contents=$!
sha256sum < hashed > whole & whole=$!
( "$@" | tee rows hashed > dumped; echo "${{PIPESTATUS[*]}}" > statuses ) & dumping=$!
exec 9> "$pipe"
tee -p listed defined < dumped >&9
ended=$?
wait $dumping; ended="$(cat statuses) $ended"
case "$ended" in *" 141 "*) echo "nobody reads the dump any more" >&2; exit 141 ;; esac
for reader in $toc $schema $contents $whole; do wait $reader || ended="$ended, a reader $?"; done
if [ "$ended" != "0 0 0" ]; then echo "pg_dump, tee and tee ended with $ended" >&2; exit 1; fi
printf whole > "$verdict"
"""


@dataclass
class _Went:
    """What was stored, once it is."""

    stored: Streamed | None = None


@dataclass(frozen=True)
class Streamer(Dumper):
    """As `Dumper`, but for where the dump goes."""

    went: _Went = field(default_factory=_Went)

    def _written(self, argv: Sequence[str], dump: Path, env: Mapping[str, str]) -> Output:
        pipes = dump.parent / PIPES
        outputs: list[Output] = []
        shutil.rmtree(pipes, ignore_errors=True)
        pipes.mkdir(mode=0o700)

        def write(pipe: Path, verdict: Path, pulse: Pulse) -> None:
            path = self.place.path
            words = ["bash", "-c", _WRITE, "write", path(pipes), path(pipe), path(verdict), archive.HASHED]
            words += ["pg_dump", "-Fc", *argv]
            outputs.append(self.place.run(words, env=env, what="pg_dump", pulse=pulse))

        assert self.tools.stream is not None
        self.went.stored = self.tools.stream(pipes, write)
        return outputs[0]

    def _defined(self, into: Path) -> tuple[Toc, Schema]:
        pipes = into / PIPES
        return toc_of(_text(pipes / "toc")), schema_of(_text(pipes / "schema"))

    def _read(self, into: Path, toc: Toc, files: Mapping[str, FileDigest]) -> Read:
        pipes, stored = into / PIPES, self.went.stored
        assert stored is not None
        contents, whole = archive.contents_of(_text(pipes / "contents")), _text(pipes / "whole").split()[0]
        shutil.rmtree(pipes)
        listed = list(toc.of(TABLE_DATA))
        if len(listed) != len(contents.tables):
            problem = f"the dump lists {len(listed)} tables and holds the rows of {len(contents.tables)}"
            raise CommandFailed(["pg_restore"], 0, problem)
        return Read(
            {key: TableFact(*fact) for key, fact in zip(listed, contents.tables, strict=True)},
            files={"dump": FileDigest(stored.bytes, whole)},
            more={"large_objects": contents.blobs, "stream": {"snapshot": stored.snapshot}},
        )


def _text(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape")


class StreamedDump(Dump):
    """`Method` for one database that may be larger than scratch; it comes back as a dump in one file."""

    programs: ClassVar[tuple[str, ...]] = (*Dump.programs, "bash", "awk")

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        asset, connection = self.asset, self.asset.connection
        env = connection.environment(source.credentials)
        dumper = Streamer(source.place, env, connection.database, asset.jobs, tools, asset.leave_out)
        return dumper.capture(into)
