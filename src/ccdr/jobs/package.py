"""A package for an auditor is written: which lines go into it, whose data they tell of, and the bag, whole or not there
at all. What it must be, evidence/package/ says.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from itertools import chain
from pathlib import Path

import orjson

from ccdr import __version__
from ccdr.evidence.checkpoints.checkpoint import SigningKey, leaf_hash
from ccdr.evidence.checkpoints.keys import KeyRecord, keys_in
from ccdr.evidence.checkpoints.verification import time_in
from ccdr.evidence.ledger.ledger import Extent, Ledger, Mark, extent_of, lines
from ccdr.evidence.lineage.comparison import is_id, reader
from ccdr.evidence.package import bag, verifying
from ccdr.evidence.package.lines import LINES, TREE, Stretches
from ccdr.evidence.package.statements import FOLDER, Tests, envelope, readable_files_of
from ccdr.evidence.package.statements import SIGN_OFFS_FOLDER as SIGNED
from ccdr.evidence.records import (
    BackupEnd,
    LedgerAnchored,
    LedgerBegin,
    LedgerCollected,
    LedgerExported,
    LedgerKey,
    LedgerLinked,
    LedgerRecovered,
    PlanVersion,
    StatementRecord,
    TestEnd,
    Unread,
    decode,
)
from ccdr.evidence.records.statements import STATEMENT, MeasurePart, PeriodPopulation
from ccdr.evidence.statements import SIGNATURE, signed_record
from ccdr.host.files import remove_tree
from ccdr.jobs.attest.other_ledgers import others
from ccdr.jobs.checkpoints.creation import current, private_of
from ccdr.jobs.checkpoints.store import checkpoints_in, directory_of
from ccdr.jobs.in_force import kept_texts
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import stamped
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Progress

# Which lines of a ledger a package shows: those of the rows of its population, and what is needed to judge them.


@dataclass(frozen=True)
class Choice:
    """What was asked for: a half-open period in UTC (None: all of it), plans (None: all), and whether it is for one
    tenant, whose package tells nothing of how the ledger itself goes on."""

    period: tuple[datetime, datetime] | None
    plans: frozenset[str] | None
    tenant: str | None = None

    @property
    def whole(self) -> bool:
        return self.period is None and self.plans is None

    def wants(self, plan: object) -> bool:
        return self.plans is None or plan in self.plans

    def has_part_in(self, of: PeriodPopulation) -> bool:
        """Of all plans it tells of others than a tenant's, too."""
        begin, end = self.period or (of.begins, of.ends)
        plans = self.plans is None or bool(
            self.plans.issuperset(of.plans) if self.tenant is not None else self.plans & {*of.plans}
        )
        within = (of.begins < end and begin < of.ends) or self.period is None
        return within and (plans if of.plans else self.tenant is None)


def needed(choice: Choice, ledger: Ledger) -> set[int]:
    """Records that are shown whatever the period: which ledger it is, its keys, the versions of plans in force as it
    begins, who has signed it off since, and (they name other hosts) how other ledgers were taken in."""
    numbers = {record.seq for kind in (LedgerBegin, LedgerKey) for record in ledger.newest(kind)}
    started = set[str]()
    for version in ledger.newest(PlanVersion):
        plan = str(version.plan)
        if choice.period is not None and version.time >= choice.period[1]:
            continue
        if choice.wants(plan) and plan not in started:
            numbers.add(version.seq)
            if choice.period is not None and version.time <= choice.period[0]:
                started.add(plan)
    numbers.update(one.seq for one in ledger.newest(StatementRecord) if _is_told(choice, one))
    numbers.update(_stood(choice, ledger))
    return numbers if choice.tenant is not None else numbers | _taken_in(ledger)


def _is_told(choice: Choice, statement: StatementRecord | Unread) -> bool:
    """What has signed the period off; of a tenant's, what is stated of all, or of this tenant."""
    if isinstance(statement, Unread):
        return False
    about = statement.about
    if isinstance(about, PeriodPopulation):
        return choice.has_part_in(about)
    of_it = isinstance(about, MeasurePart) and about.scope in (None, choice.tenant)
    return choice.tenant is not None and statement.plan is None and of_it


