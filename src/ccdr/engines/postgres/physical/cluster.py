"""The restored cluster in the sandbox: put where a server can run on it, proven to be what was captured, and started
with settings of our own.

Nothing of the source's configuration decides anything: not its postgresql.conf, pg_hba.conf or keys, which lie there
unread, nor what ALTER SYSTEM or pg_basebackup has written, which is put aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ccdr.engines import sums
from ccdr.engines.postgres import captured_settings, server
from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.inventory import conf_line
from ccdr.engines.postgres.physical.capture import CLUSTER, TABLESPACES
from ccdr.engines.postgres.questions import LACKS
from ccdr.engines.servers.sandbox import image_that_has_it, in_place
from ccdr.model.answers import lacking, names_in
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken
from ccdr.model.values import FileDigest, Manifest
from ccdr.ports.capture import WHOLE
from ccdr.ports.place import Place

HOME = "/tmp/ccdr-home"  # noqa: S108 - in the sandbox: a link to where the cluster is
PGDATA = f"{HOME}/{CLUSTER}"
CONF, MORE, HBA, IDENT = (f"/tmp/ccdr-{name}.conf" for name in ("postgresql", "more", "hba", "ident"))  # noqa: S108
VERIFIED = "/tmp/ccdr-verified"  # noqa: S108
PATIENCE = 86400  # seconds; the watchdog sees a server that does nothing

_PLACE = in_place(HOME, server.DATA, CLUSTER, TABLESPACES, captured_settings.FILE)
# The same for one that is yet to be put together.
_OWN = f"""set -e
if [ -O "$1/{WHOLE}" ] && [ -w "$1/{WHOLE}" ]; then
  ln -sfn "$1/{WHOLE}" {HOME}
else
  mkdir -p {server.DATA}/ccdr
  ln -sfn {server.DATA}/ccdr {HOME}
fi
"""
_WHOLE = f"""set -e
chmod 700 {PGDATA}
echo verified > {VERIFIED}
"""
# The settings come on standard input. $1: `recovery` where log beyond the backup's own is to be replayed. What an
# earlier start has said is not this one's.
_START = f"""set -e
cat > {CONF}
: > {server.LOG}
echo 'local all all trust' > {HBA}
: > {IDENT}
cd {PGDATA}
for name in postgresql.auto.conf standby.signal recovery.signal; do
  if [ -e "$name" ] && [ ! -e "$name.captured" ]; then mv "$name" "$name.captured"; fi
done
: > postgresql.auto.conf
if [ "$1" = recovery ]; then : > recovery.signal; fi
pg_ctl -D {PGDATA} -w -t {PATIENCE} -l {server.LOG} -s -o "-c config_file={CONF}" start
"""
_STOP = f"pg_ctl -D {PGDATA} -w -t {PATIENCE} -m fast -s stop"
_WITHOUT_INDEXES = f"""set -e
for kind in indexscan indexonlyscan bitmapscan partition_pruning; do echo "enable_$kind = off"; done > {MORE}
pg_ctl -D {PGDATA} -s reload
"""
# By any index or as the database's own.
COLLATIONS = """\
select format('%s %s here, %s at the source', name, has, had) from (
  select c.collname as name, c.collversion as had, pg_collation_actual_version(c.oid) as has from pg_collation c
  where exists (select from pg_index i where c.oid = any (i.indcollation))
  union select d.datcollate, d.datcollversion, pg_database_collation_actual_version(d.oid) from pg_database d
  where d.datname = current_database()) c where had is distinct from has and had is not null order by 1;
"""
# The server's word for a copy that is not what it should be.
_BAD = re.compile(
    r"WAL ends before (?:end of online backup|consistent recovery point)|could not (?:find|locate) (?:a valid|redo|"
    r"required)[^\n]*|invalid (?:primary )?checkpoint record|incorrect checksum in control file|"
    r"could not open file \"(?:base|global|pg_)[^\n]*|requested timeline \d+ does not contain[^\n]*|"
    r"invalid page in block[^\n]*|WAL contains references to invalid pages|incorrect resource manager data[^\n]*"
)
# The image's program cannot read a cluster like this one at all.
_OTHER = re.compile(
    r"database files are incompatible with server|could not load library[^\n]*|could not access file[^\n]*|"
    r"database locale is incompatible[^\n]*|unrecognized configuration parameter[^\n]*|"
    r"invalid value for parameter[^\n]*"
)


def put_in_place(box: Place, restored: Path) -> None:
    """Have the fetched cluster stand at HOME, owned by the server's user."""
    _carried_out(box, _PLACE, box.path(restored), what="putting the cluster in place")


def verify(box: Place, listed: Mapping[str, FileDigest]) -> None:
    """BackupBad where a file is missing, additional, or not as it was captured. `listed` names every one, PostgreSQL's
    own manifest among them."""
    try:
        compare(box, HOME, listed, [PGDATA])
    except CommandFailed as error:
        raise unlike(error, "the copy is not what was captured") from None
    whole(box)


