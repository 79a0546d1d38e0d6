"""The restored cluster in the sandbox: proven to be what was captured, put together where it is an increment, put where
a server can run on it, and started.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ccdr.engines import comparison
from ccdr.engines.postgres import server, server_settings
from ccdr.engines.postgres.connection import answer
from ccdr.engines.postgres.inventory import conf_line
from ccdr.engines.postgres.physical.backup_manifest import NAME, listed, parse
from ccdr.engines.postgres.physical.capture import CLUSTER, LINKS, TABLESPACES, mapping
from ccdr.engines.postgres.questions import LACKS
from ccdr.engines.servers.sandbox import image_that_has_it, in_place
from ccdr.model.answers import lacking, names_in
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken
from ccdr.model.values import FileDigest, Manifest
from ccdr.ports.capture import UPON, WHOLE
from ccdr.ports.place import Place

# Nothing of the source's configuration decides anything: not its postgresql.conf, pg_hba.conf or keys, which lie
# there unread, nor what ALTER SYSTEM or pg_basebackup has written, which is put aside.

HOME = "/tmp/ccdr-home"  # noqa: S108 - in the sandbox: a link to where the cluster is
PGDATA = f"{HOME}/{CLUSTER}"
CONF, MORE, HBA, IDENT = (f"/tmp/ccdr-{name}.conf" for name in ("postgresql", "more", "hba", "ident"))  # noqa: S108
VERIFIED = "/tmp/ccdr-verified"  # noqa: S108
PATIENCE = 86400  # seconds; the watchdog sees a server that does nothing

_PLACE = in_place(HOME, server.DATA, CLUSTER, TABLESPACES, server_settings.FILE)
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

    comparison.compare(box, root, listed, *(partial(verify_backup, arguments) for arguments in clusters))


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
    return ", ".join(answer(box, env, COLLATIONS, "asking the restored server").split("\n")[:-1][:3])


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
        libraries = manifest.contents["settings"].get("shared_preload_libraries")
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


# An increment and what it builds upon, in the sandbox: each proven to be what was captured, then put together.
#
# pg_combinebackup looks at no checksum of what it reads: so all files of each are compared before, and what came of
# them afterwards.

# $1: where the increment was fetched to, $2: where to, $3: how many it builds upon; then where each tablespace goes.
# Its links lead there from wherever it stands.
_COMBINE = f"""set -e
from=$1 to=$2 count=$3
shift 3
cd "$from"
bases=
n=0
while [ $n -lt "$count" ]; do bases="$bases {UPON}/$n/{CLUSTER}"; n=$((n + 1)); done
pg_combinebackup --no-sync --manifest-checksums=SHA256 -o "$to/{CLUSTER}" "$@" $bases {CLUSTER}
for link in "$to/{CLUSTER}/{LINKS}"/*; do
  if [ -L "$link" ]; then ln -sfn "../../{TABLESPACES}/${{link##*/}}" "$link"; fi
done
"""


def assemble(box: Place, restored: Path, manifest: Manifest, to: str) -> None:
    """Leave the whole cluster in the directory `to` (of the box), `CLUSTER` and `TABLESPACES` as a full base has them.
    BackupBad where any of what it is made of is not as it was captured, or is not what belongs together."""
    here = box.path(restored)
    # Of what it builds upon, the log is of no use: it is not looked at.
    parents = [["--no-parse-wal", f"{here}/{UPON}/{number}/{CLUSTER}"] for number in range(len(manifest.upon))]
    try:
        compare(box, here, _listed(restored, manifest), [f"{here}/{CLUSTER}"], *parents)
    except CommandFailed as error:
        raise unlike(error, "the increment, or a snapshot that it depends on, is not what was captured") from None
    mapped = list(_mapped(box, restored, to))
    argv = ["sh", "-c", _COMBINE, "sh", here, to, str(len(manifest.upon)), *mapped]
    try:
        box.run(argv, what="pg_combinebackup")
    except CommandFailed as error:
        if "pg_combinebackup: not found" in error.stderr:
            raise TestBroken(str(error), hint="name an image that holds all of PostgreSQL's programs") from None
        raise unlike(error, "the increment and the snapshots that it depends on do not match") from None
    try:
        made = parse(box.run(["cat", f"{to}/{CLUSTER}/{NAME}"], what="reading the whole's manifest").stdout)
        compare(box, f"{to}/{CLUSTER}", made.files, [f"{to}/{CLUSTER}"])
    except CommandFailed as error:
        raise unlike(error, "what pg_combinebackup made is not whole") from None
    except ValueError as error:
        raise TestBroken(f"what pg_combinebackup made is not whole: {error}", hint="run the test again") from None


def _listed(restored: Path, manifest: Manifest) -> dict[str, FileDigest]:
    """Every file of it and of what it builds upon. Each backup_manifest is the one that was captured: by our own
    manifest, which has the last word."""
    chain: list[str] = manifest.contents["chain"]
    if len(chain) != len(manifest.upon):
        raise BackupBad(f"it depends on {len(manifest.upon)} snapshots, and names {len(chain)} of their manifests")
    digests: dict[str, FileDigest] = {}
    for at in (CLUSTER, *(f"{UPON}/{number}/{CLUSTER}" for number in range(len(chain)))):
        digests |= {f"{at}/{name}": digest for name, digest in listed(restored / at).items()}
    for number, sha256 in enumerate(chain):
        name = f"{UPON}/{number}/{CLUSTER}/{NAME}"
        digests[name] = FileDigest((restored / name).stat().st_size, sha256)
    return {**digests, **manifest.files}


def _mapped(box: Place, restored: Path, to: str) -> Iterator[str]:
    """pg_combinebackup wants a tablespace's link to be absolute, and to be told where each goes."""
    for link in sorted((restored / CLUSTER / LINKS).iterdir()):
        if link.is_symlink():
            there = box.path(restored / TABLESPACES / link.name)
            link.unlink()
            link.symlink_to(there)
            yield mapping(there, f"{to}/{TABLESPACES}/{link.name}")
