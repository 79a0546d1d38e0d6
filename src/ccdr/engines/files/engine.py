"""File trees, method `scan`: what a plan says of them, and how they are captured, fetched and compared."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ccdr.engines.base import EngineConfig
from ccdr.engines.files import comparison, erasing
from ccdr.engines.files.capture import as_stored, capture, changed_since
from ccdr.engines.files.scan import LISTING
from ccdr.model.answers import FreeText
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import BackupBad, BackupFailed, SourceAway, UsageProblem
from ccdr.model.schema import AbsolutePath, Wait
from ccdr.model.values import CheckResult, Manifest, Probe
from ccdr.ports.capture import Capture, SourceFacts, StoredNode, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import ServerTarget
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds

NOBODY = "65534:65534"
LOOKED_AT = 5000  # entries of a tree whose rights are looked at before anything is captured


class Files(EngineConfig):
    has_server: ClassVar[bool] = False
    in_sandbox: ClassVar[bool] = False
    index_file: ClassVar[str | None] = LISTING

    engine: Literal["files"]
    method: Literal["scan"] = "scan"
    paths: Annotated[tuple[AbsolutePath, ...], Field(min_length=1)] = Field(
        description="directories and files, with all that is below them"
    )
    settle: Wait = Field(60.0, description="files changed within this time are left for the next backup; 0s: none are")

    @property
    def settle_time(self) -> float | None:
        return self.settle

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        return ("ccdr-sandbox/files:1",)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for one, other in itertools.permutations(self.paths, 2):
            if one == other or one in other.parents:
                raise ValueError(f"paths overlap, expected {other} to be named once")
        return self

    # --- the source -----------------------------------------------------------------------------------

    @classmethod
    def stated_by(cls, source: str, contents: Mapping[str, object]) -> dict[str, object]:
        roots = contents["roots"]
        return {"paths": [str(root) for root in roots] if isinstance(roots, list) else [source]}

    def probe(self, source: Source) -> SourceFacts:
        for number, path in enumerate(self.paths, 1):
            # A directory's name may be a customer's: the plan has it, and a person at a terminal may see it.
            its = f"entry {number} of `paths:`"
            if path.is_symlink():  # restic would store the link, and nothing of what it points to
                words = FreeText(f"{path} points to {path.resolve()}")
                raise BackupFailed(f"{its} is a link", hint="name what it points to in `paths:`", words=words)
            if not path.exists():
                hint = "is its file system mounted? else change `paths:` in the plan"
                raise SourceAway(f"{its} is not there", hint=hint, words=FreeText(f"{path}: it is not there"))
        return SourceFacts(version="1", major="1")

    def rights(self, source: Source) -> Iterator[Probe]:
        """Of the first entries of each tree: a look must be quick where there are millions."""
        what = "rights to read"
        for root in self.paths:
            seen, files, closed = 0, 0, 0
            for entry in itertools.islice(_anyhow(root), LOOKED_AT):
                seen += 1
                files += entry.is_file()
                closed += not os.access(entry, os.R_OK | os.X_OK if entry.is_dir() else os.R_OK)
            if closed:
                problem = f"{closed} of the first {seen} entries of {root} may not be read by the user who runs ccdr"
                yield Probe.fail(what, problem, "run ccdr as a user who may read them all, or open them to it")
            elif not files:
                problem = f"there is no file in {root}, and an empty tree is no backup"
                yield Probe.fail(what, problem, "is its file system mounted? else change `paths:` in the plan")
            else:
                whole = "all of it" if seen < LOOKED_AT else f"its first {seen} entries"
                yield Probe.ok(what, f"{root}: {whole} may be read")

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        return capture(self.paths, self.settle, self.source_name, into, tools)

    @property
    def source_paths(self) -> tuple[Path, ...]:
        return self.paths

    @property
    def source_name(self) -> str:
        return " ".join(sorted(map(str, self.paths)))

    def settled(self, capture: Capture, into: Path) -> tuple[str, ...]:
        if not capture.paths:  # it was made true of what was stored
            return ()
        return tuple(changed_since(into / LISTING, capture.consistent_point.timestamp()))

    def as_stored(self, capture: Capture, into: Path, nodes: Iterator[StoredNode], tools: Tools) -> Capture:
        return as_stored(capture, into, nodes, tools)

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        return SandboxNeeds(bytes=0, memory=self.memory or 2**29, user=NOBODY, major="1")

    def start(self, box: Place, manifest: Manifest) -> str:
        return "1"

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return {"files": int(manifest.contents["files"])}

    def complete(self, fetched: Path, restored: Path, manifest: Manifest) -> None:
        """Every listed entry is there with its type and size. A backup that was killed before it had looked at
        what restic left out has no other mark; contents are the business of `identical`."""
        try:
            there, missing = comparison.whole(fetched, restored / LISTING)
        except (ValueError, TypeError, RecursionError):
            raise BackupBad(
                "the listing of what was captured cannot be read",
                hint="restore an older snapshot meanwhile, and back up again",
            ) from None
        if missing:
            raise BackupBad(
                f"the restore is incomplete: {missing} of {there + missing} entries are missing, or not as listed",
                hint="restore an older snapshot meanwhile, and back up again",
            )

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        return None

    def shell(self, box: Place, manifest: Manifest) -> Sequence[str]:
        return ["sh"]

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        return iter(())

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        raise UsageProblem("files are restored into a directory, not onto a server", hint="name one with --to")

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        return erasing.erase(context.fetched, [str(root) for root in context.manifest.contents["roots"]], wanted)

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        return comparison.identical(context)


def _anyhow(root: Path) -> Iterator[Path]:
    """A tree's entries in no order, links left out; what may not be listed is an entry without what is in it."""
    waiting = [root]
    while waiting:
        entry = waiting.pop()
        try:
            below = list(entry.iterdir()) if entry.is_dir() and os.access(entry, os.R_OK | os.X_OK) else []
            waiting += [one for one in below if not one.is_symlink()]
        except OSError:  # it went, or its path is too long for any program: the backup tells
            continue
        yield entry
