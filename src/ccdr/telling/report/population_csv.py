"""The population as CSV (RFC 4180): a row for each run, missed run and note of the period, and a row that closes it.

The digest is of all bytes before the last row, so that anybody can have it again: `head -n -1 FILE | sha256sum`. For
that, line breaks within a text are told as spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING

from ccdr.evidence.reading import meanwhile, several_processors
from ccdr.evidence.records import Record, TestEnd
from ccdr.evidence.records.values import RecordedUser
from ccdr.model.values import rfc3339, stamped
from ccdr.telling.report.runs import TEST, RecordedRun, who_began

if TYPE_CHECKING:
    from ccdr.telling.report.build import Report

COLUMNS = (
    "seq", "end_seq", "what", "plan", "asset", "run", "host", "actor", "trigger", "due", "started", "ended",
    "seconds", "outcome", "count", "reason", "snapshot", "consistent_point", "selected", "bytes", "added_bytes",
    "rpo_objective_s", "rpo_achieved_s", "rpo_verdict", "rto_objective_s", "rto_achieved_s", "rto_verdict", "rto_basis",
    "checks", "checks_passed", "findings", "left_out", "tenant", "copy", "site", "attempt", "uid", "login_uid",
    "terminal", "started_by", "sudo_user_claimed", "proof", "bytes_restored",
)  # fmt: skip

# Run ids and hashes as this program writes them: nothing in them is a formula or needs quotes.
_SAFE = re.compile("(?:[0-9]{8}T[0-9]{6}-[0-9a-f]{6})?(?:[0-9a-f]{64})?").fullmatch
_QUOTED = re.compile(r'[",\r\n]|^ | $')
_ROWS = 2000  # that are written and hashed at a time
WORTH_IT = 20_000  # runs; fewer are digested before a second process would have begun


@dataclass(frozen=True)
class PopulationDigest:
    """Rows of the population, without the heading and the closing row, and the SHA-256 of heading and rows."""

    rows: int
    sha256: str


def digest_of(runs: Sequence[RecordedRun]) -> PopulationDigest:
    digest = sha256()
    for text in _texts(runs):
        digest.update(text)
    return PopulationDigest(len(runs), digest.hexdigest())


@contextmanager
def digesting(runs: Sequence[RecordedRun]) -> Iterator[Callable[[], PopulationDigest]]:
    """Have it made while the block is carried out: a second or so for years of runs."""
    if len(runs) < WORTH_IT or not several_processors():
        yield partial(digest_of, runs)
        return
    with meanwhile(partial(digest_of, runs)) as digest:
        yield lambda: digest() or digest_of(runs)


def csv_text(report: Report) -> Iterator[bytes]:
    """The file, piece by piece."""
    yield from _texts(report.runs)
    period, head = report.period, report.ledger.verification
    about = (
        f"ccdr {report.version}; {report.command}; "
        f"period {rfc3339(period.start)} to {rfc3339(period.end)}, times in UTC; "
        f"{report.population.rows} rows before this one, their SHA-256 with the heading {report.population.sha256}; "
        f"ledger of {head.records} records, head {head.head}, {len(head.problems)} problems; "
        f"{''.join(f'read with {one.chain}, head {one.chain.head}; ' for one in report.ledger.beside)}"
        f"made {rfc3339(report.made_at)} by {report.made_by} on {report.host}"
    )
    closing = {"what": "report", "outcome": "COMPLETE", "count": str(report.population.rows), "reason": about}
    yield _encoded([joined(closing.get(column) for column in COLUMNS)])


def _texts(runs: Iterable[RecordedRun]) -> Iterator[bytes]:
    lines = [joined(COLUMNS)]
    for run in runs:
        lines.append(_line(run))
        if len(lines) >= _ROWS:
            yield _encoded(lines)
            lines = []
    yield _encoded(lines)


def _encoded(lines: Iterable[str]) -> bytes:
    # A file name that is not UTF-8 comes as lone surrogates.
    return "".join(lines).encode("utf-8", "backslashreplace")


def _line(run: RecordedRun) -> str:
    """Written by hand: a period may have hundreds of thousands of them."""
    name, snapshot = run.run or "", run.snapshot or ""
    if not _SAFE(name + snapshot):
        name, snapshot = _cell(name), _cell(snapshot)
    due, consistent = ("" if at is None else rfc3339(at) for at in (run.due, run.consistent))
    since, until = stamped(run.since), "" if run.until is None else stamped(run.until)
    end, size, added, reason, chosen = run.end_number, run.bytes, run.added, run.reason, run.selected
    of = f"@{run.ledger[:8]}" if run.ledger else ""
    return (
        f"{run.number}{of},{'' if end is None else f'{end}{of}'},{_names(run.verb, run.plan, run.asset)},{name},"
        f"{_names(run.host, run.actor, run.by)},{due},{since},{until},"
        f"{'' if run.seconds is None else round(run.seconds, 3)},{_cell(run.outcome)},{run.count},"
        f"{_cell(reason) if reason else ''},{snapshot},{consistent},{_cell(chosen) if chosen else ''},"
        f"{'' if size is None else size},{'' if added is None else added},"
        f"{_measured(run.body) if run.body is not None and run.verb == TEST else _NOT_MEASURED},{run.findings},"
        f"{_cell('; '.join(run.left_out)) if run.left_out else ''},"
        f"{_names(run.tenant, run.copy, run.site)},{'' if run.attempt is None else run.attempt},{_who(run.who)},"
        f"{run.proof or ''},{'' if run.restored is None else run.restored}\r\n"
    )


@lru_cache(4096)
def _names(*texts: str | None) -> str:
    return ",".join(map(_cell, texts))


def _who(who: RecordedUser | None) -> str:
    return _by(*who_began(who)) if who else _NOBODY


@lru_cache(4096)
def _by(uid: int | None, login: int | None, *texts: str | None) -> str:
    numbers = ("" if number is None else str(number) for number in (uid, login))
    return ",".join((*numbers, *map(_cell, texts)))


_NOBODY = "," * 4
_NOT_MEASURED = "," * 8


def _measured(body: Record) -> str:
    """A test's objectives and checks; of one that was not carried out, that there were none."""
    if not isinstance(body, TestEnd):
        return "," * 7 + "0,0"
    rpo, rto, passed = body.rpo, body.rto, sum(check.status == "PASS" for check in body.checks)
    values = [
        *((rpo.objective_s, rpo.achieved_s, rpo.verdict) if rpo else (None,) * 3),
        *((rto.objective_s, rto.achieved_s, rto.verdict, rto.basis) if rto else (None,) * 4),
        len(body.checks),
        passed,
    ]
    return ",".join("" if value is None else str(value) for value in values)


def joined(texts: Iterable[str | None]) -> str:
    """A line of CSV."""
    return ",".join(map(_cell, texts)) + "\r\n"


@lru_cache(4096)  # most are names, and come again and again
def _cell(value: str | None) -> str:
    """A text on one line, that no spreadsheet takes for a formula, quoted where it must be."""
    if not value:
        return ""
    value = plain(value)
    return '"' + value.replace('"', '""') + '"' if _QUOTED.search(value) else value


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
