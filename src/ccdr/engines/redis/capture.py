"""Takes the RDB as a replica would be given it, proves it readable, says what it holds, and loads it again into the
sandbox's server.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.engines.redis.client import KINDS, OLDEST, Client, Product, Release, as_map, databases_in
from ccdr.engines.redis.server import DATABASES, PrivateServer, admin, configuration, standing
from ccdr.model.answers import FreeText
from ccdr.model.errors import BackupBad, BackupFailed, CcdrError, CommandFailed, TestBroken
from ccdr.model.measure import skew
from ccdr.model.values import Manifest, human_bytes
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Place

# What `redis-check-rdb` says of a file: it reads all of it, in little memory, and checks structure and checksum.

_AUX = re.compile(r"^\[offset \d+\] AUX FIELD ([\w-]+) = '([^']*)'", re.MULTILINE)
_COUNT = re.compile(r"^\[info\] (\d+) (keys read|expires|already expired)$", re.MULTILINE)
# Of an error only where and what: the lines after it may name a key.
_ERROR = re.compile(r"--- RDB ERROR DETECTED ---\s+\[offset (\d+)\] ([^\n]*)")
SOUND = "RDB looks OK!"
TOO_NEW = re.compile(r"Can't handle RDB format version (\d+)")  # as the server says it, too


@dataclass(frozen=True)
class Checked:
    """`keys` are all in the file, `expiring` those with a time to live, `expired` of these what was over by the time of
    the look. `aux` are the file's own remarks: `ctime` (its writer's clock, seconds), `used-mem` (bytes) …"""

    keys: int
    expiring: int
    expired: int
    aux: Mapping[str, str]

    @property
    def ctime(self) -> int:
        """When writing it began, by the source's clock: whole seconds since the epoch; 0 where it does not say."""
        return int(self.aux.get("ctime", 0))

    @property
    def memory(self) -> int:
        """What the source held in memory, bytes; 0 where it does not say."""
        return int(self.aux.get("used-mem", 0))


class UnsoundFile(Exception):
    """The file is damaged. The message names no key; `words` are the program's own."""

    def __init__(self, message: str, words: FreeText) -> None:
        super().__init__(message)
        self.words = words


def check(place: Place, kind: Product, rdb: Path) -> Checked:
    """Raises UnsoundFile where the file is damaged, CommandFailed where it could not be read."""
    out = place.run([kind.check, place.path(rdb)], ok=(0, 1), what=kind.check)
    words = FreeText(out.stdout) + out.stderr
    text = words.reveal()
    if error := _ERROR.search(text):
        raise UnsoundFile(f"{kind.check} finds it damaged at byte {error[1]}", words)
    if out.code != 0:  # it says nothing where it may not read the file
        raise CommandFailed([kind.check], out.code, words, what=kind.check)
    counts = {name: int(count) for count, name in _COUNT.findall(text)}
    if SOUND not in text or "keys read" not in counts:
        raise UnsoundFile(f"{kind.check} does not find it sound", words)
    return Checked(
        keys=counts["keys read"],
        expiring=counts.get("expires", 0),
        expired=counts.get("already expired", 0),
        aux=dict(_AUX.findall(text)),
    )


# What an RDB file holds, as a server of our own tells that has loaded it: told when it is captured, and again of what
# was restored.
#
# Contents by DEBUG DIGEST: every key, type and value of every database, and which of them expire, in whatever order.
# It does not tell *when* they expire, nor of streams more than their entries: `walk.lua` does. Neither sees a key's
# idle time, nor when a pending entry was delivered last.

