"""Both methods, restored into a home that stays: where the server's files lie is all that differs from a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ccdr.engines.postgres import server
from ccdr.engines.postgres.connection import major_number
from ccdr.engines.postgres.dump.method import Dump
from ccdr.engines.postgres.inventory import Inventory, conf_line
from ccdr.engines.postgres.physical import cluster
from ccdr.engines.postgres.physical.capture import CLUSTER, LINKS, TABLESPACES
from ccdr.engines.postgres.physical.method import Physical, disarm
from ccdr.model.answers import lacking
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import Manifest
from ccdr.ports.new_server import HOME
from ccdr.ports.place import Place
from ccdr.ports.restored import SandboxNeeds

DATA = f"{HOME}/{CLUSTER}"
PATIENCE = 86400  # seconds; the watchdog sees a server that does nothing

# Until it is loaded it has no standby, and nobody changes anything: what is written is on disk all the same, and a
# commit does not wait for it: the load ends with a checkpoint, which does, and a server that ends with another.
LOADING = {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "synchronous_commit": "off",
}

# The settings come on standard input; what follows $2 is for initdb.
_MAKE = f"""set -e
user=$1 encoding=$2
shift 2
initdb -D {DATA} -U "$user" -A trust -N -E "$encoding" --no-instructions "$@" > /dev/null
cp {DATA}/postgresql.conf /tmp/ccdr-initdb.conf
"""
_START = f"""set -e
cat > {cluster.CONF}
: > {server.LOG}
echo 'local all all trust' > {cluster.HBA}
: > {cluster.IDENT}
: > {DATA}/postgresql.auto.conf
pg_ctl -D {DATA} -w -t {PATIENCE} -l {server.LOG} -s -o "-c config_file={cluster.CONF}" start
"""
_AS_CAPTURED = f"""set -e
cd {DATA}
rm -f postmaster.opts postgresql.auto.conf
for name in *.captured; do if [ -e "$name" ]; then mv "$name" "${{name%.captured}}"; fi; done
"""
STOP = f"pg_ctl -D {DATA} -w -t {PATIENCE} -m fast -s stop"


@dataclass(frozen=True)
class PhysicalHome(Physical):
    """A base backup that was fetched into the home; or one that is put together there."""

    def prepare(self, box: Place, restored: Path, manifest: Manifest) -> None:
        link(box)
        if manifest.upon:
            cluster.assemble(box, restored, manifest, HOME)
            cluster.whole(box)
        else:
            cluster.verify(box, self.listed(restored, manifest))

    def reopen(self, box: Place, manifest: Manifest) -> None:
        """It was verified, and its log applied."""
        link(box)
        cluster.whole(box)
        self.run(box, manifest)


@dataclass(frozen=True)
class PhysicalFiles(PhysicalHome):
    """`RecoversFiles`."""

    def needs(self, manifest: Manifest) -> SandboxNeeds:
        return replace(self.sandbox(manifest), data_dir=HOME, in_place=())

    def prepare(self, box: Place, restored: Path, manifest: Manifest) -> None:
        link(box)

    @staticmethod
    def leave(box: Place, files: Path, final: Path) -> str:
        box.run(["sh", "-c", f"{STOP}\n{_AS_CAPTURED}"], what="ending the restored server")
        disarm(files / CLUSTER)
        lead_to(files / CLUSTER, final)
        return "start a server on it"


# A tablespace's link leads to where it stands in the container, too: one that goes on has been given its final one.
_LINK = f"""set -e
ln -sfn {HOME} {cluster.HOME}
for link in {DATA}/{LINKS}/*; do
  if [ -L "$link" ]; then ln -sfn "../../{TABLESPACES}/${{link##*/}}" "$link"; fi
done
"""


def link(box: Place) -> None:
    """Whatever works on a restored cluster finds it there."""
    box.run(["sh", "-c", _LINK], what="putting the cluster in place")


def lead_to(data: Path, home: Path) -> None:
    """Each tablespace's link leads to its final place: by one that is relative a server runs, and its next base backup
    looks elsewhere. TestBroken where it does not lie in what was restored."""
    for link in sorted((data / LINKS).iterdir()):
        if link.is_symlink():
            if not (data.parent / TABLESPACES / link.name).is_dir():
                what = f"the tablespace {link.name} does not lie in what was restored"
                raise TestBroken(what, hint="back up again, and restore that")
            link.unlink()
            link.symlink_to(home / TABLESPACES / link.name)


@dataclass(frozen=True)
class DumpHome(Dump):
    """A new cluster, as the captured one was, into which the dump is loaded."""

    def start(self, box: Place, manifest: Manifest) -> str:
        inventory = Inventory(manifest.contents)
        version = server.fitting_version(box, inventory.version)
        argv = ["sh", "-c", _MAKE, "make", inventory.bootstrap, inventory.encoding, *initdb_options(inventory)]
        try:
            box.run(argv, what="initdb")
        except CommandFailed as error:
            raise TestBroken(
                f"the image cannot make a server like the captured one: {error}",
                hint="name an image that has the source's locale (`image:`)",
                words=error.stderr,
            ) from None
        self.reopen(box, manifest)
        return version

    def reopen(self, box: Place, manifest: Manifest) -> None:
        settings = "".join(conf_line(key, value) for key, value in self._here(manifest).items())
        try:
            box.run(["sh", "-c", _START, "start"], stdin=settings, what="starting the new server")
        except CommandFailed as error:
            words = server.last_words(box)
            raise TestBroken(
                f"the new server did not start: {error}; {lacking(words, self.asset.server_settings)}",
                hint="does the image hold what `server_settings:` asks for?",
                words=words,
            ) from None

    def _here(self, manifest: Manifest) -> dict[str, str]:
        return {**LOADING, **self.settings(manifest), "hba_file": cluster.HBA, "ident_file": cluster.IDENT}


def initdb_options(inventory: Inventory) -> Iterator[str]:
    """As the captured database is sorted and written; its pages bear checksums where the captured ones did."""
    facts = inventory.facts
    yield f"--lc-collate={facts['collate']}"
    yield f"--lc-ctype={facts['ctype']}"
    if facts["locale_provider"] == "i":
        yield "--locale-provider=icu"
        yield f"--icu-locale={facts['icu_locale']}"
        yield from [f"--icu-rules={rules}"] if (rules := facts["icu_rules"]) else []
    elif facts["locale_provider"] == "b":
        yield "--locale-provider=builtin"
        yield f"--builtin-locale={facts['icu_locale']}"
    if facts["data_checksums"]:
        yield "--data-checksums"
    elif major_number(inventory.version) >= 18:  # which has them unless it is told
        yield "--no-data-checksums"
