"""Takes the RDB as a replica would be given it, proves it readable, and says what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ccdr.engines.redis.checked import TOO_NEW, Checked, UnsoundFile, check
from ccdr.engines.redis.client import Client
from ccdr.engines.redis.description import Description, describe
from ccdr.engines.redis.kinds import OLDEST, Release
from ccdr.engines.redis.server import DATABASES, standing
from ccdr.model.errors import BackupFailed, CommandFailed, TestBroken
from ccdr.model.measure import skew
from ccdr.model.values import human_bytes
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Place

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
    modules = [m if isinstance(m, dict) else dict(zip(m[::2], m[1::2], strict=True)) for m in listed]
    return {str(m["name"]): int(m["ver"]) for m in modules if m.get("path")}


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