TYPES = ("string", "list", "set", "zset", "hash", "stream")
NEVER = -1
_WALK = Path(__file__).with_name("walk.lua")
# All in one call, since each costs a tenth of a second. The script is called for one slice after the other, so that the
# server is never busy for long. $1 is the script, $2 the databases, $3 `since`; the rest is the client.
_LOOK = """\
lua=$1 databases=$2 since=$3; shift 3
sha=$("$@" SCRIPT LOAD "$lua") || exit
for database in $databases; do
  cursor=0
  while :; do
    said=$("$@" -n "$database" EVALSHA "$sha" 0 "$cursor" "$since") || exit
    cursor=$(printf '%s\\n' "$said" | head -n 1)
    printf '%s\\n' "$said" | tail -n +2 | sed "s/^/group $database /"
    [ "$cursor" != 0 ] || break
  done
done
time=$("$@" TIME) && echo time $time || exit
contents=$("$@" DEBUG DIGEST) && echo contents "$contents" || exit
functions=$("$@" --json FUNCTION LIST WITHCODE) && printf 'functions %s\\n' "$functions"
"""


@dataclass(frozen=True)
class KeyGroup:
    """Things of one kind in one database. `span` is when the span of time begins in which they expire (milliseconds
    since the epoch), None for what never does; `digest` tells of what DEBUG DIGEST does not."""

    database: int
    kind: str
    span: int | None
    count: int
    digest: str


@dataclass(frozen=True)
class Description:
    """`keys` are all keys of each database, with those that have expired; `groups` hold only what had not at `at`
    (milliseconds since the epoch, by the clock of whoever looked). `functions` are libraries and their
    code's SHA-256."""

    server: str
    at: int
    keys: Mapping[int, int]
    contents: str
    groups: tuple[KeyGroup, ...]
    functions: Mapping[str, str] = field(default_factory=dict)

    def types(self) -> dict[int, dict[str, int]]:
        """Keys that had not expired, by database and type."""
        types: dict[int, Counter[str]] = {database: Counter() for database in self.keys}
        for group in self.groups:
            if is_key(group.kind):
                types[group.database][group.kind] += group.count
        return {database: dict(sorted(counted.items())) for database, counted in sorted(types.items())}

    @property
    def live(self) -> int:
        return sum(sum(counted.values()) for counted in self.types().values())

    def as_json(self) -> dict[str, object]:
        return {
            "server": self.server,
            "at": self.at,
            "keys": {str(database): count for database, count in self.keys.items()},
            "types": {str(database): counted for database, counted in self.types().items()},
            "contents_sha1": self.contents,
            "groups": [[g.database, g.kind, g.span, g.count, g.digest] for g in self.groups],
            "functions": dict(self.functions),
        }

    @classmethod
    def parse(cls, held: Mapping[str, Any]) -> Description:
        return cls(
            server=held["server"],
            at=held["at"],
            keys={int(database): count for database, count in held["keys"].items()},
            contents=held["contents_sha1"],
            groups=tuple(KeyGroup(*group) for group in held["groups"]),
            functions=held["functions"],
        )


def is_key(kind: str) -> bool:
    """Is this group one of keys, and not of what is within one?"""
    return kind in TYPES or kind.startswith("module:")


def describe(server: PrivateServer, since: int) -> Description:
    """All of what a server holds. `since` (milliseconds since the epoch) is where spans of time are counted from, and
    must be the same for two descriptions that are to be compared."""
    info = server.info()
    databases = databases_in(info)
    names = " ".join(map(str, databases))
    argv = ["sh", "-c", _LOOK, "sh", _WALK.read_text("utf-8"), names, str(since), *server.cli]
    parts: dict[str, list[str]] = {}
    for line in server.place.run(argv, what="describing the contents").stdout.split("\n"):
        part, _, rest = line.partition(" ")
        parts.setdefault(part, []).append(rest)
    seconds, micros = parts["time"][0].split()
    return Description(
        server=info.get("valkey_version") or info["redis_version"],
        at=int(seconds) * 1000 + int(micros) // 1000,
        keys={database: counts["keys"] for database, counts in databases.items()},
        contents=parts["contents"][0],
        groups=tuple(_merged(parts.get("group", []))),
        functions=_functions(json.loads(parts["functions"][0])),
    )


