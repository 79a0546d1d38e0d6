"""The sign-off of a period: what is signed, and what a record tells of it. Pure.

What is signed names the whole population of the period by its rows and their SHA-256, as the CSV report has them, and
says what it comes to: a person reads it before they sign. Whoever has the same ledger can have the same rows again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ccdr.evidence.approvals import NONCE, SHA256, WORD, misfit, read, written
from ccdr.model.values import rfc3339, utc

SIGNED_OFF = "period.signed_off"  # the record's kind
NAMESPACE = "ccdr-sign-off"  # what is signed for: a key may be restricted to it in allowed_signers
ALL = "(all)"  # no plan is called so
ROOT = "root"
UNREADABLE = "(not a name)"  # another hand's record may hold anything, and this goes into what somebody signs
MOST = 1000  # accounts, plans or ledgers that one text names

Counts = tuple[tuple[str, int], ...]  # by name, in the order of names


@dataclass(frozen=True)
class ReadWith:
    """Another ledger whose records are in the population: as many, the last of this hash."""

    ledger: str
    records: int
    head: str


@dataclass(frozen=True)
class ToSignOff:
    """A period's population, as it is signed: from `start` up to, and without, `end`.

    `plans` are those that it is of; none: all. `outcomes` count rows, each missed run on its own. `due` came due by the
    schedules, `missed` of that did not take place; `due_in_part`: more may have been due than is known. `findings` are
    those of plans and assets at the period's end that nobody has acknowledged. `tests` were begun by a command, not by
    schedule; `accounts` say by whose, root where nobody can tell whose hand it was. `records` and `head` are the
    ledger's when the text was written, `problems` what was wrong with it by what is known beside it.
    """

    ledger: str
    host: str
    start: datetime
    end: datetime
    plans: tuple[str, ...]
    rows: int
    sha256: str
    outcomes: Counts
    due: int
    due_in_part: bool
    missed: int
    findings: int
    acknowledged: int
    tests: int
    accounts: Counts
    beside: tuple[ReadWith, ...]
    records: int
    head: str
    problems: int
    version: str
    made: datetime
    nonce: str

    TO = "sign a period off"

    def text(self) -> str:
        return written(
            (
                ("to", self.TO),
                ("ledger", self.ledger),
                ("host", self.host),
                ("from", rfc3339(self.start)),
                ("before", rfc3339(self.end)),
                *(("plan", name) for name in self.plans or (ALL,)),
                ("rows", str(self.rows)),
                ("population", self.sha256),
                *(("outcome", f"{name} {count}") for name, count in self.outcomes),
                ("due", f"{self.due}{' at least' if self.due_in_part else ''}"),
                ("missed", str(self.missed)),
                ("findings", str(self.findings)),
                ("acknowledged", str(self.acknowledged)),
                ("tests-by-command", str(self.tests)),
                *(("by-account", f"{name} {count}") for name, count in self.accounts),
                *(("read-with", f"{one.ledger} {one.records} {one.head}") for one in self.beside),
                ("records", str(self.records)),
                ("head", self.head),
                ("problems", str(self.problems)),
                ("ccdr", self.version),
                ("made", rfc3339(self.made)),
                ("nonce", self.nonce),
            )
        )

    @classmethod
    def read(cls, text: str) -> ToSignOff:
        """UsageProblem where it is none."""
        lines = read(text, cls.TO)
        of = dict(lines)

        def every(key: str) -> list[str]:
            return [value for one, value in lines if one == key]

        def counted(key: str) -> Counts:
            return tuple((name, int(count)) for name, _, count in (value.rpartition(" ") for value in every(key)))

        try:
            due, _, in_part = of["due"].partition(" ")
            beside = (value.split(" ") for value in every("read-with"))
            one = cls(
                ledger=of["ledger"],
                host=of["host"],
                start=utc(of["from"]),
                end=utc(of["before"]),
                plans=tuple(name for name in every("plan") if name != ALL),
                rows=int(of["rows"]),
                sha256=of["population"],
                outcomes=counted("outcome"),
                due=int(due),
                due_in_part=bool(in_part),
                missed=int(of["missed"]),
                findings=int(of["findings"]),
                acknowledged=int(of["acknowledged"]),
                tests=int(of["tests-by-command"]),
                accounts=counted("by-account"),
                beside=tuple(ReadWith(ledger, int(records), head) for ledger, records, head in beside),
                records=int(of["records"]),
                head=of["head"],
                problems=int(of["problems"]),
                version=of["ccdr"],
                made=utc(of["made"]),
                nonce=of["nonce"],
            )
        except (KeyError, ValueError, OverflowError):
            raise misfit() from None
        digests = all(SHA256.fullmatch(one) for one in (one.sha256, one.head, *(o.head for o in one.beside)))
        words = all(WORD.fullmatch(word) for word in (one.ledger, one.version))
        if one.text() != text or not digests or not words or not NONCE.fullmatch(one.nonce):
            raise misfit()
        return one

    def body(self) -> dict[str, object]:
        """For a record."""
        return {
            "ledger": self.ledger,
            "on": self.host,
            "begins": rfc3339(self.start),
            "ends": rfc3339(self.end),
            "plans": list(self.plans),
            "rows": self.rows,
            "population_sha256": self.sha256,
            "outcomes": dict(self.outcomes),
            "due": self.due,
            "due_in_part": self.due_in_part,
            "missed": self.missed,
            "findings": self.findings,
            "acknowledged": self.acknowledged,
            "tests_by_command": self.tests,
            "accounts": dict(self.accounts),
            "read_with": [{"ledger": one.ledger, "records": one.records, "head": one.head} for one in self.beside],
            "records": self.records,
            "head": self.head,
            "problems": self.problems,
            "ccdr": self.version,
            "made": rfc3339(self.made),
            "nonce": self.nonce,
        }

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> ToSignOff:
        """What the signature of a record is of."""
        return cls(
            ledger=str(record["ledger"]),
            host=str(record["on"]),
            start=utc(record["begins"]),
            end=utc(record["ends"]),
            plans=tuple(map(str, record["plans"])),
            rows=int(record["rows"]),
            sha256=str(record["population_sha256"]),
            outcomes=tuple(sorted(record["outcomes"].items())),
            due=int(record["due"]),
            due_in_part=bool(record["due_in_part"]),
            missed=int(record["missed"]),
            findings=int(record["findings"]),
            acknowledged=int(record["acknowledged"]),
            tests=int(record["tests_by_command"]),
            accounts=tuple(sorted(record["accounts"].items())),
            beside=tuple(
                ReadWith(str(one["ledger"]), int(one["records"]), str(one["head"])) for one in record["read_with"]
            ),
            records=int(record["records"]),
            head=str(record["head"]),
            problems=int(record["problems"]),
            version=str(record["ccdr"]),
            made=utc(record["made"]),
            nonce=str(record["nonce"]),
        )

    @property
    def not_known(self) -> int:
        """How many tests were begun by a command of an account that says nothing of a person."""
        return sum(count for name, count in self.accounts if not names_somebody(name))

    @property
    def told_of_not_known(self) -> str:
        """The same for people; empty where each names somebody."""
        if not self.not_known:
            return ""
        which = f"{self.not_known} of {self.tests} tests that no schedule began were begun as root"
        return f"{which}, or by an account without a name here: by whom is not known"


def names_somebody(account: str) -> bool:
    """`root` is whoever has its rights; `uid 1001` is of a host that is not here."""
    return account not in (ROOT, UNREADABLE) and not account.startswith("uid ")


def person(name: str) -> str:
    """Who an account, or a name in the file of signers, is: `alice` of `alice@db1`, and of `Alice@example.com`."""
    return name.rpartition("\\")[2].partition("@")[0].casefold()
