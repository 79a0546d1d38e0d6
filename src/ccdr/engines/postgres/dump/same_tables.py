"""Are the rows of every table those that were captured?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ccdr.engines.compared import judged
from ccdr.engines.postgres.dump.fetched import FetchedDump, claimed_of
from ccdr.engines.postgres.dump.toc import TableFact, Toc
from ccdr.model.values import CheckResult, so_many
from ccdr.ports.check import CheckContext


def same_tables(
    context: CheckContext, dump: FetchedDump, toc: Toc, after: Mapping[str, TableFact], again: Path
) -> CheckResult:
    claimed, before = claimed_of(context.manifest), dump.tables(toc)
    wrong, reordered = [], 0
    for key in sorted(before.keys() | after.keys() | claimed.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None or key not in claimed:
            wrong.append(f"{key}: {'missing' if new is None else 'not in the backup'}")
        elif claimed[key] != (new.rows, new.sha256):
            # The fetched file is what the rows are compared with: it must be the captured one.
            rows = dump.rows(toc, key)
            fetched = context.digest(rows.parent, [rows.name])[rows.name].sha256
            if fetched == claimed[key][1] and old.rows == new.rows and _same_rows(context, rows, again / new.file):
                reordered += 1
            else:
                wrong.append(f"{key}: {so_many(old.rows, 'row')} captured, {new.rows} restored, contents differ")
    count = sum(t.rows for t in after.values())
    note = f", {reordered} in another row order" if reordered else ""
    return judged(
        "tables",
        wrong,
        f"{so_many(len(claimed), 'table')}, {so_many(sum(r for r, _ in claimed.values()), 'row')}",
        f"{so_many(len(after), 'table')}, {so_many(count, 'row')}, equal by SHA-256{note}",
    )


def _same_rows(context: CheckContext, one: Path, other: Path) -> bool:
    """Equal as multisets of lines; sorted by the system's `sort`, which spills to disk."""
    script = 'set -o pipefail; LC_ALL=C sort -S 25% -T "$2" -- "$1" | sha256sum'
    argv = ["bash", "-c", script, "sort"]
    hashes = [context.host.run([*argv, str(p), str(context.out)], what="sort").stdout for p in (one, other)]
    return hashes[0] == hashes[1]