def _merged(lines: Iterable[str]) -> Iterator[KeyGroup]:
    """Each slice of the walk told its own counts and digests."""
    merged: dict[tuple[int, str, int], tuple[int, int]] = {}
    for line in lines:
        database, kind, count, span, digest = line.split(" ")
        key = (int(database), kind, NEVER if span == "-" else int(span))
        had, mixed = merged.get(key, (0, 0))
        merged[key] = had + int(count), mixed ^ int(digest, 16)
    for (number, kind, start), (total, mixed) in sorted(merged.items()):
        yield KeyGroup(number, kind, None if start == NEVER else start, total, f"{mixed:040x}")


def _functions(listed: Iterable[Any]) -> dict[str, str]:
    """Each library's name, engine and code."""
    digests = {}
    for fields in map(as_map, listed):
        code = json.dumps([fields["engine"], fields["library_code"]])
        digests[str(fields["library_name"])] = hashlib.sha256(code.encode()).hexdigest()
    return dict(sorted(digests.items()))


RDB, USERS = "dump.rdb", "acl.list"
# What stands in redis.conf, not in the RDB: a new server is given it, or people set it again by hand. None of these is
# a secret.
SETTINGS = (
    *("databases", "maxmemory", "maxmemory-policy", "appendonly", "save", "notify-keyspace-events"),
    *("appendfsync", "hz", "maxclients", "maxmemory-samples", "rdbcompression", "tcp-keepalive", "timeout", "port"),
    "repl-diskless-sync",
)
MANY_DATABASES = 1024  # where the source does not tell how many it has
ROOM = 2  # a server of our own may take one part in so many of what memory is free
MODULE = re.compile(r"(?:no matching module(?: type)?|can't load|load module) '([^']+)'")


@dataclass(frozen=True)
class CaptureTerms:
    """What the plan says of a capture. `describe_up_to` is bytes."""

    may_be_empty: bool
    cluster_node: bool
    describe_up_to: int


def refuse(info: Mapping[str, str], terms: CaptureTerms) -> Release:
    """BackupFailed where this server's RDB would not be what a plan asks for; else which server it is."""
    if info.get("redis_mode") == "sentinel" or info.get("server_mode") == "sentinel":
        raise BackupFailed("this is a Sentinel, which holds no data", hint="name a server that it watches")
    release = Release.of(dict(info))
    if release.number < OLDEST:
        raise BackupFailed(f"{release} is too old", hint=f"ccdr backs up {release.kind.title} {OLDEST} and newer")
    if info.get("cluster_enabled") == "1" and not terms.cluster_node:
        raise BackupFailed(
            "this is a node of a cluster, and holds the keys of its own slots alone",
            hint="give each primary of the cluster an asset of its own, and say `cluster_node: true` in each",
        )
    if info.get("loading") == "1" or info.get("async_loading") == "1":
        raise BackupFailed("the server is still loading its data", hint="back up once it has")
    if info.get("role") == "slave" and (
        info.get("master_link_status") != "up" or info.get("master_sync_in_progress") == "1"
    ):
        raise BackupFailed(
            f"this replica is cut off from its primary: the link is {info.get('master_link_status')}",
            hint="mend replication, or back up the primary",
        )
    return release


def refuse_own_file(settings: Mapping[str, Any] | None) -> None:
    """BackupFailed where a backup would have the server write a file that it is told not to keep, and would load at its
    next start. A server that keeps an RDB anyway does no more than that."""
    if settings and (settings.get("repl-diskless-sync"), settings.get("save")) == ("no", ""):
        raise BackupFailed(
            'the server, which is told to keep no RDB (save ""), would write one for a backup (repl-diskless-sync no)',
            hint="CONFIG SET repl-diskless-sync yes; and write it into the server's configuration",
        )


