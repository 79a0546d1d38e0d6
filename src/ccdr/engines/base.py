"""What every asset states in a plan, whatever its engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from ccdr.engines.servers.connection import is_loopback
from ccdr.model.answers import FreeText
from ccdr.model.damage import Damage, NothingToDamage
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CommandFailed, TestBroken, TwoBranches, UsageProblem
from ccdr.model.schema import AbsolutePath, Cron, Duration, Name, Size, Strict, Text, WithPassword
from ccdr.model.values import FileDigest, Manifest, rfc3339
from ccdr.ports.accounts import Accounts
from ccdr.ports.capture import Capture, ClientNeed, StoredNode, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.log import Reached, RecoversFiles, RecoveryTarget, ShippedLog
from ccdr.ports.new_server import ServerMaker, Site
from ccdr.ports.place import Place, Source


class BackupSettings(Strict):
    schedule: Cron = Field(description="when a backup is due: five-field cron in the plan's time zone")


def _each_once(rules: tuple[str, ...]) -> tuple[str, ...]:
    if twice := [rule for number, rule in enumerate(rules) if rule in rules[:number]]:
        raise ValueError(f"names {twice[0]} twice, expected each rule once: they take turns")
    return rules


def _as_tuple(stated: object) -> object:
    if isinstance(stated, str):
        return (stated,)
    return tuple(stated) if isinstance(stated, list) else stated


Rule = Literal["latest", "random", "oldest"]
_RULE = {"type": "string", "enum": ["latest", "random", "oldest"]}
# One word, or a list of them; a plan that states one word is shown with one.
Rules = Annotated[
    tuple[Rule, ...],
    Field(min_length=1),
    BeforeValidator(_as_tuple),
    AfterValidator(_each_once),
    PlainSerializer(lambda rules: rules[0] if len(rules) == 1 else list(rules), when_used="json"),
    WithJsonSchema({"anyOf": [_RULE, {"type": "array", "items": _RULE, "minItems": 1, "uniqueItems": True}]}),
]


class RestoreTestSettings(Strict):
    schedule: Cron = Field(description="when a restore test is due")
    snapshot: Rules = Field(
        ("latest",),
        description="which snapshot is tested; of several rules in a list, each in its turn",
        json_schema_extra={"default": "latest"},
    )
    at: Literal["latest"] | None = Field(
        None, description="a test of the latest recovers by the shipped log to its end: for assets that ship theirs"
    )
    checks: tuple[Name, ...] = Field(
        (), description="restore-test files (their stems) whose checks are run; without checks nothing passes"
    )


class ControlSettings(Strict):
    """A restore test is tested itself: a copy that was damaged on purpose must not pass."""

    schedule: Cron = Field(description="when a copy of the newest snapshot is damaged, and must FAIL its restore test")


class OwnersCanary(Strict):
    """Something of the owner's that nobody has a reason to change: one of the two."""

    path: AbsolutePath | None = Field(None, description="`files`: a file below its paths")
    query: Text | None = Field(None, description="of a database server: one SELECT whose rows never change")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.path is None) == (self.query is None):
            raise ValueError("names no one thing, expected path (of files) or query (of a database server)")
        return self


class AssetObjectives(Strict):
    """An asset's own objectives; what is left out comes from the plan."""

    rpo: Duration | None = Field(None, description="how much of the newest data may be lost; the plan's unless said")
    rto: Duration | None = Field(None, description="how long a restore may take; the plan's unless said")


class Limits(Strict):
    """Gentleness towards the source, the network and the clock."""

    upload: Size | None = Field(None, description="bytes per second to the repository")
    download: Size | None = Field(None, description="bytes per second from the repository")
    no_progress: Duration | None = Field(
        None, description="stop a step that made no progress for this long (default 10m)"
    )
    lock_wait: Duration | None = Field(None, description="longest wait for a lock at the source (default 30s)")


class PlanLimits(Limits):
    """The same for all assets of a plan, and what only all of them together have."""

    fetch_per_month: Size | None = Field(
        None,
        description="bytes that restore tests, damage tests too, may fetch in a calendar month (UTC); told from "
        "80 % on",
    )


class Canary(Strict):
    """A row that ccdr writes on the source, in a schema of its own: what a restore reached can be read from it."""

    every: Duration = Field(1.0, description="how often the row is renewed")


class LogShipping(Strict):
    """Between two backups the source's log is shipped: little is lost, and any moment can be gone back to."""

    interval: Duration = Field(60.0, description="how often what has come is stored")
    spool_limit: Size = Field(4 * 2**30, description="bytes that may wait here while the repository does not answer")
    canary: Canary | None = Field(None, description="write a heartbeat on the source; off unless stated")


