"""A package is written beside its place, and is put there when all of it is on disk: whole, or not at all."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr import __version__
from ccdr.evidence.checkpoints.keys import KEY, KeyRecord, keys_in
from ccdr.evidence.checkpoints.merkle import leaf_hash
from ccdr.evidence.checkpoints.notes import SigningKey
from ccdr.evidence.ledger.lines import typed_lines
from ccdr.evidence.ledger.places import lines
from ccdr.evidence.lineage.anchored import ANCHORED
from ccdr.evidence.lineage.beside import reader
from ccdr.evidence.package import bag, verifying
from ccdr.evidence.package.hidden import LINES, TREE, Stretches
from ccdr.evidence.package.sign_offs import FOLDER as SIGNED
from ccdr.evidence.package.sign_offs import readable_files_of
from ccdr.evidence.package.statements import FOLDER, Tests, envelope
from ccdr.evidence.records.schema import schemas
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.sign_offs import SIGNED_OFF
from ccdr.evidence.statements import SIGNATURE, signed_record
from ccdr.host.files import remove_tree
from ccdr.jobs.checkpoints.kept import checkpoints_in
from ccdr.jobs.checkpoints.signing_keys import current, private_of
from ccdr.jobs.in_force import kept_texts
from ccdr.jobs.package.choosing import Choice, Chosen, needed
from ccdr.jobs.package.sources import Source
from ccdr.jobs.package.tenancy import Tenancy, told_of_others
from ccdr.jobs.package.words import README, limits
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import rfc3339
from ccdr.ports.place import Progress

_EXAMINED = b'"kind":"plan.examined"'
_ANCHORED = b'"kind":"ledger.anchored"'
_LOOKED_AT = (b'"kind":"restore_test.', b'"kind":"plan.version"', SIGNATURE)


@dataclass(frozen=True)
class Told:
    """What is told of the period beside the lines: `documents` by their names below `data/`, piece by piece; the `rows`
    of the population by ledger (None: ours), as the numbers of their records; the digest of these rows."""

    documents: Mapping[str, Callable[[], Iterable[bytes]]]
    rows: Mapping[str | None, frozenset[int]]
    population: tuple[int, str] | None
    period: tuple[datetime, datetime]
    made: datetime


@dataclass(frozen=True)
class Order:
    """What was asked for."""

    choice: Choice
    tenancy: Tenancy | None
    with_plans: bool
    command: str


@dataclass
class Written:
    """What a package holds: lines shown, and all there are, by ledger."""

    lines: dict[str, tuple[int, int]] = field(default_factory=dict)
    checkpoints: int = 0
    statements: int = 0
    sign_offs: int = 0
    plan_texts: int = 0
    missing_texts: list[str] = field(default_factory=list)


def write(
    services: Services, order: Order, told: Told, found: Iterable[Source], target: Path, progress: Progress
) -> Written:
    """UsageProblem where there is something already; CcdrError where the disk refuses: then nothing is there."""
    require_room(target)
    writing = _Writing(services, order, told, target.with_name(f".{target.name}.{os.getpid()}.tmp"), progress)
    try:
        with _whole_or_not(writing.root, target):
            return writing.all_of(list(found))
    except OSError as error:
        hint = "make room there, or name another directory; nothing was left there"
        raise CcdrError(f"{target} cannot be written: {error.strerror}", hint=hint) from None


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
    told: Told
    root: Path
    progress: Progress
    done: Written = field(default_factory=Written)
    keys: list[KeyRecord] = field(default_factory=list)
    versions: dict[tuple[str, str], None] = field(default_factory=dict)
    shown_anchored: set[int] = field(default_factory=set)  # of the ledger that is written now

    def all_of(self, found: list[Source]) -> Written:
        signing = self._signing()
        for source in found:
            if self._left_out(source):
                continue
            self.progress.step(f"ledger {source.ledger[:8]}…")
            self._ledger(source, signing)
        self._key_files()
        if self.order.with_plans:
            self._plan_texts()
        for name, pieces in self.told.documents.items():
            self.progress.step(name)
            self._document(name, pieces())
        self._words(signed=signing is not None)
        self.progress.step("digests of all files")
        bag.seal(self.root, self._info(found[0].ledger))
        return self.done

    def _signing(self) -> SigningKey | None:
        known = current(self.services)
        return None if known is None else private_of(self.services.state, known.key)

    def _left_out(self, source: Source) -> bool:
        """Another host's ledger that tells of nothing that was asked for."""
        return not self.order.choice.whole and not source.ours and not self.told.rows.get(source.ledger)

    def _ledger(self, source: Source, signing: SigningKey | None) -> None:
        directory = self._directory("ledgers", source.ledger)
        (directory / "id").write_text(f"{source.ledger}\n", "ascii")
        ledger, choice = reader(source.directory), self.order.choice
        keys, _ = keys_in(reversed(list(ledger.newest(KEY))), source.ledger)
        self.keys += keys
        tests = Tests(source.ledger, source.ours)
        if choice.whole:
            shown = total = self._whole(source, directory, tests, signing)
            sizes = self._checkpoints(source, 0, total)
        else:
            rows = self.told.rows.get(None if source.ours else source.ledger, frozenset())
            chosen = Chosen(choice, rows, needed(choice, ledger))
            first = min(rows, default=1)
            anchored = {int(one["size"]): int(one["seq"]) for one in ledger.newest(ANCHORED)}
            cuts = {one for one in _sizes(source.checkpoints) if one >= first or one in anchored}
            shown, total = self._part(source, directory, chosen, cuts, (tests, signing))
            told = {size for size, seq in anchored.items() if seq in self.shown_anchored}
            sizes = self._checkpoints(source, first, total, told)
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
        for torn in source.directory.glob("torn-*.bin"):
            shutil.copyfile(torn, directory / torn.name)
        return count

    def _part(
        self, source: Source, directory: Path, chosen: Chosen, cuts: set[int], of: tuple[Tests, SigningKey | None]
    ) -> tuple[int, int]:
        stretches = Stretches()
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
                if seq in cuts:
                    tree.writelines(stretches.cut())
            tree.writelines(stretches.close())
        return stretches.kept, stretches.size

    def _of_others(self, line: bytes) -> bool:
        """How a plan's secrets are kept, where that names others' plans: it has no row either."""
        tenancy = self.order.tenancy
        return (
            tenancy is not None and _EXAMINED in line and tenancy.told_in(line.decode("utf-8", "replace")) is not None
        )

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
            record = typed_lines(line)
        except ValueError:
            return  # the verification tells of it
        if record["kind"] == "plan.version":
            self.versions[str(record["plan"]), str(record.get("digest"))] = None
        if (signed := signed_record(line)) is not None:
            self._statement(signed)
        if (made := tests.take(record, sha256(line).hexdigest())) is not None:
            (self._directory(FOLDER) / made[0]).write_bytes(envelope(made[1], signing))
            self.done.statements += 1

    def _statement(self, record: Mapping[str, Any]) -> None:
        files = {name: text for name, text in readable_files_of(record).items() if bag.is_safe(name)}
        for name, text in files.items():
            (self._directory(SIGNED) / name).write_text(text, "utf-8")
        self.done.sign_offs += bool(files) and kind_of(record) == SIGNED_OFF

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
        for one in self.keys:
            directory = self._directory("keys")
            (directory / f"{one.key.id}.pem").write_text(one.key.pem, "ascii")
            (directory / f"{one.key.id}.vkey").write_text(f"{one.key}\n", "ascii")

    def _plan_texts(self) -> None:
        for plan, digest in self.versions:
            texts = kept_texts(self.services, plan, digest)
            if texts is None:
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
                hint="leave --with-plans out: records have the digests of the texts",
            )

    def _document(self, name: str, pieces: Iterable[bytes]) -> None:
        path = self._directory() / name
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        if self.order.tenancy is not None and (told := told_of_others(path, self.order.tenancy)):
            raise CcdrError(
                f"{name} would name {told!a}, which is another tenant's plan, or a tenant: nothing was written",
                hint="it must not stand there; where that is an everyday word, too, give the other plan another name",
            )

    def _words(self, *, signed: bool) -> None:
        choice, tenancy = self.order.choice, self.order.tenancy
        plans = None if tenancy is None else sorted(choice.plans or ())
        text = limits(part=not choice.whole, plans=plans, texts=self.order.with_plans, signed=signed)
        (self._directory() / "LIMITS.txt").write_text(text, "utf-8")
        (self._directory() / "README.txt").write_text(README, "utf-8")
        directory = self._directory("schemas")
        for kind, schema in schemas().items():
            text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
            (directory / f"{kind}.json").write_text(text, "utf-8")

    def _info(self, ours: str) -> dict[str, str]:
        told, choice = self.told, self.order.choice
        counts = {name: f"{name}={shown}/{total}" for name, (shown, total) in self.done.lines.items()}
        order = [ours, *sorted(counts.keys() - {ours})]
        info = {
            "Bag-Software-Agent": f"ccdr {__version__}, Python {platform.python_version()}",
            "Bagging-Date": f"{told.made:%Y-%m-%d}",
            verifying.VERSION: bag.FORMAT,
            "Ccdr-Command": self.order.command,
            "Ccdr-Host": self.services.ledger.host,
            "Ccdr-By": self.services.ledger.actor,
            verifying.MADE: rfc3339(told.made),
            "Ccdr-Time-Zone": "UTC",
            verifying.FROM: rfc3339(told.period[0]),
            verifying.TO: rfc3339(told.period[1]),
            bag.BY_LEDGER: ours,
            verifying.SCOPE: "whole" if choice.whole else "part",
            verifying.RECORDS: " ".join(counts[name] for name in order),
            "Ccdr-Checkpoints": str(self.done.checkpoints),
            verifying.TESTS: str(self.done.statements),
        }
        if told.population is not None:
            info |= {verifying.ROWS: str(told.population[0]), verifying.ROWS_SHA256: told.population[1]}
        if choice.plans is not None:
            info[verifying.PLANS] = " ".join(sorted(choice.plans))
        if self.order.tenancy is not None:
            info[verifying.TENANT] = self.order.tenancy.tenant
        return info

    def _directory(self, *parts: str) -> Path:
        path = self.root.joinpath("data", *parts)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def _sizes(directory: Path) -> set[int]:
    return {one.size for one in checkpoints_in(directory)[0]}
