"""Is `population.csv` what the lines tell? Each row is held to its lines, also one of another ledger (`17@1a2b3c4d`).
Of our own each run that was begun in the period, and each record that stands for itself, is held to its row."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.checkpoints.verification import Finding
from ccdr.evidence.history.kinds import LOGS, NOT_BEGUN, outcome_of_not_begun
from ccdr.evidence.ledger.ledger import PASSED_OVER, UNKNOWN
from ccdr.evidence.mappings import whole
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.verdicts import Record

NAME = "population.csv"
WRONG = "POPULATION_WRONG"
_OPEN = ("CRASHED", "RUNNING")
_NAMES = ("what", "plan", "asset", "run")
_MEASURED = ("rpo_verdict", "rto_verdict", "checks", "checks_passed")  # of a test
_ENDED = ("outcome", "ended", "count", "reason", *_MEASURED)
_SINGLE = {"missed": "MISSED", "skipped": "SKIPPED"}
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_COLUMNS = ("seq", "end_seq", "what", "plan", "asset", "run", "started", "ended", "outcome", "count", "reason")
MOST_SPELT = 20


@dataclass
class Rows:
    """The rows by the numbers of their lines: what each must tell, by a digest of it, so that years of them fit.
    `others` are those of other ledgers, by the beginning of their ids."""

    sha256: str = ""
    rows: int = 0
    closing: str = ""
    begun: dict[int, tuple[int, int | None]] = field(default_factory=dict)  # and the number of the end, if it has one
    ended: dict[int, int] = field(default_factory=dict)
    others: dict[str, Rows] = field(default_factory=dict)


def read(path: Path) -> Rows:
    """ValueError where it is no population as ccdr writes one."""
    digest, last, count = sha256(), b"", 0
    with path.open("rb") as file:
        for line in file:
            digest.update(last)
            last, count = line, count + 1
    rows, told = Rows(digest.hexdigest(), count - 2), 0
    try:
        with path.open(encoding="utf-8", newline="") as text:
            for row in _cells(csv.reader(text)):
                _take(rows, row)
                told += 1
    except (csv.Error, UnicodeDecodeError, KeyError):
        raise ValueError("is no population: a row cannot be read") from None
    if not rows.closing:
        raise ValueError("is not whole: the row that closes it is missing")
    if told != count - 1:
        raise ValueError("is no population: a row goes over several lines, or a line has several rows")
    return rows


def _cells(reader: Iterator[list[str]]) -> Iterator[dict[str, str]]:
    heading = next(reader, [])
    if not set(_COLUMNS) <= set(heading) or len(set(heading)) != len(heading):
        raise ValueError("is no population: its heading has other columns")
    for row in reader:
        if len(row) != len(heading):
            raise ValueError("is no population: a row has another number of columns")
        yield dict(zip(heading, row, strict=True))


def _take(rows: Rows, row: dict[str, str]) -> None:
    if rows.closing:
        raise ValueError("goes on behind the row that closes it")
    if row["what"] == "report" and row["outcome"] == "COMPLETE" and not row["seq"]:
        rows.closing = row["reason"]
        if row["count"] != str(rows.rows):
            raise ValueError(f"has {rows.rows} rows, and the one that closes it says {row['count'][:20]!a}")
        return
    number, of, ledger = row["seq"].partition("@")
    end_number, of_end, ledger_of_end = row["end_seq"].partition("@")
    if not _NUMBER.fullmatch(number) or not _NUMBER.fullmatch(end_number or "0"):
        raise ValueError("has a row without a number")
    if end_number and (of, ledger) != (of_end, ledger_of_end):
        raise ValueError(f"has a row that begins in one ledger, and ends in another: {row['seq'][:40]!a}")
    own = rows.others.setdefault(ledger, Rows()) if of else rows
    seq, end, names = int(number), int(end_number) if end_number else None, tuple(row[key] for key in _NAMES)
    if seq in own.begun or end in own.ended:
        raise ValueError(f"has two rows of record {row['seq'][:40]}, or of its end")
    if end is not None:
        own.begun[seq] = hash((*names, row["started"])), end
        own.ended[end] = hash((*names, *(row.get(key, "") for key in _ENDED)))
    elif row["outcome"] in _OPEN:
        own.begun[seq] = hash((*names, row["started"])), None
    else:
        told = row["reason"] if row["what"] != LOGS else ""  # in words of the report's own
        own.begun[seq] = hash((*names, row["started"], row["outcome"], row["count"], told)), None


@dataclass(frozen=True)
class _Started:
    """A run that has begun: by which record, whether that has a row, and with which record that says it ends."""

    seq: int
    has_row: bool
    end: int | None


@dataclass
class Held:
    """Give it every line of one ledger that is shown; then `close`. `within` says whether a time is in the period.
    `whole`: all lines are shown, so that each that stands for itself has a row; of a part only those of plans."""

    rows: Rows
    within: Callable[[datetime], bool]
    whole: bool = False
    of: str = ""  # behind numbers: `@1a2b3c4d` of another ledger
    wrong: list[str] = field(default_factory=list)
    _going: dict[tuple[str, ...], _Started] = field(default_factory=dict)
    _lacking: dict[int, str] = field(default_factory=dict)

    def take(self, record: Record, time: datetime) -> None:
        kind, seq = kind_of(record), int(record["seq"])
        verb, _, edge = kind.rpartition(".")
        verb = "test" if verb == "restore_test" else verb
        names = tuple(_cell(record.get(key)) for key in ("plan", "asset", "run"))
        run = (verb, *names)
        if PASSED_OVER in record:  # it has no row; that a run ended was told all the same
            if edge == "end" and record[PASSED_OVER] == UNKNOWN and (started := self._going.pop(run, None)):
                self._lacking.pop(started.seq, None)
            return
        begun, ended = self.rows.begun.pop(seq, None), self.rows.ended.pop(seq, None)
        if edge == "start":
            self._going[run] = _Started(seq, begun is not None, None if begun is None else begun[1])
            if begun is None and self.within(time):
                self._lacking[seq] = f"record {seq}{self.of} begins a run of the period that has no row"
            elif begun is not None:
                self._same(begun[0], (*run, record["time"]), seq)
            if ended is not None:
                self.wrong.append(f"a row ends with record {seq}{self.of}, which ends no run")
        elif edge == "end":
            self._end(record, run, begun, ended, within=self.within(time))
        else:
            if ended is not None:
                self.wrong.append(f"a row ends with record {seq}{self.of}, which ends no run")
            if begun is not None:
                self._single(record, begun[0], names, seq)
            elif self.within(time) and kind != LOGS and (self.whole or record.get("plan") is not None):
                self._lacking[seq] = f"record {seq}{self.of} is of the period, and has no row"

    def _end(
        self,
        record: Record,
        run: tuple[str, ...],
        begun: tuple[int, int | None] | None,
        ended: int | None,
        *,
        within: bool,
    ) -> None:
        """Its row is that of its start; where no start is known, it stands for both."""
        seq, started = int(record["seq"]), self._going.pop(run, None)
        if started is None:
            started = _Started(seq, begun is not None, None if begun is None else begun[1])
            if begun is not None:
                self._same(begun[0], (*run, record["time"]), seq)
            elif ended is None and within:
                self._lacking[seq] = f"record {seq}{self.of} ends a run of the period that has no row"
        elif begun is not None:
            self.wrong.append(f"a row begins with record {seq}{self.of}, which ends a run")
        if started.has_row and started.end is None:
            self.wrong.append(f"record {seq}{self.of} ends a run whose row says that it has no end")
        elif (ended is not None) != started.has_row or (started.has_row and started.end != seq):
            self.wrong.append(f"record {seq}{self.of} ends a run whose row says that another one does")
        elif ended is not None:
            self._same(ended, (*run, *_as_ended(run[0], record)), seq)

    def _single(self, record: Record, begun: int, names: tuple[str, ...], seq: int) -> None:
        kind = kind_of(record)
        outcome, what = "NOTED", kind
        if kind in _SINGLE:
            outcome, what = _SINGLE[kind], str(record.get("verb"))
        elif kind == NOT_BEGUN:
            what = str(record.get("verb"))
            outcome = outcome_of_not_begun(what)
        count = str(whole(record.get("count")) or 1) if kind in _SINGLE else "1"
        reason = _cell(record.get("reason")) if kind != LOGS else ""
        self._same(begun, (what, *names, record["time"], outcome, count, reason), seq)

    def _same(self, expected: int, told: tuple[str, ...], seq: int) -> None:
        if hash(told) != expected:
            self.wrong.append(f"the row of record {seq}{self.of} says something else than the record")

    def close(self) -> list[Finding]:
        """What is wrong."""
        unmet = sorted(self.rows.begun.keys() | self.rows.ended.keys())
        self.wrong += [f"there is a row of record {seq}{self.of}, and no such record is shown" for seq in unmet]
        self.wrong += self._lacking.values()
        told = self.wrong[:MOST_SPELT]
        more = len(self.wrong) - len(told)
        found = [Finding(WRONG, f"{NAME}: {text}") for text in told]
        return [*found, Finding(WRONG, f"{NAME}: and {more} more")] if more else found


def _as_ended(verb: str, record: Record) -> tuple[str, ...]:
    """What the row of a run tells of its end, as `_ENDED` names it."""
    told = _outcome(verb, record), record["time"], "1", _cell(record.get("reason"))
    if verb != "test":
        return (*told, *[""] * len(_MEASURED))
    verdicts = (of.get("verdict") if isinstance(of := record.get(key), dict) else None for key in ("rpo", "rto"))
    checks = listed if isinstance(listed := record.get("checks"), list) else []
    passed = sum(isinstance(check, dict) and check.get("status") == "PASS" for check in checks)
    return (*told, *map(_cell, verdicts), str(len(checks)), str(passed))


def _outcome(verb: str, record: Record) -> str:
    if verb == "recover":
        return "DONE" if record.get("state") == "done" else "FAILED"
    said = record.get("verdict" if verb == "test" else "result")
    return _cell(said) or "NOTED"


def _cell(value: object) -> str:
    return plain(value).encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ""


_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
# The full-width ones, too.
_FORMULA = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")


def plain(value: str) -> str:
    """As a cell tells it: on one line, and nothing that a spreadsheet takes for a formula."""
    if not value.isprintable():
        value = _BREAKS.sub(" ", value)
    if value.startswith(_FORMULA):
        value = "'" + value
    return value