def compare(box: Place, root: str, listed: Mapping[str, FileDigest], *clusters: Sequence[str]) -> None:
    """CommandFailed where a file below `root` is not as it is listed, or a cluster holds others than its own manifest
    says. pg_verifybackup, which reads one file after the other, is left what sums do not tell: which are there, how
    long they are, and whether the log can be read. `clusters` are its arguments, for each."""

    def verify_backup(arguments: Sequence[str]) -> None:
        box.run(["pg_verifybackup", "--quiet", "--skip-checksums", *arguments], what="pg_verifybackup")

    sums.compare(box, root, listed, *(partial(verify_backup, arguments) for arguments in clusters))


def unlike(error: CommandFailed, what: str) -> BackupBad | TestBroken:
    """What it means that files were compared in vain."""
    if error.stalled:
        return TestBroken(str(error), hint="give `limits: no_progress` more time")
    if "pg_waldump" in error.stderr and "not found" in error.stderr:
        return TestBroken(str(error), hint="name an image that holds all of PostgreSQL's programs")
    return BackupBad(
        f"{what}: {error}",
        hint="restore an older snapshot; `ccdr upkeep PLAN --check --all-data` says what else is damaged",
    )


def own_directory(box: Place, restored: Path) -> str:
    """Where a cluster that is put together can stand, and a server run on it: HOME leads there."""
    _carried_out(box, _OWN, box.path(restored), what="making room for the cluster")
    return HOME


def whole(box: Place) -> None:
    """It was found whole: this is where a check looks for that."""
    _carried_out(box, _WHOLE, what="taking down that all are as captured")


def start(box: Place, settings: Mapping[str, str], *, recovering: bool = False) -> None:
    """Have a server answer on it, once it has replayed the backup's own log. `recovering`: it goes on from there, as
    recovery_target_… and restore_command among the settings say. CommandFailed with the end of the server's log where
    it does not answer: `judged` tells whose fault that is."""
    options = {**settings, "hba_file": HBA, "ident_file": IDENT, "include_if_exists": MORE}
    conf = "".join(conf_line(key, value) for key, value in options.items())
    what = "starting the restored server"
    argv = ["sh", "-c", _START, "start", "recovery" if recovering else "crash"]
    try:
        box.run(argv, stdin=conf, what=what)
    except CommandFailed as error:
        words = error.stderr + server.last_words(box)
        raise CommandFailed(
            error.argv, error.code, words, stalled=error.stalled, what=what, image=error.image
        ) from None


def answers(box: Place, env: Mapping[str, str]) -> None:
    """See that the database that checks ask answers. Where the image sorts text otherwise than the source, no query may
    use an index: it is in the order of the source's libraries. CommandFailed as `start`."""
    if collations(box, env):
        _carried_out(box, _WITHOUT_INDEXES, what="setting the restored server")


def collations(box: Place, env: Mapping[str, str]) -> str:
    """Which of the database's collations the image has in another version; empty where it has none."""
    argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-c", COLLATIONS]
    return ", ".join(box.run(argv, env=env, what="asking the restored server").stdout.split("\n")[:-1][:3])


def checksums(box: Place, settings: Mapping[str, str]) -> list[str]:
    """What `pg_checksums --check` finds, line by line; nothing where all is well. It wants the server stopped."""
    _carried_out(box, _STOP, what="stopping the restored server")
    out = box.run(["pg_checksums", "--check", "-D", PGDATA], ok=(0, 1), what="pg_checksums")
    start(box, settings)
    lines = [line for line in (out.stderr.reveal() + out.stdout).splitlines() if line.strip()]
    return (lines or ["exit 1"]) if out.code else []


def judged(error: CommandFailed, manifest: Manifest) -> BackupBad | TestBroken:
    """Why the restored server does not answer: BackupBad for what the copy lacks, TestBroken where the image is to
    blame, or nobody knows."""
    log = error.stderr
    if error.stalled:
        return TestBroken(str(error), hint="give `limits: no_progress` more time")
    if log.search(_OTHER) or log.search(LACKS):
        libraries = manifest.contents["settings"].get("shared_preload_libraries")  # type: ignore[attr-defined]
        return TestBroken(
            f"{error.the_image} cannot run the restored server: {lacking(log, names_in(manifest.contents))}",
            hint=f"{image_that_has_it(manifest)}; or change what its server is started with"
            + (f": `server_settings: {{shared_preload_libraries: …}}`, {libraries} at the source" if libraries else ""),
        )
    if log.search(_BAD):
        return BackupBad(f"the restored server does not start: {lacking(log)}", hint="restore an older snapshot")
    return TestBroken(f"the restored server does not start: {error}", hint="see what it says")


def _carried_out(box: Place, script: str, *args: str, what: str) -> None:
    try:
        box.run(["sh", "-c", script, "sh", *args], what=what)
    except CommandFailed as error:
        raise TestBroken(str(error), hint="see what it says; give `limits: no_progress` more time") from None