def _taken_in(ledger: Ledger) -> set[int]:
    """Of each ledger beside it the newest record of how it was."""
    known, numbers = set[str](), set[int]()
    for collected in ledger.newest(LedgerCollected):
        if isinstance(collected, LedgerCollected) and collected.ledger not in known:
            known.add(collected.ledger)
            numbers.add(collected.seq)
    for linked in ledger.newest(LedgerLinked):
        if isinstance(linked, LedgerLinked) and not known.issuperset(linked.ledgers):
            known.update(linked.ledgers)
            numbers.add(linked.seq)
    return numbers


def _stood(choice: Choice, ledger: Ledger) -> Iterator[int]:
    """By what each asset stood as the period began: its newest restore test and backup of each outcome, and the backup
    that was tested. Else the period would look as if nothing had been stored, or had failed, before it."""
    if choice.period is None:
        return
    seen, tested = set[tuple[str | None, ...]](), set[tuple[str | None, ...]]()
    for record in chain(ledger.newest(TestEnd), ledger.newest(BackupEnd)):
        if record.time >= choice.period[0] or not choice.wants(record.plan):
            continue
        outcome, snapshot = None, None  # of what this ccdr does not read
        if not isinstance(record, Unread):
            outcome = record.verdict if isinstance(record, TestEnd) else record.result
            snapshot = record.snapshot.id if record.snapshot else None
        ended, stored = (record.kind, record.plan, record.asset, outcome), (record.plan, record.asset, snapshot)
        if ended not in seen or (isinstance(record, BackupEnd) and stored in tested):
            seen.add(ended)
            tested.add(stored)
            yield record.seq


