"""What a package tells beside its records, statements and texts, made from its own directory and the moment that it
names: by whoever writes it, and anew by whoever verifies it. Never from the state of a host, nor from /etc: whose a
statement is, says the file of who may sign that a verifier brings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import orjson

from ccdr import __version__
from ccdr.evidence.checkpoints.verification import Finding
from ccdr.evidence.ledger.ledger import BEGINNING, Ledger, Mark
from ccdr.evidence.ledger.verification import Verification
from ccdr.evidence.lineage.comparison import reader, with_what_lies_beside
from ccdr.evidence.lineage.own_records import LEDGERS, Lineage, fold
from ccdr.evidence.package.bag import BY_LEDGER, DATA, INFO, info_text
from ccdr.evidence.package.lines import TREE
from ccdr.evidence.package.verifying import (
    AGENT,
    BY,
    COMMAND,
    FOLDERS,
    FROM,
    HOST,
    MADE,
    PLANS,
    SCOPE,
    TENANT,
    TEXTS,
    TO,
    PackageChecked,
)
from ccdr.evidence.package.words import README, limits
from ccdr.evidence.population import Chain, Population, population
from ccdr.evidence.records import LedgerExported
from ccdr.evidence.records.schema import schemas
from ccdr.host.processes import Host
from ccdr.host.state import State
from ccdr.jobs.checkpoints.creation import current, make
from ccdr.jobs.package import recorded
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import rfc3339, stamped, utc
from ccdr.plans.anchors import anchors_beside
from ccdr.sandbox.docker import Docker
from ccdr.sandbox.lab import Lab
from ccdr.storage.catalogue import Catalogue
from ccdr.telling.anchoring import anchor_newest
from ccdr.telling.controls import Asked
from ccdr.telling.report.build import Report, make_report
from ccdr.telling.report.document import json_lines
from ccdr.telling.report.page import html
from ccdr.telling.report.period import Period
from ccdr.telling.report.population_csv import csv_text

NOT_AS_RECORDED = "NOT_AS_RECORDED"
_WORDS = "README.txt", "LIMITS.txt"

Pieces = Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class _Moment:
    """The clock of a package: it stands."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


@dataclass(frozen=True)
class _InPackage(Services):
    """What a package's own directory holds, where a host has its state."""

    part: bool = False
    tenant: bool = False

    def lineage(self) -> Lineage:
        own = fold(self.ledger.of_itself(BEGINNING))
        return own if self.part else with_what_lies_beside(self.state, own)

    def population(self) -> Population:
        return Population(tuple(self._shown())) if self.part else population(self.state, self.lineage)

    def _shown(self) -> Iterator[Chain]:
        """Of a part what is shown of each; a tenant's has no record of how it was taken in."""
        own = self.lineage()
        for directory in sorted((self.state.root / LEDGERS).iterdir()):
            last = next(reader(directory).as_read(reverse=True), None)
            known = own.beside.get(directory.name)
            if directory == self.ledger.directory or last is None or (known is None and not self.tenant):
                continue
            host, until = last.host, stamped(last.time)
            if known is None:
                taken = rfc3339(self.clock.now())
                yield Chain(directory.name, directory, last.seq, "", taken, False, host, until)
            else:
                of = known.records, known.head, known.at, known.linked
                yield Chain(directory.name, directory, *of, host, until, known.apart)


def services_of(root: Path, info: Mapping[str, str]) -> _InPackage:
    """At the moment that it names. ValueError where it names none."""
    data = root / DATA
    clock, state, host = _Moment(utc(info[MADE])), State(data), Host()
    own = Ledger(data / LEDGERS / info[BY_LEDGER], clock, host=info[HOST], actor=info[BY])
    return _InPackage(
        clock=clock,
        state=state,
        ledger=own,
        catalogue=Catalogue(data / "catalogue"),
        lab=Lab(Docker(clock, ""), host),
        host=host,
        in_package=True,
        part=info[SCOPE] != "whole",
        tenant=TENANT in info,
    )


def begin_of(root: Path) -> datetime | None:
    """Of when the first record is that a package holds."""
    firsts = (next(reader(one).as_read(), None) for one in sorted((root / DATA / LEDGERS).iterdir()))
    return min((record.time for record in firsts if record is not None), default=None)


def report_of(root: Path, info: Mapping[str, str], asked: Asked | None = None) -> Report:
    """What its records, and the texts of its plans, come to. KeyError or ValueError where the bag does not say of what
    it is; CcdrError where its records cannot be read."""
    services = services_of(root, info)
    period = Period(utc(info[FROM]), utc(info[TO]), until_now=False)
    made = make_report(
        [],
        services,
        period,
        named=info.get(PLANS, "").split(),
        command=info[COMMAND],
        whole=True,
        asked=asked,
        signers=None,
        shown=_as_shown(services) if services.part else None,
    )
    directory = Path(DATA, LEDGERS, info[BY_LEDGER])
    ledger = replace(made.ledger, directory=directory, elsewhere=None)
    return replace(made, ledger=ledger, version=info[AGENT].removeprefix("ccdr "))