def not_reached(target: RecoveryTarget) -> UsageProblem:
    """A time `beyond` what the log is known to hold, and nothing in it was written later."""
    assert target.time is not None
    return UsageProblem(
        f"the log that is stored holds no commit after {rfc3339(target.time)}: whether it reaches to there, nobody can"
        " tell",
        hint="`--at latest` brings all back that it holds",
    )


def two_branches(time: datetime, why: str, branches: tuple[int, int]) -> TwoBranches:
    """A time that may mean either of two branches of the log."""
    one, other = branches
    return TwoBranches(
        f"{rfc3339(time)} may mean timeline {one} or timeline {other} of the log: {why}; `--timeline {one}` or "
        f"`--timeline {other}` chooses",
        branches,
        hint=f"`--at latest --timeline {one}` brings all back that is stored of timeline {one}",
    )


def left_behind(target: RecoveryTarget) -> TwoBranches:
    """A time behind all that is stored of a branch, and before the next one began: what the first wrote behind the
    place where that left it may have gone on until then."""
    assert target.time is not None and target.left is not None
    mine, fork = target.left.parent, target.left
    return two_branches(
        target.time,
        f"what is stored of timeline {mine} holds no commit after that, and whether it goes as far nobody can tell; "
        f"timeline {fork.branch} goes on from {fork.position} and lacks what {mine} holds behind that",
        (mine, fork.branch),
    )


def no_increments(engine: str) -> TestBroken:
    return TestBroken(f"{engine} has no increments", hint="restore it with the ccdr that took it, or a newer one")


