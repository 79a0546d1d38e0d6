"""Redis and Valkey, method `rdb`: the server sends its RDB as to a replica, one instant of all databases.

It forks for it, as for every save of its own. A server of our own loads what came and tells what it holds; the
restore test's server must tell the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import ClassVar, Literal

from pydantic import Field

from ccdr.engines.base import EngineConfig
from ccdr.engines.redis import erasing, identity, rights
from ccdr.engines.redis.capture import (
    MANY_DATABASES,
    RDB,
    USERS,
    CaptureTerms,
    Description,
    Taker,
    UnsoundFile,
    check,
    crowded_by_backlog,
    describe,
    kind_of,
    load,
    made_durable,
    refuse,
    refuse_own_file,
    release_of,
    restored_server,
)
from ccdr.engines.redis.client import (
    KINDS,
    REDIS,
    SECRET,
    Client,
    Connection,
    Product,
    Release,
    databases_in,
    images,
    release_in,
)
from ccdr.engines.redis.questions import damage, matching
from ccdr.engines.redis.rights import accounts_of
from ccdr.engines.redis.server import standing
from ccdr.engines.servers.connection import UNKNOWN, is_loopback
from ccdr.model.answers import FreeText
from ccdr.model.damage import OF_KEYS, Damage
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.schema import Size, Text
from ccdr.model.values import CheckResult, Manifest, Probe, Verdict, so_many
from ccdr.ports.accounts import Accounts
from ccdr.ports.capture import Capture, ClientNeed, SourceFacts, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import ServerTarget
from ccdr.ports.new_server import ServerMaker, Site
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds

DATA = "/ccdr/data"  # in the sandbox
BESIDE = 256 * 2**20  # bytes that a server takes beside its data
# The server answered, and does not let this user in.
_REFUSED = re.compile(r"WRONGPASS|NOAUTH|NOPERM|-DENIED|DENIED Redis|certificate verify failed|without any password")


class Redis(EngineConfig):
    has_server: ClassVar[bool] = True
    drains: ClassVar[bool] = True

    engine: Literal["redis"]
    method: Literal["rdb"] = "rdb"
    connection: Connection = Field(Connection(), description="how the server is reached, and who logs in")
    may_be_empty: bool = Field(False, description="a server without a key is backed up too, and is no failed backup")
    cluster_node: bool = Field(False, description="the source is one node of a cluster, and holds its slots alone")
    describe_up_to: Size = Field(
        2**30, description="memory of the source up to which a backup is loaded and described where it is taken"
    )
    modules: tuple[Text, ...] = Field((), description="modules (files in the image) that the sandbox's server loads")

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        return images(major)

    # --- the source -----------------------------------------------------------------------------------

    @classmethod
    def stated_by(cls, source: str, contents: Mapping[str, object]) -> dict[str, object]:
        if source.startswith("/"):
            return {"connection": {"host": source}}
        host, _, port = source.rpartition(":")
        reached: dict[str, object] = {"host": host, "port": int(port)}
        return {"connection": reached if is_loopback(host) else {**reached, "ca_file": f"{UNKNOWN}-ca.pem"}}

    def credentials(self, password: str) -> Mapping[str, str]:
        return {SECRET: f"{password}\n"}

    def client(self, major: str | None) -> ClientNeed:
        c = self.connection
        kind = KINDS[major.split(" ")[0]] if major else REDIS
        return ClientNeed(
            programs=(kind.cli, kind.check),
            probes=tuple(k.cli for k in KINDS.values()),
            mounts=c.mounts,
            network=c.socket is None,
            loads=True,
        )

    def _client(self, source: Source, kind: Product | None = None) -> Client:
        return Client(source.place, self.connection, source.credentials, kind)

    def probe(self, source: Source) -> SourceFacts:
        info = self._client(source).first_info("server", "memory")
        release = Release.of(info)
        return SourceFacts(
            version=release.version if release.kind.name == "redis" else str(release),
            major=release.major,
            bytes=int(info.get("used_memory", 0)) or None,
        )

    def accounts(self, source: Source) -> Accounts:
        return accounts_of(self._client(source))

    def refused(self, stderr: FreeText) -> bool:
        return stderr.search(_REFUSED) is not None

    def rights(self, source: Source) -> Iterator[Probe]:
        yield Probe.ok("connection", self.connection.described)
        client = self._client(source)
        info = client.first_info()
        refuse(info, self._terms)
        refuse_own_file(client.allowed("CONFIG", "GET", "save", "repl-diskless-sync", what="asking for the settings"))
        keys = sum(counts["keys"] for counts in databases_in(info).values())
        yield from rights.looked_at(client, self.connection.user, keys, may_be_empty=self.may_be_empty)
        if (crowded := crowded_by_backlog(info)) is not None:
            give = "raise `maxmemory` by so much, back up a replica, or lower `repl-backlog-size` (16kb will do)"
            yield Probe.warn("replication backlog", crowded, give)

    def client_major(self, place: Place) -> str | None:
        try:
            out = place.run(["sh", "-c", "valkey-cli --version || redis-cli --version"], ok=(0, 126, 127))
        except CommandFailed:
            return None
        release = release_in(out.stdout)
        return release.major if release else None

    @property
    def _terms(self) -> CaptureTerms:
        return CaptureTerms(self.may_be_empty, self.cluster_node, self.describe_up_to)

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        kind = Release.of(self._client(source).info("server")).kind
        return Taker(self._client(source, kind), tools, self._terms).capture(into, self.source_name)

    @property
    def source_name(self) -> str:
        return self.connection.named

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        held = int(manifest.contents["memory"])
        twice = 1 if manifest.contents["described"] else 2  # a second server tells what the first one should hold
        durable = self.settings == "durable"
        return SandboxNeeds(
            bytes=2 * sum(d.bytes for d in manifest.files.values()) + 2**26 if durable else 0,
            data_dir=DATA if durable else None,
            memory=twice * (int(held * 1.25) + BESIDE) + (self.memory or 0),
            held=twice * held,
            user=kind_of(manifest).user,
            major=release_of(manifest).major,
        )

    def start(self, box: Place, manifest: Manifest) -> str:
        """A server loads its data as it starts: here only, is it the right one?"""
        wanted = release_of(manifest)
        command = f"command -v {wanted.kind.server} >/dev/null && {wanted.kind.cli} --version"
        release = release_in(box.run(["sh", "-c", command], ok=range(256)).stdout)
        if release is None or release.major != wanted.major:
            raise TestBroken(
                f"the image holds {release or f'no {wanted.kind.title}'}, the backup is of {wanted}",
                hint=f"name an image like {wanted.kind.images(str(wanted.number))[0]}",
            )
        return release.version

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return {"keys": int(manifest.contents["keys"])}

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        server = restored_server(box, manifest)
        load(server, restored, manifest, self.databases(manifest), self.extra)
        if self.settings == "durable":
            made_durable(server, DATA)

    @property
    def extra(self) -> list[str]:
        return [f"loadmodule {path}" for path in self.modules]

    @staticmethod
    def databases(manifest: Manifest) -> int:
        settings = manifest.contents["settings"]
        return int(settings["databases"]) if isinstance(settings, Mapping) else MANY_DATABASES

    @property
    def damages(self) -> tuple[Damage, ...]:
        return OF_KEYS

    def damage(self, context: CheckContext, kind: Damage, chance: Random) -> None:
        damage(restored_server(context.sandbox, context.manifest), kind, chance)

    def shell(self, box: Place, manifest: Manifest) -> Sequence[str]:
        return restored_server(box, manifest).cli

    def matching(
        self, context: CheckContext, pattern: str, kind: str | None, database: int | None
    ) -> tuple[int, float | None]:
        return matching(context, pattern, kind, database)

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        manifest, box = context.manifest, context.sandbox

        def reference() -> Description:
            directory, databases = box.path(context.restored), self.databases(manifest)
            with standing(box, kind_of(manifest), directory, RDB, databases=databases, extra=self.extra) as second:
                return describe(second, int(manifest.contents["since"]))

        return identity.compare(context, restored_server(box, manifest), reference)

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        """The file itself: structure, checksum, and as many keys as were captured."""
        kind, expected = (
            kind_of(context.manifest),
            f"sound, {so_many(int(context.manifest.contents['keys']), 'key')}",
        )
        try:
            checked = check(context.sandbox, kind, context.restored / RDB)
            actual = f"sound, {so_many(checked.keys, 'key')}"
        except UnsoundFile as error:
            actual = str(error)
        status = Verdict.PASS if actual == expected else Verdict.FAIL
        yield CheckResult("integrity", kind.check, status, expected, actual)

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        return erasing.erase(restored_server(context.sandbox, context.manifest), wanted)

    # --- a real server --------------------------------------------------------------------------------

    def new_server(self, site: Site) -> ServerMaker:
        from ccdr.engines.redis.new_server import Maker

        return Maker(self.model_copy(update={"settings": "durable"}), site)

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        raise UsageProblem(
            "an RDB is restored into a directory: a server reads it only when it starts",
            hint=f"name a directory with --to; docs/how-to/recover.md says how a server takes {RDB} (and {USERS}) "
            "from there",
        )