class Chosen:
    """Says of each line, in order, whether it is shown: those of `needed` (`always`), and what is of the period and
    of these plans, where a run belongs to the period that it began in. `first`: the number of the first
    of these, 0 before it."""

    def __init__(self, choice: Choice, always: Collection[int]) -> None:
        self._choice, self._always, self.first = choice, always, 0
        begin, end = choice.period or (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
        self._begin, self._end = (stamped(at).encode() for at in (begin, end))
        self._begun = dict[tuple[str, ...], bool]()  # runs without an end yet, and whether their start is shown

    def shows(self, seq: int, line: bytes) -> bool:
        wanted = self._wants(line)
        self.first = self.first or (seq if wanted else 0)
        return wanted or seq in self._always

    def _wants(self, line: bytes) -> bool:
        try:
            record = orjson.loads(line)
            kind, plan = str(record["kind"]), record["plan"]
            run = kind.rpartition(".")[0], str(plan), str(record["asset"]), str(record["run"])
        except (ValueError, KeyError, TypeError):
            return False
        choice = self._choice
        own = plan in choice.plans if choice.plans is not None else choice.tenant is None
        within = own and self._begin <= time_in(line) < self._end
        if kind.startswith("pause."):  # no run: one may last into the period
            return own and time_in(line) < self._end
        if kind.endswith(".start"):
            self._begun[run] = within
        elif kind.endswith(".end"):
            return self._begun.pop(run, within)
        return within


# The ledgers that a package is made of: ours as far as its newest checkpoint, and those that lie beside it.


@dataclass(frozen=True)
class Source:
    """A ledger that is read up to `extent`; `checkpoints` is where those of it lie, if any do."""

    ledger: str
    directory: Path
    extent: Extent
    checkpoints: Path
    ours: bool


def sources(services: Services, upto: Mark | None = None) -> list[Source]:
    """Ours first, `upto` a record of it. UsageProblem where it does not say which one it is."""
    own = services.lineage().ledger
    if own is None:
        raise UsageProblem(
            "there is no ledger yet that says which one it is",
            hint="`ccdr backup PLAN` writes first records",
        )
    directory, kept = services.ledger.directory, directory_of(services.state, own)
    found = [Source(own, directory, _upto(extent_of(directory), upto), kept, True)]
    known = services.lineage().beside
    for name, path in others(services.state):
        if name in known and is_id(name) and name != own:
            found.append(Source(name, path, extent_of(path), directory_of(services.state, name), False))
    return found


def _upto(extent: Extent, mark: Mark | None) -> Extent:
    """So that the package ends with its own record, whatever is written meanwhile."""
    if mark is None:
        return extent
    return {name: mark.end if name == mark.segment else size for name, size in extent.items() if name <= mark.segment}


# Whose data a plan is of, by all that was ever recorded of it, and by its files: one client's package holds nothing
# of another's.
#
# A plan is one tenant's only where nothing says otherwise. One that holds the data of several is in no one's package:
# its records of repository, prunes and versions tell of all of them.

_PLAN = re.compile(rb'","plan":"([^"\\]*)","asset":(?:"([^"\\]*)"|null),')
_TENANT = re.compile(rb'"(?:for_)?tenant":"([^"\\]*)"')
_VERSION = b'"kind":"plan.version"'
DEFAULT = "default"  # what stands where nobody says whose it is
_UNKNOWN = ""  # whose an asset is that nothing tells of


@dataclass(frozen=True)
class Tenancy:
    """`plans` are this tenant's alone; `mixed` are its and others'. `foreign` are names of others' plans and tenants,
    which nothing of a package may hold; those that are `tenants` not as a part of a name either (a host, a login).
    `own_names` are this tenant's, of its assets too: these may be as they are."""

    tenant: str
    plans: frozenset[str]
    mixed: tuple[str, ...]
    foreign: frozenset[str]
    tenants: frozenset[str] = frozenset()
    own_names: frozenset[str] = frozenset()

    def told_in(self, text: str) -> str | None:
        """The first of the others' names that stands in it."""
        if not self.foreign:
            return None
        return next((match[1] for match in self._pattern.finditer(text) if match[1] is not None), None)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Group 1 is another's name; without it, it is one of this tenant's own."""
        own, others, tenants = map(_any_of, (self.own_names, self.foreign - self.tenants, self.tenants))
        whole, part = r"(?<![\w-]){}(?![\w-])", r"(?<![^\W_]){}(?![^\W_])"
        return re.compile("|".join((whole.format(own), f"({whole.format(others)}|{part.format(tenants)})")))


def _any_of(names: Iterable[str]) -> str:
    """As a pattern; of none, one that matches nothing."""
    return f"(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True))) or '(?!)'})"


def tenancy(tenant: str, loaded: Sequence[LoadedPlan], wrong: Iterable[str], sources: Iterable[Source]) -> Tenancy:
    """`wrong` are plans whose files cannot be read: whose they are by now, nobody can tell. UsageProblem where no plan
    is this tenant's alone."""
    known = _by_records(sources)
    for plan in wrong:
        known[plan][None].add(_UNKNOWN)
    for one in loaded:
        assets = known[one.plan.plan]
        for name in (None, *one.plan.assets):  # whose it is was not said once, and is now
            assets[name] = (assets[name] - {_UNKNOWN, DEFAULT}) | {one.plan.tenant_of(name)}
    of = {plan: frozenset[str]().union(*assets.values()) for plan, assets in known.items()}
    plans = frozenset(plan for plan, tenants in of.items() if tenants == {tenant})
    mixed = tuple(sorted(plan for plan, tenants in of.items() if tenant in tenants and len(tenants) > 1))
    if not plans:
        several = f"; {', '.join(mixed)} hold the data of others, too, and tell of them" if mixed else ""
        raise UsageProblem(
            f"no plan is {tenant}'s alone{several}",
            hint="`tenant:` of a plan, or of an asset, says whose it is; a plan for each client can be told apart",
        )
    others = {name for plan, tenants in of.items() if plan not in plans for name in (plan, *tenants)}
    foreign = frozenset(others - plans - {tenant, DEFAULT, _UNKNOWN})
    tenants = foreign & frozenset[str]().union(*of.values())
    own_assets = {name for plan in plans for name in known[plan] if name is not None}
    return Tenancy(tenant, plans, mixed, foreign, tenants, frozenset({tenant, *plans, *own_assets} - foreign))


def _by_records(sources: Iterable[Source]) -> dict[str, dict[str | None, set[str]]]:
    """By plan and asset (None: the plan itself): whose its records say it is."""
    known: dict[str, dict[str | None, set[str]]] = defaultdict(lambda: defaultdict(set))
    for source in sources:
        for line in lines(source.directory, source.extent):
            if (match := _PLAN.search(line)) is None:
                continue
            assets = known[match[1].decode()]
            tenants = {one.decode() for one in _TENANT.findall(line)}
            asset = match[2].decode() if match[2] is not None else None
            if tenants:
                assets[asset] = (assets[asset] - {_UNKNOWN}) | tenants
            elif _VERSION in line:
                for name in _assets_of(line):
                    if not assets[name]:
                        assets[name] = {_UNKNOWN}
    return known


def _assets_of(line: bytes) -> Collection[str]:
    """Which a version names; what one names that this ccdr does not read, nobody can tell."""
    record = decode(line)
    return record.facts.assets if isinstance(record, PlanVersion) else (_UNKNOWN,)


def told_of_others(document: Path, tenancy: Tenancy) -> str | None:
    """Another's name in the values of a JSON document, or anywhere in a CSV; the page says the same as these."""
    if document.suffix == ".json":
        texts = _values(orjson.loads(document.read_bytes()))
    elif document.suffix == ".csv":
        with document.open(encoding="utf-8") as lines_:
            return next((name for line in lines_ if (name := tenancy.told_in(line))), None)
    else:
        return None
    return next((name for text in texts if (name := tenancy.told_in(text))), None)


def _values(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as mapping:
                waiting += mapping.values()
            case list() as items:
                waiting += items


_EXAMINED = b'"kind":"plan.examined"'
_STATED, _OF_NO_PLAN = f'"kind":"{STATEMENT}"'.encode(), b'"plan":null'
_ANCHORED = b'"kind":"ledger.anchored"'
_LOOKED_AT = (b'"kind":"restore_test.', b'"kind":"plan.version"', SIGNATURE)


@dataclass(frozen=True)
class Order:
    """What was asked for."""

    choice: Choice
    tenancy: Tenancy | None
    told: LedgerExported  # as it was recorded


def told_of(services: Services, choice: Choice, found: Sequence[Source], *, texts: bool) -> LedgerExported:
    """What the ledger is to tell of a package, before it is written there."""
    firsts = (next(reader(one.directory).as_read(), None) for one in found)
    now = services.clock.now()
    begins = min((record.time for record in firsts if record is not None), default=now)
    return LedgerExported(
        time=now,
        host=services.ledger.host,
        actor=services.ledger.actor,
        scope="whole" if choice.whole else "part",
        begins=choice.period[0] if choice.period else begins,
        ends=choice.period[1] if choice.period else None,
        plans=None if choice.plans is None else sorted(choice.plans),
        tenant=choice.tenant,
        texts=texts,
        checkpoints=len(_sizes(found[0].checkpoints)),
        ccdr=__version__,
    )


def recorded(services: Services, told: LedgerExported) -> tuple[LedgerExported, Mark]:
    """As it is in the ledger, and where: the package ends with it, so that nothing can be cut off behind it unseen.
    CcdrError where it cannot be written."""
    ref = services.ledger.write(told)
    mark = services.ledger.mark_of(ref)
    assert mark is not None  # nobody takes a record away
    record = services.ledger.at(mark)
    assert isinstance(record, LedgerExported)
    return record, mark


# What is told beside the records, made from what lies there already, and from what the bag says of itself: by their
# names below `data/`, piece by piece.
Documents = Callable[[Path, Mapping[str, str]], Mapping[str, Callable[[], Iterable[bytes]]]]


@dataclass
class PackageContents:
    """What a package holds: lines shown, and all there are, by ledger."""

    lines: dict[str, tuple[int, int]] = field(default_factory=dict)
    checkpoints: int = 0
    statements: int = 0
    sign_offs: int = 0
    plan_texts: int = 0
    missing_texts: list[str] = field(default_factory=list)


def write(
    services: Services, order: Order, documents: Documents, found: Iterable[Source], target: Path, progress: Progress
) -> PackageContents:
    """UsageProblem where there is something already; CcdrError where the disk refuses: then nothing is there."""
    require_room(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with _whole_or_not(temporary, target):
            return fill(services, order, documents, found, temporary, progress)
    except OSError as error:
        hint = "make room there, or name another directory; nothing was left there"
        raise CcdrError(f"{target} cannot be written: {error.strerror}", hint=hint) from None


def fill(
    services: Services, order: Order, documents: Documents, found: Iterable[Source], root: Path, progress: Progress
) -> PackageContents:
    """In an empty directory that nobody else reads. OSError where the disk refuses."""
    return _Writing(services, order, documents, root, progress).all_of(list(found))


def require_room(target: Path) -> None:
    """UsageProblem where a directory holds something already."""
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageProblem(f"{target} is not an empty directory", hint="name one that is not there yet")


@contextmanager
def _whole_or_not(temporary: Path, target: Path) -> Iterator[None]:
    remove_tree(temporary)
    try:
        temporary.mkdir(mode=0o700, parents=True)
        yield
        os.sync()  # one call for all of its files
        if target.exists():
            target.rmdir()  # an empty one
        temporary.rename(target)
    except BaseException:
        remove_tree(temporary)
        raise


@dataclass
class _Writing:
    services: Services
    order: Order
    documents: Documents
    root: Path
    progress: Progress
    done: PackageContents = field(default_factory=PackageContents)
    keys: list[KeyRecord] = field(default_factory=list)
    versions: dict[tuple[str, str], bool] = field(default_factory=dict)  # by plan and digest: is it ours?
    shown_anchored: set[int] = field(default_factory=set)  # of the ledger that is written now

    def all_of(self, found: list[Source]) -> PackageContents:
        signing = self._signing()
        for source in found:
            if self._left_out(source):
                continue
            self.progress.step(f"ledger {source.ledger[:8]}…")
            self._ledger(source, signing)
        self._key_files()
        if self.order.told.texts:
            self._plan_texts()
        info = verifying.info_of(self.order.told, found[0].ledger, self.done.lines)
        self.progress.step("what the records come to")
        for name, pieces in self.documents(self.root, info).items():
            self._document(name, pieces())
        self.progress.step("digests of all files")
        bag.seal(self.root, info)
        return self.done

    def _signing(self) -> SigningKey | None:
        known = current(self.services)
        return None if known is None else private_of(self.services.state, known.key)

    def _left_out(self, source: Source) -> bool:
        """Another host's ledger that tells of nothing that was asked for."""
        if self.order.choice.whole or source.ours:
            return False
        chosen = Chosen(self.order.choice, ())
        return not any(chosen.shows(seq, line) for seq, line in enumerate(lines(source.directory, source.extent), 1))

    def _ledger(self, source: Source, signing: SigningKey | None) -> None:
        directory = self._directory("ledgers", source.ledger)
        (directory / "id").write_text(f"{source.ledger}\n", "ascii")
        ledger, choice = reader(source.directory), self.order.choice
        keys, _ = keys_in(reversed(list(ledger.newest(LedgerKey))), source.ledger)
        self.keys += keys
        tests = Tests(source.ledger, source.ours)
        if choice.whole:
            shown = total = self._whole(source, directory, tests, signing)
            sizes = self._checkpoints(source, 0, total)
        else:
            chosen = Chosen(choice, needed(choice, ledger) | ({self.order.told.seq} if source.ours else set()))
            every = ledger.newest(LedgerAnchored)
            anchored = {one.size: one.seq for one in every if isinstance(one, LedgerAnchored)}
            shown, total = self._part(source, directory, chosen, anchored, (tests, signing))
            told = {size for size, seq in anchored.items() if seq in self.shown_anchored}
            sizes = self._checkpoints(source, chosen.first or 1, total, told)
        self.done.lines[source.ledger] = shown, total
        self.done.checkpoints += sizes

    def _whole(self, source: Source, directory: Path, tests: Tests, signing: SigningKey | None) -> int:
        count = 0
        for name, size in source.extent.items():
            with (directory / name).open("wb") as copy:
                for line in lines(source.directory, {name: size}):
                    copy.write(line)
                    count += 1
                    self._test(line, tests, signing)
        every = reader(source.directory).newest(LedgerRecovered)
        for name in (one.file for one in every if isinstance(one, LedgerRecovered)):
            torn = source.directory / name
            if torn.parent == source.directory and torn.is_file():
                shutil.copyfile(torn, directory / torn.name)
        return count

    def _part(
        self,
        source: Source,
        directory: Path,
        chosen: Chosen,
        anchored: Collection[int],
        of: tuple[Tests, SigningKey | None],
    ) -> tuple[int, int]:
        stretches, sizes = Stretches(), _sizes(source.checkpoints)
        self.shown_anchored.clear()
        with (directory / LINES).open("wb") as shown, (directory / TREE).open("wb") as tree:
            for seq, line in enumerate(lines(source.directory, source.extent), start=1):
                if chosen.shows(seq, line) and not self._of_others(line):
                    self._require_own(seq, line)
                    tree.writelines(stretches.keep())
                    shown.write(line)
                    self._test(line, *of)
                    if _ANCHORED in line:
                        self.shown_anchored.add(seq)
                else:
                    tree.writelines(stretches.hide(leaf_hash(line)))
                if seq in sizes and (chosen.first or seq in anchored):
                    tree.writelines(stretches.cut())
            tree.writelines(stretches.close())
        return stretches.kept, stretches.size

    def _of_others(self, line: bytes) -> bool:
        """How a plan's secrets are kept, and what is stated of all, where that names others' plans: it has no row
        either."""
        tenancy = self.order.tenancy
        if tenancy is None or not (_EXAMINED in line or (_STATED in line and _OF_NO_PLAN in line)):
            return False
        return tenancy.told_in(line.decode("utf-8", "replace")) is not None

    def _require_own(self, seq: int, line: bytes) -> None:
        """Nothing of another tenant's leaves by a sentence either."""
        tenancy = self.order.tenancy
        if tenancy is not None and (name := tenancy.told_in(line.decode("utf-8", "replace"))):
            raise CcdrError(
                f"record {seq} names {name!a}, which is another tenant's: nothing was written",
                hint="`ccdr ledger show` shows it; choose a period without it (--from, --to)",
            )

    def _test(self, line: bytes, tests: Tests, signing: SigningKey | None) -> None:
        if not any(one in line for one in _LOOKED_AT):
            return
        try:
            record = decode(line)
        except ValueError:
            return  # the verification tells of it
        if isinstance(record, PlanVersion):
            key = str(record.plan), record.digest
            self.versions[key] = self.versions.get(key, False) or tests.ours
        if (signed := signed_record(line)) is not None:
            self._statement(signed)
        if (made := tests.take(record, sha256(line).hexdigest())) is not None:
            (self._directory(FOLDER) / made[0]).write_bytes(envelope(made[1], signing))
            self.done.statements += 1

    def _statement(self, record: StatementRecord) -> None:
        files = {name: text for name, text in readable_files_of(record).items() if bag.is_safe(name)}
        for name, text in files.items():
            (self._directory(SIGNED) / name).write_text(text, "utf-8")
        self.done.sign_offs += bool(files) and isinstance(record.about, PeriodPopulation)

    def _checkpoints(self, source: Source, first: int, total: int, told: Collection[int] = ()) -> int:
        """Notes of what is in it, with what anchors them; and of before that those that a record of an anchor is
        `told` of."""
        if not source.checkpoints.is_dir():
            return 0
        count = 0
        for path in sorted(source.checkpoints.rglob("*")):
            name = path.relative_to(source.checkpoints)
            number = path.name.split(".")[0]
            size = int(number) if number.isdecimal() and number.isascii() and len(number) < 19 else -1
            if not path.is_file() or path.is_symlink() or not (first <= size <= total or size in told):
                continue
            if not bag.is_safe(str(name)):
                continue
            copy = self._directory("checkpoints", source.ledger, *name.parts[:-1]) / path.name
            shutil.copyfile(path, copy)
            count += len(name.parts) == 1
        return count

    def _key_files(self) -> None:
        for name, text in verifying.key_files(self.keys).items():
            (self._directory("keys") / name).write_bytes(text)

    def _plan_texts(self) -> None:
        for (plan, digest), ours in self.versions.items():
            texts = kept_texts(self.services, plan, digest)
            if texts is None:
                if not ours:
                    continue  # the other host has it
                self.done.missing_texts.append(f"{plan} {digest[:16]}")
                continue
            for name, text in texts.items():
                self._require_own_text(plan, name, text)
                path = Path("plans", plan, digest, name)
                self._directory(*path.parts[:-1]).joinpath(path.name).write_bytes(text)
            self.done.plan_texts += 1

    def _require_own_text(self, plan: str, name: str, text: bytes) -> None:
        """A comment, or an asset's path, may name whoever else is served."""
        tenancy = self.order.tenancy
        if tenancy is not None and (told := tenancy.told_in(text.decode("utf-8", "replace"))):
            raise CcdrError(
                f"{name} of a version of {plan} names {told!a}, which is another tenant's: nothing was written",
                hint="--without-plans leaves them out: records have their digests",
            )

    def _document(self, name: str, pieces: Iterable[bytes]) -> None:
        path = Path(name)
        path = self._directory(*path.parts[:-1]) / path.name
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        if self.order.tenancy is not None and (told := told_of_others(path, self.order.tenancy)):
            raise CcdrError(
                f"{name} would name {told!a}, which is another tenant's plan, or a tenant: nothing was written",
                hint="it must not stand there; where that is an everyday word, too, give the other plan another name",
            )

    def _directory(self, *parts: str) -> Path:
        path = self.root.joinpath("data", *parts)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def _sizes(directory: Path) -> set[int]:
    return {one.size for one in checkpoints_in(directory)[0]}
