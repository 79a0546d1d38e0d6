"""Loads a fetched RDB into the sandbox's server. The server must not start without its file: it would answer, empty."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from ccdr.engines.redis.capture import MODULE, RDB, USERS
from ccdr.engines.redis.checked import TOO_NEW, UnsoundFile, check
from ccdr.engines.redis.kinds import KINDS, Product, Release
from ccdr.engines.redis.server import PrivateServer, admin, configuration
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken
from ccdr.model.values import Manifest
from ccdr.ports.place import Place

RUN = "/ccdr/run"  # in the sandbox
_USERS = re.compile(r"ACL errors?|error in user declaration|aclfile|/users:", re.IGNORECASE)

_WRITTEN = """\
while said=$("$@" INFO persistence); do
  case $said in
  *aof_rewrite_in_progress:1* | *aof_rewrite_scheduled:1*) sleep 0.05 ;;
  *aof_last_bgrewrite_status:ok*) exit 0 ;;
  *) echo 'the server could not write its append-only file' >&2; exit 1 ;;
  esac
done
exit 1
"""


def kind_of(manifest: Manifest) -> Product:
    return KINDS[str(manifest.contents["server"])]


def release_of(manifest: Manifest) -> Release:
    return Release(kind_of(manifest), str(manifest.contents["version"]))


def restored_server(box: Place, manifest: Manifest) -> PrivateServer:
    """The one in the sandbox that `load` has started."""
    return PrivateServer(box, kind_of(manifest), RUN)


def load(server: PrivateServer, restored: Path, manifest: Manifest, databases: int, extra: Sequence[str]) -> None:
    """BackupBad where the file is damaged; TestBroken where the image's server cannot read a sound one."""
    rdb, users = restored / RDB, restored / USERS
    if not rdb.is_file():
        raise BackupBad(f"there is no {RDB} in the snapshot")
    rules = users.read_text("utf-8", "surrogateescape") if USERS in manifest.files else ""
    try:
        load_file(server, rdb, server.place.path(restored), rules, manifest, databases, extra)
    except TestBroken:
        if USERS in manifest.files and sha256(users.read_bytes()).hexdigest() != manifest.files[USERS].sha256:
            hint = "restore an older snapshot"
            raise BackupBad(f"the users' rights do not load: {USERS} is not as captured", hint=hint) from None
        raise


def load_file(
    server: PrivateServer,
    rdb: Path,
    directory: str,
    rules: str,
    manifest: Manifest,
    databases: int,
    extra: Sequence[str],
) -> None:
    """`rdb` (host path) lies in `directory`, as the server has it; `rules` are those of its users."""
    conf = configuration(server.run, directory, RDB, databases=databases, users=True, extra=extra)
    server.configure(conf, "".join(f"{line}\n" for line in (f"user {admin()}", *filter(None, rules.split("\n")))))
    try:
        server.start()
    except CommandFailed as error:
        raise _judged(error, server, rdb, manifest) from None
    persistence = server.info("persistence")
    loaded = int(persistence["rdb_last_load_keys_loaded"])
    if loaded == 0 and manifest.contents["keys"]:
        raise TestBroken(
            "the sandbox's server started without the RDB", hint="run the test with --keep, and see its log"
        )


def made_durable(server: PrivateServer, directory: str) -> None:
    """As in production: every change would go to disk (`appendfsync everysec`). The server writes all it holds once,
    and has it there before the restore counts as done."""
    for setting in (("dir", directory), ("appendonly", "yes")):
        server.raw("CONFIG", "SET", *setting)
    written(server)


def written(server: PrivateServer) -> None:
    """Wait until its append-only file is written."""
    server.place.run(["sh", "-c", _WRITTEN, "sh", *server.cli], what="writing the append-only file")


def _judged(error: CommandFailed, server: PrivateServer, rdb: Path, manifest: Manifest) -> CcdrError:
    """The server ended instead of loading. Its log tells what it lacks; of the file, `check` tells more."""
    if error.stalled:
        return TestBroken(str(error), hint="give `limits: no_progress` more time")
    if lacks := error.stderr.search(MODULE):
        return TestBroken(
            f"the image's server lacks the module {lacks[1]}{_versions(manifest)}",
            hint="name an image that has it with `image:`, and the module's file in it with `modules:`",
        )
    if newer := error.stderr.search(TOO_NEW):
        return TestBroken(
            f"the image's server is too old for this RDB, of format {newer[1]}",
            hint=f"name an image with {server.kind.title} {manifest.contents['version']} or newer",
        )
    if error.stderr.search(_USERS):
        return TestBroken(
            f"the image's server does not take the users' rights: {error}",
            hint="do they name commands of a module? then name its file in the image with `modules:`",
        )
    try:
        check(server.place, server.kind, rdb)
    except UnsoundFile as damage:
        return BackupBad(f"the backup does not load: {damage}", hint="restore an older snapshot", words=damage.words)
    except CommandFailed as unread:
        return TestBroken(f"the RDB cannot be read in the sandbox: {unread}", hint="run the test with --keep, and look")
    return TestBroken(f"the sandbox's server did not load a sound RDB: {error}", hint="see what its log says")


def _versions(manifest: Manifest) -> str:
    modules = manifest.contents["modules"]
    if not isinstance(modules, Mapping) or not modules:
        return ""
    return f" (the source had {', '.join(f'{name} {version}' for name, version in modules.items())})"