def _as_shown(services: _InPackage) -> Verification:
    """Of a part: that it is one of the ledger's, the tree shows."""
    count, times, head = 0, list[datetime](), ""
    for record in services.ledger.as_read():
        count += 1
        times = [min([*times, record.time]), max([*times, record.time])]
    note = f"a part of the ledger: {TREE} has hashes of the other records"
    first, last = times or (None, None)
    return Verification(count, first, last, head, 0, (), (note,), (), 0)


def documents_of(root: Path, info: Mapping[str, str], report: Report) -> dict[str, Pieces]:
    """All that is told, by their names below `data/`, piece by piece."""
    controls = None if report.controls is None else report.controls.as_json()
    signed = any((root / DATA / "keys").glob("*.pem"))
    plans = info[PLANS].split() if TENANT in info else None
    words = README, limits(part=info[SCOPE] != "whole", plans=plans, texts=info[TEXTS] != "none", signed=signed)
    made: dict[str, Pieces] = {
        "population.csv": lambda: csv_text(report),
        "report.json": lambda: json_lines(report),
        "report.html": lambda: html(report),
        "controls.json": lambda: (orjson.dumps(controls, option=orjson.OPT_INDENT_2) + b"\n",),
    }
    texts = dict(zip(_WORDS, words, strict=True))
    for kind, schema in schemas().items():
        texts[f"schemas/{kind}.json"] = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    return {**made, **{name: _as_pieces(text) for name, text in texts.items()}}


def told_by_records(root: Path, info: Mapping[str, str]) -> Mapping[str, Pieces]:
    return documents_of(root, info, report_of(root, info))


def closed(
    services: Services, told: LedgerExported, plans: Path
) -> tuple[LedgerExported, Mark | None, Sequence[CcdrError]]:
    """So that a package ends with its own record, and a checkpoint of that, which the anchors beside `plans` hold: that
    record, where it is (None: it could not be written), and what could not be done."""
    mark, lacks = None, list[CcdrError]()
    try:
        told, mark = recorded(services, told)
        if current(services) is not None:
            make(services, upto=told.seq)
            made = anchor_newest(tuple(anchors_beside(plans)), services, services.lineage(), every=True)
            lacks += [CcdrError(f"the anchor {one.name} does not hold it: {one.why}") for one in made if one.why]
    except CcdrError as error:
        lacks.append(error)
    return told, mark, lacks


def _as_pieces(text: str) -> Pieces:
    return lambda: (text.encode(),)


@dataclass
class MadeAnew:
    """What came of it. `unproven` are sentences."""

    findings: list[Finding] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    documents: Mapping[str, Pieces] = field(default_factory=dict)
    report: Report | None = None


def _sha256(pieces: Iterable[bytes]) -> str:
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def made_anew(root: Path, checked: PackageChecked) -> MadeAnew:
    """All that is told beside the records, made from them and compared with what the package has, byte by byte. What
    another version of ccdr made otherwise, this one cannot judge. What else lies there belongs to nothing. CcdrError
    where its records cannot be read."""
    found, payload, info = MadeAnew(), checked.payload, checked.told or checked.info
    try:
        report = found.report = report_of(root, info)
        found.documents = documents_of(root, info, report)
        if info[SCOPE] == "whole" and (
            {PLANS, TENANT} & info.keys() or (utc(info[FROM]), info[TO]) != (begin_of(root), info[MADE])
        ):
            found.findings.append(Finding("PACKAGE_INFO_WRONG", f"{INFO}: that is not all that there is"))
    except (KeyError, ValueError, OverflowError, UsageProblem):
        found.findings.append(Finding("PACKAGE_INFO_WRONG", f"{INFO} does not say of what, by whom and when it is"))
        return found
    made = {f"{DATA}/{name}": _sha256(pieces()) for name, pieces in found.documents.items()}
    other = [path for path, digest in made.items() if payload.get(path) != digest]
    if checked.told is not None and (root / INFO).read_text("utf-8") != info_text(root, checked.told):
        other.append(INFO)
    if checked.version in (None, __version__):
        found.findings += [Finding(NOT_AS_RECORDED, f"{path} is not what ccdr makes of the records") for path in other]
    elif other:
        found.unproven.append(
            f"{', '.join(other)}: ccdr {checked.version} wrote it, and this ccdr {__version__} makes something else of "
            f"the records: install ccdr {checked.version}, and verify with it"
        )
    for one in report.sign_offs:
        if one.fits is False and not one.again:
            text = f"record {one.record} signs a period off for another population than the rows of it that are here"
            found.findings.append(Finding("SIGN_OFF_OF_OTHERS", text, one.record))
    for path in sorted(payload.keys() - made.keys()):
        if path.removeprefix(f"{DATA}/").split("/")[0] not in FOLDERS:
            found.findings.append(Finding("PACKAGE_FILE_EXTRA", f"{path} is nothing that a package has: it was added"))
    return found