class EngineConfig(Strict):
    """Fields that every engine shares; an engine adds `engine`, `method` and how to reach its source."""

    # A captured file that the next capture wants to see again; kept in the state directory.
    index_file: ClassVar[str | None] = None
    # Is what was restored looked at from inside a sandbox, whatever the checks? Only plain files are not.
    in_sandbox: ClassVar[bool] = True
    # Does `query` answer SQL? Checks that ask by it are for such engines.
    speaks_sql: ClassVar[bool] = False
    # Does `export` write rows in bulk? Checks that compare every row with another store need it.
    exports: ClassVar[bool] = False
    # Is it nothing unusual that nearly nothing is left? Queues are emptied.
    drains: ClassVar[bool] = False

    image: Text | None = Field(None, description="what the sandbox runs; a named image is never replaced")
    group: Name | None = Field(
        None, description="assets of a plan with the same group are captured together; they have one backup schedule"
    )
    depends_on: tuple[Name, ...] = Field(
        (), description="assets of the plan that must be back, and checked, before `ccdr recover` begins with this one"
    )
    priority: int = Field(
        100, ge=1, le=999, description="of what may begin, `ccdr recover` begins with the lowest number"
    )
    tenant: Name | None = Field(None, description="whose data it is; the plan's tenant where it is left out")
    objectives: AssetObjectives = Field(AssetObjectives(), description="its own; what it leaves out is the plan's")
    backup: BackupSettings | None = Field(None, description="when `ccdr run` backs it up; never unless said")
    restore_test: RestoreTestSettings | None = Field(
        None, description="when `ccdr run` tests a restore of it, and by which checks; never unless said"
    )
    negative_control: ControlSettings | None = Field(
        None, description="when `ccdr run` has its checks find a damaged copy bad; the plan's unless said"
    )
    canaries: dict[Name, OwnersCanary] = Field(
        {}, description="by name: what nobody has a reason to change; a backup in which one has changed does not count"
    )
    limits: Limits = Field(Limits(), description="its own; what it leaves out is the plan's")
    settings: Literal["throwaway", "durable"] = Field(
        "throwaway", description="server settings of the sandbox; the two are never mixed in a trend"
    )
    memory: Size | None = Field(None, description="memory of the sandbox beside its data (default: by engine)")
    storage: Literal["auto", "memory", "disk"] = Field(
        "auto", description="where the sandbox keeps its data: in memory where it fits, or in scratch"
    )

    @model_validator(mode="after")
    def _canaries_that_can_be_asked(self) -> Self:
        for name, canary in self.canaries.items():
            if canary.path is not None and not any(canary.path.is_relative_to(one) for one in self.source_paths):
                raise ValueError(f"has the canary {name} with a path that is not below what is backed up")
            if canary.query is not None and not (self.speaks_sql and getattr(self, "has_server", False)):
                raise ValueError(f"has the canary {name} with a query, and no server that answers it")
        return self

    @classmethod
    def stated_by(cls, source: str, contents: Mapping[str, object]) -> dict[str, object]:
        """The keys of a plan that name this source, as a snapshot's manifest tells of it: for a plan that is made from
        snapshots alone, and recovers them. How the source was reached they do not tell."""
        raise NotImplementedError

    @property
    def engine_name(self) -> str:
        """The registry's word for this engine, as plans write it."""
        return str(getattr(self, "engine", "?"))

    @property
    def settle_time(self) -> float | None:
        """Seconds for which what has changed is left out of its backups; None where nothing is."""
        return None

    @property
    def base_file(self) -> str | None:
        """Most engines capture all there is each time: restic stores what is new."""
        return None

    def as_stored(self, capture: Capture, into: Path, nodes: Iterator[StoredNode], tools: Tools) -> Capture:
        return capture  # a copy of its own is what it was

    def assemble(self, box: Place, restored: Path, manifest: Manifest, into: Path) -> None:
        raise no_increments(self.engine_name)

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """What is captured, where that is files of this host: a restore must never touch them."""
        return ()

    def beside_source(self) -> tuple[Sequence[str], str] | None:
        """Where a server runs and the database is gone from it: as what a restore loads it there (the rest of `--to`),
        and the line that then gives it its name. None where a whole server is captured, or it cannot be renamed."""
        return None

    @property
    def on_this_host(self) -> bool:
        """Is the source on the machine that ccdr runs on, as far as the plan tells?"""
        host = getattr(getattr(self, "connection", None), "host", None)
        return bool(self.source_paths) if host is None else host.startswith("/") or is_loopback(host)

    def client(self, major: str | None) -> ClientNeed | None:
        return None

    def client_major(self, place: Place) -> str | None:
        return None

    def secret(self) -> WithPassword | None:
        return getattr(self, "connection", None)

    def credentials(self, password: str) -> Mapping[str, str]:
        return {}

    def settled(self, capture: Capture, into: Path) -> tuple[str, ...]:
        return ()

    def refused(self, stderr: FreeText) -> bool:
        """Whatever can refuse says so in words of its own."""
        return False

    @property
    def shipping(self) -> LogShipping | None:
        """How the source's log is shipped; None where it is not."""
        return getattr(self, "log_shipping", None)

    @property
    def keeps_canary(self) -> bool:
        return self.shipping is not None and self.shipping.canary is not None

    def log(self, name: str) -> ShippedLog | None:
        """Only some engines ship their log."""
        return None

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        raise UsageProblem(f"{self.engine_name} ships no log", hint="restore a snapshot: leave --at out")

    def outside(self, box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]:
        return {}

    def listed(self, restored: Path, manifest: Manifest) -> Mapping[str, FileDigest]:
        """All of them are in the manifest itself."""
        return manifest.files

    def as_files(self, manifest: Manifest) -> str:
        return "the captured files; they are loaded nowhere"

    def hand_over(self, restored: Path, final: Path, manifest: Manifest) -> list[str]:
        """Only a server's files would have it refer to what was not made with them."""
        return []

    def hand_over_log(
        self, host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Collection[str]:
        raise UsageProblem(f"{self.engine_name} ships no log", hint="restore a snapshot: leave --at out")

    def recovers_files(self, manifest: Manifest) -> RecoversFiles | None:
        return None

    def ask(self, source: Source, sql: str) -> list[list[str | None]]:
        """What the source itself answers to one SELECT, read-only; NULL is None. CommandFailed for an SQL error, and
        where the source does not answer."""
        raise UsageProblem(f"{self.engine_name} answers no SQL", hint="ask it by a `command` or an `http` step")

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        """Of engines that say `speaks_sql`; a plan that asks it of another is wrong, and was told so."""
        raise CommandFailed(["query"], 2, f"{self.engine_name} answers no SQL")

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        """As `query`."""
        raise CommandFailed(["query"], 2, f"{self.engine_name} answers no SQL")

    def accounts(self, source: Source) -> Accounts:
        """Whoever may read files may read these."""
        return Accounts()

    def new_server(self, site: Site) -> ServerMaker:
        raise UsageProblem(
            f"{self.engine_name} has no server of its own to be made ready",
            hint="name a directory: `--to DIR`, or `directory:` among the plan's targets",
        )

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        raise TestBroken(f"nobody can be erased from what {self.engine_name} restores")

    def complete(self, fetched: Path, restored: Path, manifest: Manifest) -> None:
        """Nothing is read in place but by `files`; what was captured is in `manifest.files`."""

    @property
    def damages(self) -> tuple[Damage, ...]:
        """None where what counts is the files as they came: whatever a server does to them afterwards is its own."""
        return ()

    def damage(self, context: CheckContext, kind: Damage, chance: Random) -> str | None:
        raise NothingToDamage(f"of {self.engine_name} the fetched files are what is compared")

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        """Only of engines that say `exports`; a plan that asks it of another is wrong, and was told so."""
        raise TestBroken(f"{self.engine_name} cannot write rows in bulk yet")


def tables_and_rows(manifest: Manifest) -> dict[str, int]:
    """What `holds` says of a snapshot whose manifest names each table with its rows."""
    tables: Mapping[str, Any] = manifest.contents["tables"]
    return {"tables": len(tables), "rows": sum(int(table["rows"]) for table in tables.values())}
