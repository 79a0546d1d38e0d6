"""How a dump's files are loaded, wherever the server stands."""

from __future__ import annotations

from pathlib import Path

from ccdr.engines.mariadb import accounts
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.errors import BackupBad
from ccdr.interfaces import Place, Pulse
from ccdr.model import Manifest

_OURS = (files.DATABASE, accounts.USERS, accounts.GRANTS)  # the rest is mariadb-dump's, and ends as it ends
_SQL_MODE = "SQL_MODE='NO_AUTO_VALUE_ON_ZERO'"
# Where a table's files lay at the source is no place elsewhere.
NO_DIRECTORIES = (_SQL_MODE, f"{_SQL_MODE[:-1]},NO_DIR_IN_CREATE'")
# $1: how many at a time; the rest is the client. Names come on standard input, largest first.
_LOAD_ROWS = r"""
jobs=$1; shift
xargs -0 -r -n 1 -P "$jobs" bash -c '
  file=${@: -1}; set -- "${@:1:$#-1}"
  "$@" < "$file" || { echo "in ${file##*/}" >&2; exit 255; }' load "$@"
"""


def require_whole(restored: Path, manifest: Manifest) -> None:
    """BackupBad where a file of the client's does not end as it must: it would load all the same, without an error."""
    for name in manifest.files:
        if name not in _OURS and not files.complete(restored / name):
            raise BackupBad(
                f"{name} does not end as a complete dump does, so rows or definitions are missing from it",
                hint="restore an older snapshot, and back up again",
            )


def load_rows(
    place: Place, client: list[str], restored: Path, inventory: Inventory, jobs: int, pulse: Pulse | None = None
) -> None:
    """Every table's rows, by so many clients at a time."""
    largest = sorted(inventory.tables.values(), key=lambda t: -int(t["bytes"]))
    names = "".join(f"{place.path(restored / str(t['file']))}\0" for t in largest)
    argv = ["bash", "-c", _LOAD_ROWS, "load", str(jobs), *client]
    place.run(argv, stdin=names, what="loading rows", pulse=pulse)


def text_of(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape")