@dataclass(frozen=True)
class Taker:
    """One server, once. `client.kind` is known."""

    client: Client
    tools: Tools
    terms: CaptureTerms

    def capture(self, into: Path, source: str) -> Capture:
        clock, client = self.tools.clock, self.client
        before = clock.now()
        info = client.info()
        seconds, micros = client.ask("TIME", what="asking the source")
        after = clock.now()
        release = refuse(info, self.terms)
        ahead = skew(before, after, int(seconds) + int(micros) / 1e6)
        users = client.allowed("ACL", "LIST", what="asking for the users")
        modules = client.allowed("MODULE", "LIST", what="asking for the modules")
        settings = client.allowed("CONFIG", "GET", *SETTINGS, what="asking for the settings")
        refuse_own_file(settings)
        rdb = into / RDB
        client.fetch_rdb(rdb, lambda size: self.tools.progress.amount(size, None))
        if client.info("server")["run_id"] != info["run_id"]:
            raise BackupFailed("another server answered while the backup was made", hint="back up again")
        rdb.chmod(0o600)
        held = self._checked(rdb, release)
        if users is not None:  # digests of passwords are among it
            (into / USERS).touch(mode=0o600)
            (into / USERS).write_text("".join(f"{line}\n" for line in users), "utf-8", "surrogateescape")
        described, notes = self._described(rdb, held, settings)
        self._refuse_empty(held, described)
        files = self.tools.digest(into, [RDB, USERS] if users is not None else [RDB])
        contents: dict[str, object] = {
            "source": source,
            "server": release.kind.name,
            "version": release.version,
            "keys": held.keys,
            "expiring": held.expiring,
            "memory": held.memory or int(info.get("used_memory", 0)),
            "since": held.ctime * 1000,
            "described": described and described.as_json(),
            "users": None if users is None else sorted(line.split(" ")[1] for line in users),
            "modules": None if modules is None else _modules(modules),
            "settings": settings,
            "replica": info.get("role") == "slave",
            "cluster_node": info.get("cluster_enabled") == "1",
        }
        return Capture(
            consistent_point=consistent_point(before, ahead, info, held),
            clock_skew_s=round(ahead, 6),
            contents=contents,
            files=files,
            bytes=sum(d.bytes for d in files.values()),
            tools={release.kind.cli: release.version},
            notes=[*notes, *_notes(contents), *filter(None, [crowded_by_backlog(info)])],
        )

    def _checked(self, rdb: Path, release: Release) -> Checked:
        kind = release.kind
        try:
            return check(self.client.place, kind, rdb)
        except UnsoundFile as error:
            if newer := error.words.search(TOO_NEW):  # a minor version may bring a new one
                raise BackupFailed(
                    f"{kind.check} here is older than {release}, and does not read its RDB, of format {newer[1]}",
                    hint=f"name an image of {release} or newer with `image:`, or update {kind.title} on this host",
                ) from None
            raise BackupFailed(
                f"what the server sent is no sound RDB: {error}", hint="see the server's log, and back up again"
            ) from None

    def _described(
        self, rdb: Path, held: Checked, settings: Mapping[str, Any] | None
    ) -> tuple[Description | None, list[str]]:
        """What the file holds; or None, and why a server of our own did not load it here."""
        kind, place = self.client.kind, self.client.place
        assert kind is not None
        later = "its contents are described by the restore test"
        if held.memory > self.terms.describe_up_to:
            return None, [f"{human_bytes(held.memory)} are more than `describe_up_to`: {later}"]
        if place.run(["sh", "-c", f"command -v {kind.server}"], ok=range(256)).code != 0:
            return None, [f"there is no {kind.server} where the client runs: {later}"]
        if (free := memory_free(place)) is None:
            return None, [f"nothing tells how much memory is free where the client runs: {later}"]
        if held.memory * ROOM > free:
            return None, [f"{human_bytes(held.memory)} do not fit well into {human_bytes(free)} of memory: {later}"]
        databases = int(settings["databases"]) if settings and "databases" in settings else MANY_DATABASES
        directory = place.path(rdb.parent)
        self.tools.progress.step("describing what was captured")
        try:
            with standing(place, kind, directory, rdb.name, databases=max(databases, DATABASES)) as server:
                return describe(server, held.ctime * 1000), []
        except TestBroken as error:
            return None, [f"a server of our own could not load it here ({error}): {later}"]
        except CommandFailed as error:
            if lacks := error.stderr.search(MODULE):
                return None, [f"the {kind.server} here lacks the module {lacks[1]}: {later}"]
            raise

    def _refuse_empty(self, held: Checked, described: Description | None) -> None:
        live = described.live if described else held.keys - held.expired
        if live or self.terms.may_be_empty:
            return
        raise BackupFailed(
            f"the server holds no key{' that has not expired' if held.keys else ''}, and an empty dump is no backup",
            hint="was it flushed, or started without its data? where it may be empty, say `may_be_empty: true`",
        )


