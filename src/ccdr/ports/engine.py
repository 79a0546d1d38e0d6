"""A store: how it is captured, restored and compared; and a real server that one is restored onto."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, ClassVar, Protocol

from ccdr.model.answers import FreeText
from ccdr.model.damage import Damage
from ccdr.model.schema import WithPassword
from ccdr.model.values import FileDigest, Manifest, Probe
from ccdr.ports.place import Place, Progress, Source
from ccdr.ports.restored import Restored

if TYPE_CHECKING:  # contracts name each other
    from ccdr.ports.accounts import Accounts
    from ccdr.ports.capture import Capture, ClientNeed, SourceFacts, StoredNode, Tools
    from ccdr.ports.check import CheckContext
    from ccdr.ports.log import Reached, RecoversFiles, RecoveryTarget, ShippedLog
    from ccdr.ports.new_server import ServerMaker, Site
    from ccdr.ports.restored import SandboxNeeds
    from ccdr.ports.target import KnownSource, TargetOutlook


class Engine(Restored, Protocol):
    """One kind of store. A frozen pydantic class: its fields are its YAML, its methods say how.

    All methods raise CommandFailed when a program fails. What that means (failed backup, bad backup, broken
    test) is for the use-case to say, except where only the engine can tell: then BackupBad or TestBroken.
    """

    index_file: ClassVar[str | None]
    in_sandbox: ClassVar[bool]

    @property
    def engine_name(self) -> str: ...

    @property
    def image(self) -> str | None: ...

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        """Images that serve when the plan names none, best first; for any version where `major` is None."""

    def client(self, major: str | None) -> ClientNeed | None:
        """What is needed to read the source; None where the source is plain files on this host."""

    @property
    def base_file(self) -> str | None:
        """A captured file by which the next capture can be an increment, where the plan wants that; kept in the state
        directory, and in every manifest's `files`."""

    @property
    def source_name(self) -> str:
        """What is captured, as the plan names it: a snapshot of another source is not this asset's."""

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """What is captured, where that is files of this host."""

    def secret(self) -> WithPassword | None:
        """Where the source's password comes from, if it needs one."""

    def credentials(self, password: str) -> Mapping[str, str]:
        """Files (name, text) that hold the password for the client; written with mode 0600, never argv."""

    def probe(self, source: Source) -> SourceFacts:
        """A short look at the source: it answers, and this is its version."""

    def ask(self, source: Source, sql: str) -> list[list[str | None]]:
        """What the source itself answers to one SELECT, read-only; NULL is None. CommandFailed for an SQL error, and
        where the source does not answer; UsageProblem where the engine answers no SQL."""

    def accounts(self, source: Source) -> Accounts:
        """Who may do what at the source, as it is now; none where it has no accounts of its own."""

    def refused(self, stderr: FreeText) -> bool:
        """A failed probe said this: did the source answer, and say no?"""

    def rights(self, source: Source) -> Iterator[Probe]:
        """May the client read all that a capture needs, and do nothing more? Quick, and changes nothing."""

    def client_major(self, place: Place) -> str | None:
        """The major version of the client in this place; None where there is none."""

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        """Write a consistent copy into the empty directory `into`; BackupFailed where it is not one."""

    def settled(self, capture: Capture, into: Path) -> tuple[str, ...]:
        """After the upload: source paths that changed while they were read, so that the manifest is not true
        of them. Empty for engines that capture a copy of their own."""

    def as_stored(self, capture: Capture, into: Path, nodes: Iterator[StoredNode], tools: Tools) -> Capture:
        """Of a tree that does not stand still, stored by itself before what is in `into`: the capture as it is true of
        that. BackupFailed where what is there was not stored."""

    def sandbox(self, manifest: Manifest) -> SandboxNeeds: ...

    def start(self, box: Place, manifest: Manifest) -> str:
        """Have an empty server answer inside the box; returns its version."""

    def listed(self, restored: Path, manifest: Manifest) -> Mapping[str, FileDigest]:
        """Every captured file below `restored`: those that the manifest names, and those that these name in turn.
        BackupBad where such a list cannot be read. What it says holds once it is itself proven to be as captured."""

    def as_files(self, manifest: Manifest) -> str:
        """What the captured files are to somebody who has them in a directory: a phrase."""

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        """How much was captured, by what it is called in the plural (tables, rows, keys, files): what is counted,
        and `identical` compares."""

    def complete(self, fetched: Path, restored: Path, manifest: Manifest) -> None:
        """Whatever a plan's checks look at: is all there that the capture read in place? BackupBad where not."""

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        """Load the fetched files. BackupBad where the backup is to blame, TestBroken where the image is."""

    def shell(self, box: Place, manifest: Manifest) -> Sequence[str]:
        """What a person types in the sandbox to look at what was loaded there: its own client."""

    def assemble(self, box: Place, restored: Path, manifest: Manifest, into: Path) -> None:
        """Put together what an increment and all that it builds upon (see `UPON`) give, as files in the directory
        `into` (host path), each first proven to be as captured: BackupBad where not."""

    @property
    def damages(self) -> tuple[Damage, ...]:
        """What a negative control can do to what was loaded; to the files before that it can do all of `OF_FILES`."""

    def damage(self, context: CheckContext, kind: Damage, chance: Random) -> str | None:
        """Do this, one of `damages`, to what was loaded into the sandbox, so that it is surely another than before;
        `chance` makes every choice. The table that it was done to, by name, if it was one. NothingToDamage where the
        copy has nothing of the kind."""

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        """Every row that one SELECT gives, read-only, written by the engine's own client into the new file `to` (host
        path, in the context's `out`): however many they are, none passes through Python. Of engines that say `exports`.

        One row a line, values apart by tabs, in UTF-8 where the database knows its encoding, else its very bytes.
        NULL is `\\N`; within a value a backslash is `\\\\`, a tab `\\t`, a newline `\\n` (as PostgreSQL's COPY).
        CommandFailed for an SQL error, as `query`.
        """

    def log(self, name: str) -> ShippedLog | None:
        """The source's log, where the plan wants it shipped; `name` is the asset's own (`plan/asset`), for what the
        source keeps for us."""

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        """As `load`, and then every change of the log (a directory of segments) up to `target`. LogBad where the
        log does not reach it; UsageProblem where the target is not to be found."""

    def hand_over(self, restored: Path, final: Path, manifest: Manifest) -> list[str]:
        """For a restore for real, into a directory that will be called `final`: see to it that a server which is
        started on the captured files in `restored` refers to nothing else, and does nothing to others by itself. What
        was changed for that, and what there is to be told of the files, as sentences."""

    def outside(self, box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]:
        """Paths of the source's at which that log makes files, and for each a directory below what was restored:
        `recover` wants a box that has these paths, and there leads each into its directory. LogBad where the log cannot
        be read."""

    def hand_over_log(
        self, host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Collection[str]:
        """For a restore for real, into a directory, where no sandbox applies this log: see that no server that is
        started on `restored` does so by itself. The paths of the source's at which one that is told to makes files; a
        CcdrError where nothing on this host tells."""

    def recovers_files(self, manifest: Manifest) -> RecoversFiles | None:
        """For a restore for real, into a directory: what applies the log to its files; None where a person does."""

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        """The server and database that `url` names, to restore onto. UsageProblem where it is none of this
        engine's, or not well formed."""

    def new_server(self, site: Site) -> ServerMaker:
        """What makes a new server there. UsageProblem where this engine has none, or `site` will not do."""


class ServerTarget(Protocol):
    """A real server that one snapshot is to be restored onto. One object for one restore, used in this order:
    `examine`, `load`, checks by `restored`, `finish`; or `undo` at any point. Where `finish` was stopped, `named` and
    `settle`.

    `name` is what the data will be called there (a database), `shown` the address without a secret, `client` the
    engine by which the lab opens a client of that server, `notes` what `finish` has to tell. All methods raise
    CommandFailed when a program fails.
    """

    @property
    def name(self) -> str: ...

    @property
    def shown(self) -> str: ...

    @property
    def client(self) -> Engine: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def examine(
        self,
        source: Source,
        manifest: Manifest,
        run: str,
        sources: Sequence[KnownSource],
        *,
        onto_source_server: bool,
    ) -> TargetOutlook:
        """Ask, and change nothing. UsageProblem where the target is or could be one of `sources`, is not empty, or
        lacks what the snapshot needs. `onto_source_server` allows another database on a source's server."""

    def load(self, source: Source, restored: Path, manifest: Manifest, progress: Progress) -> Restored:
        """Load the fetched files under a name of the restore's own. BackupBad where the backup is to blame."""

    def finish(self, source: Source) -> list[str]:
        """Give it its final name, in one step; what is left to clear away, as sentences."""

    def named(self, source: Source) -> bool:
        """Has it its final name? The server is asked: a client that was stopped cannot tell what came of it."""

    def settle(self, source: Source) -> list[str]:
        """It has: clear away what `finish` would have; what could not be, as sentences. Never raises."""

    def undo(self, source: Source) -> list[str]:
        """Remove all that `load` made; what could not be removed, and how to, as sentences. Never raises."""

    def refuse_source(self, source: Source, sources: Sequence[KnownSource]) -> None:
        """UsageProblem where the database under its final name is or could be one of `sources`: nothing is ever written
        there."""

    def as_named(self, source: Source, manifest: Manifest) -> Restored:
        """What stands there under its final name. CommandFailed where nothing does."""

    def of_a_dead_run(self, run: str) -> ServerTarget:
        """As this one was for a restore that is at work no more: to ask whether that was `named`, and to `undo` it."""

    def standing(self) -> str:
        """Where the loaded data stands before `finish`, and what to do with it: one sentence."""
