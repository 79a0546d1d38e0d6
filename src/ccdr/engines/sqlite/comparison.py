"""What was restored beside what was captured; and what of a database is wrong though it was captured faithfully.

The file's digest says whether storage changed anything. The tables' digests, taken of the copy when it was captured,
say that it could be read to its end then: so damage before storage and damage after it are told apart.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, cast

from ccdr.engines.comparison import named
from ccdr.engines.sqlite.programs import ReaderAnswer
from ccdr.model.answers import FreeText, lacking
from ccdr.model.errors import TestBroken
from ccdr.model.finding import Finding
from ccdr.model.values import CheckResult, Manifest, Verdict, so_many
from ccdr.ports.check import CheckContext

MOST_FOUND = 100  # lines that integrity_check tells
READABLE = 0o444  # what a sandbox's user is given to look at a file


def older(version: str, manifest: Manifest) -> bool:
    """Is a SQLite older than the one that took the backup?"""
    return _numbers(version) < _numbers(str(manifest.contents["version"]))


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def identical(context: CheckContext, answer: ReaderAnswer) -> Iterator[CheckResult]:
    captured = context.manifest.contents
    equal = _file_is_as_captured(context)
    results = [_file(context, equal), _owner(context)]
    if answer.refused is not None:
        if equal:
            raise TestBroken(
                f"the image's SQLite {answer.sqlite} cannot read what SQLite {captured['version']} read when it was"
                f" captured, and the file is the same: {answer.why}",
                hint="name another image with `image:`, or give the asset more `memory:`",
                words=answer.refused,
            )
        results.append(_result("contents", False, "every table can be read", answer.why, answer.refused.reveal()))
    else:
        restored = answer.answers["contents"]
        logical = [_tables(captured, restored), _definitions(captured, restored)]
        if equal and any(one.status is not Verdict.PASS for one in logical):
            raise TestBroken(
                f"the image's SQLite {answer.sqlite} reads the same file otherwise than SQLite {captured['version']}"
                f" did: {'; '.join(one.actual for one in logical)}",
                hint="name another image with `image:`, and report this",
            )
        results += logical
    yield from results


def _result(
    name: str, passed: bool, expected: str, actual: str, detail: str | None = None, kind: str = "identical"
) -> CheckResult:
    return CheckResult(kind, name, Verdict.PASS if passed else Verdict.FAIL, expected, actual, detail)


def _file_is_as_captured(context: CheckContext) -> bool:
    name = str(context.manifest.contents["file"])
    return context.digest(context.restored, [name])[name].sha256 == context.manifest.files[name].sha256


def _file(context: CheckContext, equal: bool) -> CheckResult:
    captured = context.manifest.files[str(context.manifest.contents["file"])]
    expected = f"{captured.bytes} bytes, SHA-256 {captured.sha256[:16]}…"
    return _result("file", equal, expected, "equal by SHA-256" if equal else "another SHA-256")


def _owner(context: CheckContext) -> CheckResult:
    """Mode and, as root, owner; whoever may read it in the sandbox is not counted."""
    contents = context.manifest.contents
    status = (context.restored / str(contents["file"])).stat()
    mode, there = int(contents["mode"]), stat.S_IMODE(status.st_mode)
    expected, actual = [f"{mode | READABLE:04o}"], [f"{there | READABLE:04o}"]
    if os.geteuid() == 0 and (owner := contents["owner"]) is not None:
        expected.append("{}:{}".format(*cast("list[int]", owner)))
        actual.append(f"{status.st_uid}:{status.st_gid}")
    return _result("mode and owner", expected == actual, " ".join(expected), " ".join(actual))


def _tables(captured: Mapping[str, Any], restored: Mapping[str, Any]) -> CheckResult:
    before, after = captured["tables"], restored["tables"]
    wrong = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            wrong.append(f"{name}: {'missing' if new is None else 'not in the backup'}")
        elif old != new:
            wrong.append(f"{name}: {so_many(old['rows'], 'row')} captured, {new['rows']} restored, contents differ")
    return _result(
        "tables",
        not wrong,
        f"{so_many(len(before), 'table')}, {so_many(_rows(before), 'row')}",
        named(wrong) if wrong else f"{so_many(len(after), 'table')}, {so_many(_rows(after), 'row')}, equal by SHA-256",
    )


def _rows(tables: Mapping[str, Any]) -> int:
    return sum(int(table["rows"]) for table in tables.values())


def _definitions(captured: Mapping[str, Any], restored: Mapping[str, Any]) -> CheckResult:
    before, after = captured["settings"], restored["settings"]
    other = [key for key in before | after if before.get(key) != after.get(key)]
    wrong = [f"{key}: {before.get(key)} captured, {after.get(key)} restored" for key in other]
    if captured["schema_sha256"] != restored["schema_sha256"]:
        counts = {kind: (captured["objects"][kind], restored["objects"][kind]) for kind in captured["objects"]}
        more = [f"{kind} {one} → {two}" for kind, (one, two) in counts.items() if one != two]
        wrong.append("definitions differ" + (f" ({', '.join(more)})" if more else ""))
    objects = ", ".join(f"{count} {kind}" for kind, count in captured["objects"].items())
    return _result(
        "definitions and settings", not wrong, objects, named(wrong) if wrong else f"{objects}, equal by SHA-256"
    )


# --- what is wrong with it, however faithful ------------------------------------------------------------------


def faults_of_the_source(contents: Mapping[str, Any]) -> list[Finding]:
    """What a capture finds wrong in what it captured: faithfully copied, and for its owner to mend."""
    references, sequences = contents["references"], contents["sequences"]
    faults = []
    if broken := references["broken"]:
        text = f"in the source, {_lead_nowhere(broken)}: mend the rows, then `PRAGMA foreign_key_check` is empty"
        counts = tuple(float(count) for _, count in sorted(broken.items()))
        faults.append(Finding(text, f"foreign keys that lead nowhere, of {', '.join(sorted(broken))}", counts))
    if unchecked := references["unchecked"]:
        text = f"in the source, foreign keys cannot be checked: {named(_pairs(unchecked))}"
        faults.append(Finding(text, f"foreign keys that cannot be checked, of {', '.join(sorted(unchecked))}"))
    if behind := sequences["behind"]:
        faults.append(Finding(f"in the source, {_forgotten(behind)}", f"sequences behind, of {', '.join(behind)}"))
    if spent := sequences["spent"]:
        faults.append(Finding(f"in the source, {_spent(spent)}", f"sequences spent, of {', '.join(spent)}"))
    return faults


def _pairs(counts: Mapping[str, object]) -> list[str]:
    return [f"{key}: {value}" for key, value in sorted(counts.items())]


def _lead_nowhere(broken: Mapping[str, int]) -> str:
    return f"{sum(broken.values())} foreign keys lead nowhere ({named(_pairs(broken))})"


def _forgotten(tables: list[str]) -> str:
    return (
        f"AUTOINCREMENT of {named(tables)} is behind the rows, so that an id may be given twice: set `seq` in"
        " sqlite_sequence to the largest id that there ever was"
    )


def _spent(tables: list[str]) -> str:
    return f"AUTOINCREMENT of {named(tables)} has come to the last id, so that the next insert fails"


def integrity(context: CheckContext, answer: ReaderAnswer) -> list[CheckResult]:
    """integrity_check reads every page and compares every index; foreign keys and sequences are not its business."""
    if answer.refused is not None:
        detail = answer.refused.reveal()
        return [_result("integrity_check", False, "an answer", answer.why, detail, kind="integrity")]
    answers = answer.answers
    results = [
        _references(context.manifest.contents["references"], answers["references"]),
        _sequences(answers["sequences"]),
    ]
    checked = answers["integrity"]
    against = f"rows break a CHECK of their table: {_many(checked['against'])}" if checked["against"] else ""
    if checked["found"]:
        before = "; the file is as it was captured: the source was damaged" if _file_is_as_captured(context) else ""
        sentence = f"{so_many(checked['found'], 'line')} of findings{before}{against and f'; {against}'}"
        results.insert(0, _result("integrity_check", False, "ok", sentence, "\n".join(checked["lines"]), "integrity"))
    elif against and not _file_is_as_captured(context):
        results.insert(0, _result("integrity_check", False, "ok", against, kind="integrity"))
    elif not checked["lacks"]:
        sentence = f"ok; {against}, as they do in the source" if against else "ok"
        results.insert(0, _result("integrity_check", True, "ok", sentence, kind="integrity"))
    elif all(one.status is Verdict.PASS for one in results):
        words = FreeText("\n".join(checked["lacks"]))
        raise TestBroken(
            f"the image's SQLite lacks something that integrity_check needs: {lacking(words)}",
            hint="name an image that has it with `image:`; what only the application itself has, no image can: then"
            " leave `integrity` out of this asset's restore test, `identical` still reads every row",
            words=words,
        )
    return results


def _many(against: Mapping[str, int]) -> str:
    """By table; SQLite stops at a hundred."""
    counts = {t: f"{n} or more" if sum(against.values()) >= MOST_FOUND else str(n) for t, n in against.items()}
    return named([f"{table} ({count})" for table, count in sorted(counts.items())])


def _references(captured: Mapping[str, Any], restored: Mapping[str, Any]) -> CheckResult:
    """What led nowhere in the source already is its owner's to mend: told, and no fault of the backup."""
    before, after = captured["broken"], restored["broken"]
    new = {key: count for key, count in after.items() if count > before.get(key, 0)}
    lost = sorted(restored["unchecked"].keys() - captured["unchecked"].keys())
    if new or lost:
        references = [
            f"{count} lead nowhere, {before.get(key, 0)} did when captured: {key}" for key, count in new.items()
        ]
        actual = named([*references, *(f"{name}: cannot be checked" for name in lost)])
    elif after or restored["unchecked"]:
        notes = [_lead_nowhere(after)] if after else []
        notes += [f"not checked: {named(sorted(restored['unchecked']))}"] if restored["unchecked"] else []
        actual = f"{'; '.join(notes)}; as in the source when it was captured"
    else:
        actual = "none leads nowhere"
    return _result("foreign keys", not new and not lost, "none that led anywhere when captured leads nowhere", actual,
                   kind="integrity")  # fmt: skip


def _sequences(sequences: Mapping[str, Any]) -> CheckResult:
    wrong = [_forgotten(sequences["behind"])] if sequences["behind"] else []
    wrong += [_spent(sequences["spent"])] if sequences["spent"] else []
    actual = "; ".join(wrong) or "none is behind"
    return _result("sequences", not wrong, "no AUTOINCREMENT is behind its rows", actual, kind="integrity")
