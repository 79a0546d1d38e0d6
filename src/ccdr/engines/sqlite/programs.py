"""Runs the two programs that open a database, and reads their answers: SQLite itself is never opened in ccdr."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.model.answers import FreeText
from ccdr.model.errors import BackupFailed, CommandFailed, SourceAway
from ccdr.ports.place import Place

HOST_PYTHON = sys.executable  # the one that runs ccdr: nothing else need be installed
SANDBOX_PYTHON = "python3"
NAMED = "the file that `path:` names"  # its own name may be a customer's: records do without
REPORT = "look at it with `sqlite3`, and report what ccdr could not make of it"
# What `live.py`'s words mean: a sentence about the file, and what to do.
SENTENCES = {
    "locked": (
        "is locked, and no reader was let in for {wait:.0f} s",
        "find out who holds it (`fuser -v` its path); wait longer with `limits: lock_wait`; an application with"
        " `locking_mode = exclusive` never lets anybody in",
    ),
    "not a database": (
        "is no SQLite database, or an encrypted one",
        "is it the right file? ccdr has no key of SQLCipher or SEE: have the application write a copy that can be read",
    ),
    "damaged": ("is damaged", "`ccdr status PLAN` says how its last good snapshot takes its place"),
    "cannot open": (
        "cannot be opened by the user who runs ccdr",
        "run ccdr as root or as the file's owner, who may also write beside it: a log (-wal) is read through a -shm",
    ),
    "cannot write": (
        "was left half written by a program that crashed, and this user may not roll that back",
        "start its application, or run ccdr as root or as the file's owner",
    ),
    "orphan": (
        "has a log (-wal) that no running program reads, and this user may not make what reading it takes",
        "start its application, or run ccdr as root or as the file's owner",
    ),
    "written": (
        "was written to while it was copied, and this user may not keep writers out",
        "run ccdr as root or as the file's owner, who can read while others write",
    ),
    "unlocked": (
        "was written to while it was copied, by a program that no lock of this host keeps out",
        "does another machine write to it, or an application with `nolock` or a locking of its own? back it up where"
        " that runs, by the path that it opens, or have it write a copy",
    ),
    "of several": (
        "was left half written by a program that crashed in a transaction over several databases, and the first of them"
        " is not here under the name that the program has for it",
        "start its application: only where that runs (in its container?) can it be told what was committed",
    ),
    "full": ("cannot be copied: there is no room in scratch", "free space there, or name another place with --state"),
}

NO_SOURCE = ("not a database", "damaged")  # of these words: nothing there can be backed up again


@dataclass(frozen=True)
class Looked:
    """What `live.py` saw. `began`: seconds from its start to the instant for which it is true."""

    sqlite: str
    tables: int
    began: float
    notes: list[str]
    survey: list[dict[str, Any]] | None


def source(
    place: Place,
    path: Path,
    target: Path | None,
    wait: float,
    survey: dict[str, object] | None = None,
    *,
    named: str = NAMED,
) -> Looked:
    """Look at the live database; with `target`, copy it into that new file; with `survey` (what it is to be told), see
    what may be worth a check. BackupFailed where that cannot be; it calls the file as it is `named`."""
    request = json.dumps({"source": str(path), "target": target and str(target), "wait": wait, "survey": survey})
    argv = [HOST_PYTHON, "-I", "-c", _program("live.py")]
    out = place.run(argv, stdin=request, watch=target and target.parent, what="copying the database")
    answer = _answer(out.stdout)
    if (word := answer.get("refused")) is not None:
        sentence, hint = SENTENCES.get(word, ("cannot be copied", REPORT))
        words = FreeText(answer["said"] or "")
        why = f": {words.answer}" if words.answer else ""
        words += FreeText(str(path))
        failed = SourceAway if word in NO_SOURCE else BackupFailed
        raise failed(f"{named} {sentence.format(wait=wait)}{why}", hint=hint, words=words)
    return Looked(answer["sqlite"], answer["tables"], answer["began"], answer["notes"], answer["survey"])


@dataclass(frozen=True)
class ReaderAnswer:
    """What the reader told: by question. `refused` is SQLite's own message where it did not come to an end, `lacks`
    whether that is for want of something that the database's application has and this SQLite has not."""

    sqlite: str
    answers: dict[str, Any]
    refused: FreeText | None
    lacks: bool
    table: str | None = None  # at which it stopped

    @property
    def why(self) -> str:
        """Of `refused`, what may be recorded."""
        answer = (self.refused and self.refused.answer) or "it cannot be read"
        return answer if self.table is None else f"table {self.table}: {answer}"


def ask(place: Place, python: str, database: str, questions: dict[str, list[str]], what: str) -> ReaderAnswer:
    """Ask a copy of which nobody else knows; `database` is its name in that place."""
    argv = [python, "-I", "-c", _program("reader.py"), database]
    answers = _answer(place.run(argv, stdin=json.dumps(questions), what=what).stdout)
    refused = answers.get("refused")
    words = None if refused is None else FreeText(refused)
    return ReaderAnswer(answers["sqlite"], answers, words, bool(answers.get("lacks")), answers.get("table"))


def damage(place: Place, python: str, database: str, kind: str, seed: int) -> str | None:
    """Damage such a copy, for a negative control: the table that it was done to; None where there is none."""
    argv = [python, "-I", "-c", _program("damager.py"), database]
    request = json.dumps({"kind": kind, "seed": seed})
    table = _answer(place.run(argv, stdin=request, what="damaging the copy").stdout)["table"]
    return None if table is None else str(table)


def _program(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _answer(output: str) -> dict[str, Any]:
    try:
        answer = json.loads(output.rstrip("\n").rpartition("\n")[2])
    except ValueError:
        raise CommandFailed(["sqlite"], 0, "it gave no answer") from None
    assert isinstance(answer, dict)
    return answer