def consistent_point(before: datetime, skew: float, info: Mapping[str, str], held: Checked) -> datetime:
    """Never later than the instant that the RDB is true for, by this host's clock.

    The server forks after it was asked (`before`), unless a save for another replica was under way: then it may hand
    out that one. A replica is as old as what its primary sent last.
    """
    point = before
    if info.get("rdb_bgsave_in_progress") == "1":
        running = max(0, int(info.get("rdb_current_bgsave_time_sec", 0)))
        point -= timedelta(seconds=running + 1 + int(info.get("latest_fork_usec", 0)) / 1e6)
    if info.get("role") == "slave":
        point -= timedelta(seconds=max(0, int(info.get("master_last_io_seconds_ago", 0))) + 1)
    if held.ctime and held.ctime + 1 - skew < before.timestamp():
        point = min(point, before + timedelta(seconds=held.ctime - skew - before.timestamp()))
    return point


def crowded_by_backlog(info: Mapping[str, str]) -> str | None:
    """What the replication backlog does that a server without replicas begins with a backup, where `maxmemory` leaves
    no room for it; None where nothing. No other way gives an RDB without the server's own files being written."""
    limit, size = int(info.get("maxmemory", 0)), int(info.get("repl_backlog_size", 0))
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    if int(info.get("connected_slaves", 0)) or not limit or limit - used >= size:
        return None
    policy = info.get("maxmemory_policy")
    does = "it refuses its clients' writes" if policy == "noeviction" else f"it evicts keys ({policy})"
    return (
        f"a backup has the server, which has no replica, keep a replication backlog of {human_bytes(size)} for an hour "
        f"(repl-backlog-ttl), and `maxmemory` has no room for it: {does}"
    )


def memory_free(place: Place) -> int | None:
    """Bytes that a process there may still take: of the machine, and of the container if it is one. None where nothing
    tells: an older kernel does not say what is available."""
    files = ["/proc/meminfo", *(f"/sys/fs/cgroup/{n}" for n in ("memory.max", "memory/memory.limit_in_bytes"))]
    output = place.run(["cat", *files], ok=(0, 1), what="looking for memory").stdout
    available = re.search(r"^MemAvailable:\s+(\d+) kB$", output, re.MULTILINE)
    limits = [int(line) for line in output.splitlines() if line.isdigit()]
    return min([int(available[1]) * 1024, *limits]) if available else None


def _modules(listed: list[Any]) -> dict[str, int]:
    """Name and version of those that were loaded from a file; what is built in comes with every server."""
    return {str(m["name"]): int(m["ver"]) for m in map(as_map, listed) if m.get("path")}


def _notes(contents: Mapping[str, object]) -> list[str]:
    notes = []
    if contents["users"] is None:
        notes.append("users and their rights are not in this backup: the user may not read them (+acl|list)")
    if contents["replica"]:
        notes.append("taken from a replica: what its primary had not sent yet is not in it")
    if contents["cluster_node"]:
        notes.append("taken from one node of a cluster: it holds the keys of that node's slots alone")
    if not contents["keys"]:
        notes.append("the server held no key")
    return notes


# Loads a fetched RDB into the sandbox's server. The server must not start without its file: it would answer, empty.

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
