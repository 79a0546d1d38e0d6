"""An increment and what it builds upon, in the sandbox: each proven to be what was captured, then put together.

pg_combinebackup looks at no checksum of what it reads: so all files of each are compared before, and what came of them
afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ccdr.engines.postgres.physical import cluster
from ccdr.engines.postgres.physical.backup_manifest import NAME, listed, parse
from ccdr.engines.postgres.physical.capture import CLUSTER, LINKS, TABLESPACES
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken
from ccdr.model.values import FileDigest, Manifest
from ccdr.ports.capture import UPON
from ccdr.ports.place import Place

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
        cluster.compare(box, here, _listed(restored, manifest), [f"{here}/{CLUSTER}"], *parents)
    except CommandFailed as error:
        raise cluster.unlike(
            error, "the increment, or a snapshot that it depends on, is not what was captured"
        ) from None
    mapped = list(_mapped(box, restored, to))
    argv = ["sh", "-c", _COMBINE, "sh", here, to, str(len(manifest.upon)), *mapped]
    try:
        box.run(argv, what="pg_combinebackup")
    except CommandFailed as error:
        if "pg_combinebackup: not found" in error.stderr:
            raise TestBroken(str(error), hint="name an image that holds all of PostgreSQL's programs") from None
        raise cluster.unlike(error, "the increment and the snapshots that it depends on do not match") from None
    try:
        made = parse(box.run(["cat", f"{to}/{CLUSTER}/{NAME}"], what="reading the whole's manifest").stdout)
        cluster.compare(box, f"{to}/{CLUSTER}", made.files, [f"{to}/{CLUSTER}"])
    except CommandFailed as error:
        raise cluster.unlike(error, "what pg_combinebackup made is not whole") from None
    except ValueError as error:
        raise TestBroken(f"what pg_combinebackup made is not whole: {error}", hint="run the test again") from None


def _listed(restored: Path, manifest: Manifest) -> dict[str, FileDigest]:
    """Every file of it and of what it builds upon. Each backup_manifest is the one that was captured: by our own
    manifest, which has the last word."""
    chain = manifest.contents["chain"]
    assert isinstance(chain, list)
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
            yield f"--tablespace-mapping={_escaped(there)}={_escaped(f'{to}/{TABLESPACES}/{link.name}')}"


def _escaped(path: str) -> str:
    return path.replace("=", "\\=")
