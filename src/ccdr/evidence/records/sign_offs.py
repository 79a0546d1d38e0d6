"""The record of a period that somebody has signed off."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.approvals import Nonce, SignedBy
from ccdr.evidence.records.values import Count, Digest, Record, RecordedUser, Time, Value, Word, about

Names = Annotated[list[str], about("names of plans that it is of; none: all")]


class SignedWith(Value, frozen=True, kw_only=True, gc=False):
    """Another ledger whose records are in the population: how many, and the hash of its last one."""

    ledger: Word
    records: Count
    head: Digest


class PeriodSignedOff(Record, frozen=True, kw_only=True, gc=False):
    """Somebody has signed a period off: its population, as the report has it as CSV. They signed the text that these
    values make."""

    kind: Literal["period.signed_off"]
    version: Literal[4]
    ledger: Annotated[Word, about("which ledger it is of, by its id")]
    on: Annotated[str, about("the host of that ledger")]
    begins: Annotated[Time, about("when the period begins")]
    ends: Annotated[Time, about("when it ends: what began then is not in it")]
    plans: Names = []
    rows: Annotated[Count, about("of the population")]
    population_sha256: Annotated[Digest, about("of the population's heading and rows, as CSV")]
    outcomes: Annotated[dict[str, Count], about("how many runs had each outcome; each missed run is one")]
    due: Annotated[Count, about("runs that came due by the schedules")]
    due_in_part: Annotated[bool, about("more may have been due than is known")]
    missed: Annotated[Count, about("… that did not take place")]
    findings: Annotated[Count, about("of plans and assets, at the period's end, that nobody had acknowledged")]
    acknowledged: Annotated[Count, about("… that somebody had")]
    tests_by_command: Annotated[Count, about("restore tests and negative controls that no schedule began")]
    accounts: Annotated[dict[str, Count], about("… by account; `root`: whose hand it was is not known")]
    read_with: list[SignedWith] = []
    records: Annotated[Count, about("how many records the ledger had when the text was written")]
    head: Annotated[Digest, about("… and the hash of the last one")]
    problems: Annotated[Count, about("… and how much was wrong with it, by what is known beside it")]
    ccdr: Annotated[Word, about("the version that wrote the text")]
    made: Annotated[Time, about("when the text was written")]
    nonce: Nonce
    by: SignedBy
    signers_sha256: Annotated[Digest, about("of the file of who may sign, as it was then")]
    who: RecordedUser | None = None
