"""`reconcile`: every row's file is there and is what the row says, and every file has a row.

Neither store is changed between the two captures by us, but both are in use: a row that is newer than the files'
consistent point cannot have its file yet, nor a file its row. What the instants explain is in flight: counted apart,
and never more than they explain.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ccdr.checks.base import CheckConfig
from ccdr.checks.decoding import decode
from ccdr.checks.freshness import CLOCKS
from ccdr.checks.reconcile.instants import Instants
from ccdr.checks.reconcile.match import (
    Decode,
    FileOutcome,
    Matcher,
    Matches,
    Reference,
    RowOutcome,
    StatedColumns,
)
from ccdr.checks.reconcile.stores import Column, OtherColumns, files_of, rows_of
from ccdr.engines import EngineConfig, Files
from ccdr.model.schema import Duration, Name, Strict, Text, format_duration
from ccdr.model.values import CheckResult, Verdict, human_seconds, rfc3339
from ccdr.ports.check import CheckContext, Counterpart
from ccdr.ports.engine import Engine

ANY = "any"
NAMED = 20  # references that the person at the shell is shown; the private output has all
NOTED = 100_000  # references of one comparison in the private output
SAME = 1.0  # seconds between two points that are one moment: `--at` names whole ones
Count = Annotated[int, Field(ge=0)]


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("is not an absolute path, expected one like /var/spool/recordings")
    return path


class Allowed(Strict):
    """How many of each kind may be; more is a FAIL."""

    missing: Count = Field(0, description="rows whose file is not there, or that name none that could be")
    wrong: Count = Field(0, description="rows that say another size or SHA-256")
    unreadable: Count = Field(0, description="rows whose file does not decode")
    unsaid: Count | Literal["any"] = Field(0, description="rows that say no size or SHA-256, though a column is for it")
    files_without_row: Count | Literal["any"] = Field(0, description="files that no row names")
    shared: Count | Literal["any"] = Field("any", description="files that more than one row names")


class Reconcile(CheckConfig):
    needs_sql: ClassVar[bool] = True
    needs_export: ClassVar[bool] = True
    floors: ClassVar[tuple[str, ...]] = ("at_least", "decodable")
    ceilings: ClassVar[tuple[str, ...]] = ("within", "apart", *(f"allow.{what}" for what in Allowed.model_fields))
    rank: ClassVar[int] = 2  # when the asset itself has been looked at, and its recovery time is known

    kind: Literal["reconcile"]
    other: Name = Field(alias="with", description="the asset of the plan that holds the files")
    query: Text = Field(description="gives one row for each file that must be there")
    columns: tuple[Column, ...] = Field(
        ("path",),
        description="what the query's columns are, in order: path; and size (bytes), sha256, time if it has them",
    )
    root: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        None,
        description="what relative paths are relative to, and the files that should have a row lie below"
        " (default: the asset's path, if it has one)",
    )
    match: tuple[Text, ...] = Field(
        ("*",), min_length=1, description="shell patterns of the names of files that should have a row"
    )
    decodable: bool = Field(False, description="the rows' files are audio, and decode to their end")
    within: Duration = Field(300.0, description="how far apart the two consistent points may lie")
    apart: Duration = Field(60.0, description="how long one after the other a row and its file may be written")
    at_least: int = Field(1, ge=1, description="fewer rows that match than this is a FAIL")
    allow: Allowed = Field(Allowed(), description="how many that do not match are no FAIL")

    @model_validator(mode="after")
    def _columns_once(self) -> Self:
        if "path" not in self.columns or len(set(self.columns)) != len(self.columns):
            raise ValueError(f"has columns {', '.join(self.columns)}, expected path, and each at most once")
        return self

    def default_name(self) -> str:
        return f"rows and files of {self.other}"

    @property
    def beside(self) -> str | None:
        return self.other

    @property
    def needs_sandbox_beside(self) -> bool:
        return self.decodable

    def misfit(self, other: EngineConfig) -> str | None:
        if not isinstance(other, Files):
            return f"which is of the engine {other.engine_name}, expected one of files"
        if self.root is not None and not any(
            self.root == path or self.root in path.parents or path in self.root.parents for path in other.paths
        ):
            return f"whose paths have nothing in common with the root {self.root}, expected one of them"
        return None

    def compare(self, engine: Engine, context: CheckContext, counterpart: Counterpart) -> Iterator[CheckResult]:
        instants = self._instants(context, counterpart)
        yield self._skew(instants, counterpart)
        exported = context.out / f"rows-{counterpart.work.name}"
        engine.export(context.sandbox, context.manifest, self.query, exported)
        root = self._root(counterpart.context)
        wanted = StatedColumns("size" in self.columns, "sha256" in self.columns)
        try:
            with Matcher.opened(counterpart.work / "matches.sqlite", instants, wanted) as matcher:
                matcher.add_files(files_of(counterpart.context, root, self.match))
                matcher.add_rows(rows_of(exported, self.columns, root))
                matched = matcher.judge(
                    lambda names: _hashed(counterpart.context, names), self._decoder(counterpart.context)
                )
                self._note(matcher, counterpart)
                between = self._between(instants, context, counterpart)
                yield self._rows_result(matched, instants, matcher, between)
                yield self._files_result(matched, instants, matcher)
        except OtherColumns as error:
            yield self._of("rows", False, f"{len(self.columns)} columns: {', '.join(self.columns)}", str(error))
        finally:
            exported.unlink(missing_ok=True)

    def _instants(self, context: CheckContext, counterpart: Counterpart) -> Instants:
        files = counterpart.context.manifest
        return Instants(
            rows=counterpart.point.timestamp(),
            files=files.consistent_point.timestamp(),
            settle=float(str(files.contents["settle"])),
            apart=self.apart,
            clocks=CLOCKS + abs(context.manifest.clock_skew_s or 0.0),
        )

    def _skew(self, instants: Instants, counterpart: Counterpart) -> CheckResult:
        how = "captured together" if counterpart.together else "captured apart"
        which = f"snapshot {counterpart.snapshot.short} of {counterpart.asset}, {how}"
        actual = f"{human_seconds(instants.skew)} apart ({which})"
        if counterpart.recovered:  # no schedule brings a backup of the files at that very moment: the rows tell
            far = "" if instants.skew <= self.within else f", more than {format_duration(self.within)}"
            return self._of("consistent points", True, "any, after a recovery", f"{actual}{far}")
        expected = f"at most {format_duration(self.within)} apart"
        return replace(self._of("consistent points", instants.skew <= self.within, expected, actual), varies=True)

    def _between(self, instants: Instants, context: CheckContext, counterpart: Counterpart) -> str | None:
        """After a recovery: that rows which say no time may have been written since the files were captured, and what
        has both of one moment. None where they cannot, or say it."""
        if not counterpart.recovered or "time" in self.columns or instants.rows - instants.files <= SAME:
            return None
        ahead, at = human_seconds(instants.rows - instants.files), _shown(math.ceil(instants.files))
        return (
            f"the rows are {ahead} newer than the files, and say no time: how many of these were written since, nobody "
            f"can tell; `ccdr recover {context.manifest.plan} --at {at}` brings both back to one moment"
        )

    # --- what is compared -----------------------------------------------------------------------------

    def _root(self, context: CheckContext) -> Path | None:
        roots = context.manifest.contents.get("roots")
        only = Path(str(roots[0])) if isinstance(roots, list) and len(roots) == 1 else None
        return self.root or only

    def _decoder(self, context: CheckContext) -> Decode | None:
        if not self.decodable:
            return None
        base = context.sandbox.path(context.fetched)

        def decoded(names: list[str]) -> tuple[Mapping[str, str], int]:
            answer = decode(context.sandbox, [f"{base}{name}" for name in names])
            return {names[number]: why for number, why in answer.bad}, answer.silent

        return decoded

    # --- what was found -------------------------------------------------------------------------------

    def _rows_result(
        self, matched: Matches, instants: Instants, matcher: Matcher, between: str | None = None
    ) -> CheckResult:
        """`between` is why rows that lack their file, or say another, may be as they should be."""
        allow, unsaid = self.allow, matched.of(RowOutcome.UNSAID)
        here = matched.of(RowOutcome.MATCHED, RowOutcome.UNSAID)
        silent = matched.decoded > 0 and matched.silent == matched.decoded  # every one: the recorder records nothing
        missing, wrong = RowOutcome.MISSING, (RowOutcome.WRONG_SIZE, RowOutcome.WRONG_CONTENTS)
        fits = matched.of(missing, RowOutcome.UNUSABLE) <= allow.missing and matched.of(*wrong) <= allow.wrong
        passed = (
            here >= self.at_least
            and not silent
            and (fits or (between is not None and matched.of(RowOutcome.UNUSABLE) <= allow.missing))
            and matched.of(RowOutcome.UNREADABLE) <= allow.unreadable
            and _within(unsaid, allow.unsaid)
            and _within(matched.shared, allow.shared)
        )
        expected = [f"≥ {self.at_least} match", f"missing ≤ {allow.missing}", f"wrong ≤ {allow.wrong}"]
        expected += [f"unreadable ≤ {allow.unreadable}"] if self.decodable else []
        expected += [f"unsaid ≤ {allow.unsaid}"] if allow.unsaid != ANY and len(self.columns) > 1 else []
        expected += [f"shared ≤ {allow.shared}"] if allow.shared != ANY else []
        expected += [f"in flight only after {_shown(instants.without_file)}"] if "time" in self.columns else []
        actual = [f"{here} of {matched.total} rows match", f"missing {matched.of(RowOutcome.MISSING)}"]
        actual += [f"of these in use when captured {matched.in_use}"] if matched.in_use else []
        kinds = {
            "unusable path": RowOutcome.UNUSABLE,
            "wrong size": RowOutcome.WRONG_SIZE,
            "wrong contents": RowOutcome.WRONG_CONTENTS,
            "unreadable": RowOutcome.UNREADABLE,
            "no size or digest said": RowOutcome.UNSAID,
        }
        actual += [f"{name} {matched.of(kind)}" for name, kind in kinds.items() if self._compares(kind)]
        actual += [f"in flight {matched.of(RowOutcome.IN_FLIGHT)}", f"files that several rows name {matched.shared}"]
        actual += ["all without sound"] if silent else []
        unknown = passed and not fits
        text = f"{', '.join(actual)}; {between}" if unknown else ", ".join(actual)
        result = self._of("rows", passed, ", ".join(expected), text, _named(matcher.bad_rows()))
        return replace(result, status=Verdict.INCONCLUSIVE) if unknown else result

    def _compares(self, kind: RowOutcome) -> bool:
        """Could a row end so? What was not looked at is not said to be 0."""
        needs: dict[RowOutcome, bool] = {
            RowOutcome.WRONG_SIZE: "size" in self.columns,
            RowOutcome.WRONG_CONTENTS: "sha256" in self.columns,
            RowOutcome.UNREADABLE: self.decodable,
            RowOutcome.UNSAID: bool({"size", "sha256"} & set(self.columns)),
        }
        return needs.get(kind, True)

    def _files_result(self, matched: Matches, instants: Instants, matcher: Matcher) -> CheckResult:
        without, allowed = matched.files.get(FileOutcome.WITHOUT_ROW, 0), self.allow.files_without_row
        total = sum(matched.files.values())
        limit = ANY if allowed == ANY else f"≤ {allowed}"
        expected = f"without a row {limit}, in flight only after {_shown(instants.without_row)}"
        actual = f"{without} of {total} files without a row, in flight {matched.files.get(FileOutcome.IN_FLIGHT, 0)}"
        if not total:  # a pattern with a slip in it must not look like a check
            actual = "no file matches its patterns"
        return self._of(
            "files", total > 0 and _within(without, allowed), expected, actual, _named(matcher.lone_files())
        )

    def _note(self, matcher: Matcher, counterpart: Counterpart) -> None:
        """All of them into the run's private output: what is wrong with each row, and which files have none."""
        for references in (matcher.bad_rows(), matcher.lone_files()):
            for reference in itertools.islice(references, NOTED):
                counterpart.note({"check": self.label, **asdict(reference)})
            if left := sum(1 for _ in references):
                counterpart.note({"check": self.label, "what": f"{left} more, beside these {NOTED}"})

    def _of(self, what: str, passed: bool, expected: str, actual: str, detail: str | None = None) -> CheckResult:
        return replace(self.result(passed, expected, actual, detail), name=f"{self.label}: {what}")


def _within(count: int, allowed: int | str) -> bool:
    return allowed == ANY or count <= int(allowed)


def _named(references: Iterator[Reference]) -> str | None:
    """The first few, for the person at the shell."""
    lines = [
        f"{r.what}: {r.row if r.row is not None else r.file or 'NULL'}{f' ({r.why})' if r.why else ''}"
        for r in itertools.islice(references, NAMED)
    ]
    return "\n".join(lines) or None


def _shown(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC).replace(microsecond=0))


def _hashed(context: CheckContext, names: list[str]) -> dict[str, str]:
    """Of what was restored, not of what the listing says."""
    digests = context.digest(context.fetched, [name.lstrip("/") for name in names])
    return {name: digests[name.lstrip("/")].sha256 for name in names}
