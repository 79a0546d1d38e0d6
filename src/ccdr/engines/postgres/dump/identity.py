"""Is what was restored what was captured? By a second dump of the restored database.

Tables are compared through the table of contents (file numbers differ between two dumps, and a plain multiset
of hashes would miss two tables' contents swapped). Before a FAIL, what differs is compared without order:
a restore may reorder rows of varying width, and pg_dump may reorder statements of equal rank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ccdr.engines.compared import equal
from ccdr.engines.postgres.connection import DUMP_OPTIONS, major_of
from ccdr.engines.postgres.dump.definitions import statements
from ccdr.engines.postgres.dump.fetched import DumpDirectory, OneFile, claimed_of
from ccdr.engines.postgres.dump.recorded import as_recorded
from ccdr.engines.postgres.dump.same_objects import same_objects
from ccdr.engines.postgres.dump.same_roles import same_roles, same_roles_there
from ccdr.engines.postgres.dump.same_settings import asked_of_restored, same_settings
from ccdr.engines.postgres.dump.same_tables import same_tables
from ccdr.engines.postgres.dump.server_objects import OF_MAJOR, OF_SERVER, read_objects, same_server_objects
from ccdr.engines.postgres.dump.toc import read_toc, tables
from ccdr.engines.postgres.inventory import read_inventory
from ccdr.engines.servers.parts import in_part
from ccdr.model.values import CheckResult
from ccdr.ports.check import CheckContext

_DATA = re.compile(r"dump/(\d+|blob_\d+)\.dat")  # and not toc.dat, which holds every definition
_SEQUENCES = re.compile(r"SEQUENCE SET ")
# In the data section of a dump, never among its definitions.
_LARGE_OBJECTS = re.compile(r"BLOB METADATA |BLOB - |(ACL|COMMENT|SECURITY LABEL) - LARGE OBJECT")


def compare(
    context: CheckContext, env: Mapping[str, str], jobs: int, *, working: str | None = None
) -> Iterator[CheckResult]:
    """Dump the restored database again and compare: tables, large objects, sequences, objects, roles. `working` is
    its name on a real server: there it has another one than the source's, and roles that were there before."""
    box, dump, again = context.sandbox, context.restored / "dump", context.out / "again"
    env = {**env, "PGOPTIONS": f"{env['PGOPTIONS']} {DUMP_OPTIONS}"}
    _dump_again(context, env, jobs, again)
    toc, toc_again = read_toc(box, dump), read_toc(box, again)
    names = sorted(p.name for p in again.iterdir())
    files_again = context.digest(again, [n for n in names if n.endswith(".dat")], lines=True)
    yield _captured_files(context)
    if in_part(context.manifest):
        chosen, found = claimed_of(context.manifest), tables(toc_again, files_again)
        yield same_tables(
            context, DumpDirectory(context), toc.only(chosen), {k: found[k] for k in chosen if k in found}, again
        )
        return
    fetched = OneFile(context) if dump.is_file() else DumpDirectory(context)
    yield same_tables(context, fetched, toc, tables(toc_again, files_again), again)
    objects, objects_again = fetched.blobs(), fetched.blobs_again(again, toc_again, files_again)
    yield equal("large objects", objects, objects_again, len(objects))
    for name, wanted in (("large objects' owners, grants, comments", _LARGE_OBJECTS), ("sequences", _SEQUENCES)):
        before, after = statements(box, dump, toc, wanted), statements(box, again, toc_again, wanted)
        yield equal(name, before, after, before.total())
    yield same_objects(context, env, dump, again, working)
    if working is None:
        yield same_roles(context, env)
    inventory, every = asked_of_restored(context, env)
    there = read_inventory(inventory).facts
    if working is not None:
        yield same_roles_there(as_recorded(context.manifest.contents), as_recorded(there))
    yield same_settings(context.manifest.contents, there, whole_server=working is None)
    same_major = major_of(str(there["version"])) == major_of(str(context.manifest.contents["version"]))
    other = [*OF_MAJOR * (not same_major), *[OF_SERVER] * (working is not None or not same_major)]
    yield same_server_objects(context.manifest.contents, read_objects(every), there["extensions"], other)


def _dump_again(context: CheckContext, env: Mapping[str, str], jobs: int, again: Path) -> None:
    """As it was captured, into the directory `again`."""
    box = context.sandbox
    encoding = f"--encoding={context.manifest.contents['encoding']}"
    argv = ["pg_dump", "-w", "-Fd", f"-j{jobs}", "-Z0", "--no-sync", encoding, "-f", box.path(again)]
    if context.manifest.contents.get("standby"):
        argv.append("--no-unlogged-table-data")
    again.mkdir()
    again.chmod(0o777)  # the sandbox's user is not ours; pg_dump takes an empty directory, and lets all read its files
    box.run(argv, env=env, watch=again, what="dumping the restored database")


def _captured_files(context: CheckContext) -> CheckResult:
    """The small files say what belongs where: they must be the captured ones. The data itself is compared
    after its way through a server, so it is not hashed twice."""
    small = [n for n in context.manifest.files if not _DATA.fullmatch(n)]
    present = [n for n in small if (context.restored / n).is_file()]
    digests = context.digest(context.restored, present)
    captured = {n: context.manifest.files[n].sha256 for n in small}
    return equal("table of contents and roles", captured, {n: d.sha256 for n, d in digests.items()}, len(small))
