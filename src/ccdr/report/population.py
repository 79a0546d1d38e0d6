"""The population as CSV (RFC 4180): a row for each run, missed run and note of the period, and a last row that closes it.

The digest is of all bytes before the last row, so that anybody can have it again: `head -n -1 FILE | sha256sum`. For
that, line breaks within a text are told as spaces.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ccdr.model import rfc3339
from ccdr.report.evidence import TEST, Run, listing, mapping

if TYPE_CHECKING:
    from ccdr.report.build import Report

COLUMNS = (
    "seq", "end_seq", "what", "plan", "asset", "run", "host", "actor", "trigger", "due", "started", "ended",
    "seconds", "outcome", "count", "reason", "snapshot", "consistent_point", "selected", "bytes", "added_bytes",
    "rpo_objective_s", "rpo_achieved_s", "rpo_verdict", "rto_objective_s", "rto_achieved_s", "rto_verdict", "rto_basis",
    "checks", "checks_passed", "findings",
)  # fmt: skip

_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the full-width ones too
_ROWS = 2000  # that are written and hashed at a time


@dataclass(frozen=True)
class Digest:
    """Rows of the population, without the heading and the closing row, and the SHA-256 of heading and rows."""

    rows: int
    sha256: str


def digest_of(runs: Sequence[Run]) -> Digest:
    digest = sha256()
    for text in _texts(runs):
        digest.update(text)
    return Digest(len(runs), digest.hexdigest())


def csv_text(report: Report) -> Iterator[bytes]:
    """The file, piece by piece."""
    yield from _texts(report.runs)
    period, head = report.period, report.ledger.verification
    about = (
        f"ccdr {report.version}; {report.command}; period {rfc3339(period.start)} to {rfc3339(period.end)}, times in UTC; "
        f"{report.population.rows} rows before this one, their SHA-256 with the heading {report.population.sha256}; "
        f"ledger of {head.records} records, head {head.head}, {len(head.problems)} problems; "
        f"made {rfc3339(report.made_at)} by {report.made_by} on {report.host}"
    )
    closing: list[Any] = [""] * len(COLUMNS)
    for column, value in (("what", "report"), ("outcome", "COMPLETE"), ("count", report.population.rows), ("reason", about)):
        closing[COLUMNS.index(column)] = _cell(value) if isinstance(value, str) else value
    yield _written([closing])


def _cell(value: str) -> str:
    """A text that no spreadsheet takes for a formula, on one line."""
    if not value.isprintable():
        value = _BREAKS.sub(" ", value)
    return "'" + value if value.startswith(_FORMULA) else value


def _texts(runs: Iterable[Run]) -> Iterator[bytes]:
    rows: list[Sequence[Any]] = [COLUMNS]
    for run in runs:
        rows.append(_row(run))
        if len(rows) >= _ROWS:
            yield _written(rows)
            rows = []
    yield _written(rows)


def _written(rows: Iterable[Sequence[Any]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(rows)
    # A file name that is not UTF-8 comes as lone surrogates.
    return file.getvalue().encode("utf-8", "backslashreplace")


def _row(run: Run) -> Sequence[Any]:
    texts = (run.plan, run.asset, run.run, run.host, run.actor, run.by, run.due)
    return (
        run.seq, run.end_seq, _cell(run.verb), *[t and _cell(t) for t in texts],
        _time(run.started), run.ended and _time(run.ended), None if run.seconds is None else round(run.seconds, 3),
        _cell(run.outcome), run.count, run.reason and _cell(run.reason), run.snapshot and _cell(run.snapshot),
        run.consistent, run.selected and _cell(run.selected), run.bytes, run.added, *_measured(run), run.findings,
    )  # fmt: skip


_NOTHING = (None,) * 9


def _measured(run: Run) -> Sequence[Any]:
    """A test's objectives and checks."""
    if run.verb != TEST or run.body is None:
        return _NOTHING
    rpo, rto = mapping(run.body.get("rpo")), mapping(run.body.get("rto"))
    listed = [mapping(check) for check in listing(run.body.get("checks"))]
    values = [
        *(rpo.get(key) for key in ("objective_s", "achieved_s", "verdict")),
        *(rto.get(key) for key in ("objective_s", "achieved_s", "verdict", "basis")),
        len(listed),
        sum(c.get("status") == "PASS" for c in listed),
    ]
    return [_cell(v) if isinstance(v, str) else v if isinstance(v, (int, float)) else None for v in values]


def _time(moment: datetime) -> str:
    return rfc3339(moment)
