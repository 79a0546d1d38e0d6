"""Is `population.csv` what the lines tell? Each row of our own ledger is held to its lines, and each run that was begun
in the period to its row. Rows of other ledgers (`17@1a2b3c4d`) are read with ours as one, and are not held to lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.checkpoints.verifying import Finding

NAME = "population.csv"
WRONG = "POPULATION_WRONG"
_OPEN = ("CRASHED", "RUNNING")
_SINGLE = {"missed": "MISSED", "skipped": "SKIPPED"}
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_COLUMNS = ("seq", "end_seq", "what", "plan", "asset", "run", "started", "ended", "outcome", "count", "reason")
MOST_SPELT = 20

Record = Mapping[str, Any]


@dataclass
class Rows:
    """The rows by the numbers of their lines: what each must tell, by a digest of it, so that years of them fit."""

    sha256: str
    rows: int
    closing: str
    begun: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)  # rows of runs that have no end


def read(path: Path) -> Rows:
    """ValueError where it is no population as ccdr writes one."""
    digest, last, count = sha256(), b"", 0
    with path.open("rb") as file:
        for line in file:
            digest.update(last)
            last, count = line, count + 1
    rows = Rows(digest.hexdigest(), count - 2, "")
    try:
        with path.open(encoding="utf-8", newline="") as text:
            for row in _cells(csv.reader(text)):
                _take(rows, row)
    except (csv.Error, UnicodeDecodeError, KeyError):
        raise ValueError("is no population: a row cannot be read") from None
    if not rows.closing:
        raise ValueError("is not whole: the row that closes it is missing")
    return rows


def _cells(reader: Iterator[list[str]]) -> Iterator[dict[str, str]]:
    heading = next(reader, [])
    if not set(_COLUMNS) <= set(heading):
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
    if "@" in row["seq"]:
        return
    if not _NUMBER.fullmatch(row["seq"]) or not _NUMBER.fullmatch(row["end_seq"] or "0"):
        raise ValueError("has a row without a number")
    seq, names = int(row["seq"]), (row["what"], row["plan"], row["asset"], row["run"])
    if row["end_seq"]:
        rows.begun[seq] = hash((*names, row["started"]))
        rows.ended[int(row["end_seq"])] = hash((*names, row["outcome"], row["ended"]))
    elif row["outcome"] in _OPEN:
        rows.begun[seq] = hash((*names, row["started"]))
        rows.open.add(seq)
    else:
        rows.begun[seq] = hash((*names, row["started"], row["outcome"]))


@dataclass
class Held:
    """Give it every line of our own ledger that is shown; then `close`. `within` says whether a time is in the
    period."""

    rows: Rows
    within: Callable[[datetime], bool]
    wrong: list[str] = field(default_factory=list)
    _going: dict[tuple[str, ...], int] = field(default_factory=dict)

    def take(self, record: Record, time: datetime) -> None:
        kind, seq = str(record["kind"]), int(record["seq"])
        verb, _, edge = kind.rpartition(".") if kind != "pause.end" else (kind, "", "")
        verb = "test" if verb == "restore_test" else verb
        names = tuple(_cell(record[key]) for key in ("plan", "asset", "run"))
        run = (verb, *names)
        begun, ended = self.rows.begun.pop(seq, None), self.rows.ended.pop(seq, None)
        if edge == "start":
            if begun is None and self.within(time):
                self.wrong.append(f"record {seq} begins a run of the period that has no row")
            elif begun is not None:
                self._going[run] = seq
                self._same(begun, (*run, record["time"]), seq)
        elif edge == "end":
            started = self._going.pop(run, None)
            if ended is not None:
                self._same(ended, (*run, _outcome(verb, record), record["time"]), seq)
                if begun is not None:  # a start is not known: it stands for both
                    self._same(begun, (*run, record["time"]), seq)
            elif started is not None and started in self.rows.open:
                self.wrong.append(f"record {seq} ends a run whose row says that it has no end")
        elif begun is not None:
            self._single(record, begun, names, seq)

    def _single(self, record: Record, begun: int, names: tuple[str, ...], seq: int) -> None:
        kind = record["kind"]
        outcome, what = "NOTED", kind
        if kind in _SINGLE:
            outcome, what = _SINGLE[kind], str(record.get("verb"))
        elif kind == "not_begun":
            what = str(record.get("verb"))
            outcome = "FAILED" if what in ("backup", "prune", "copy") else "INCONCLUSIVE"
        self._same(begun, (what, *names, record["time"], outcome), seq)

    def _same(self, expected: int, told: tuple[str, ...], seq: int) -> None:
        if hash(told) != expected:
            self.wrong.append(f"the row of record {seq} says something else than the record")

    def close(self) -> list[Finding]:
        """What is wrong."""
        unmet = sorted(self.rows.begun.keys() | self.rows.ended.keys())
        self.wrong += [f"there is a row of record {seq}, and no such record is shown" for seq in unmet]
        told = self.wrong[:MOST_SPELT]
        more = len(self.wrong) - len(told)
        found = [Finding(WRONG, f"{NAME}: {text}") for text in told]
        return [*found, Finding(WRONG, f"{NAME}: and {more} more")] if more else found


def _outcome(verb: str, record: Record) -> str:
    if verb == "recover":
        return "DONE" if record.get("state") == "done" else "FAILED"
    said = record.get("verdict" if verb == "test" else "result")
    return _cell(said) or "NOTED"


def _cell(value: object) -> str:
    return plain(value) if isinstance(value, str) else ""


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
