"""A plan's register of erasures, as it lies in its repository: two small files in a snapshot of their own; how far it
went, by all that says so beside it; what is shown of each entry.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records import ErasureAdd
from ccdr.host.files import write_durably
from ccdr.host.state_files import StateFile, decoded, made_of, plain, write_state
from ccdr.jobs.services import Services
from ccdr.model.erasure import (
    NO_HASH,
    RULE_VERSION,
    EntryState,
    Looked,
    RegisterHead,
    Selector,
    Wanted,
    person_called,
    pseudonym,
)
from ccdr.model.errors import BackupBad, CcdrError, require_format
from ccdr.model.instant import Instant
from ccdr.model.values import Manifest, Snapshot
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import as_in_file
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.restic import Restic

# `register.jsonl` is a hash chain, one line an entry, which names nobody. `selectors.json` has by what each is found,
# the salt of the digest that its line has of that, and the key of the pseudonyms: apart, so that a selector can be
# taken out one day without breaking the chain. Each snapshot holds the whole register; the one with most entries
# counts. restic encrypts both, as all that it stores.

ERASURES = "erasures"  # the kind of a snapshot that holds a register
CHAIN, SELECTORS = "register.jsonl", "selectors.json"
FORMAT = 2


class RegisterBad(CcdrError):
    """A register is missing, or is not what it should be: nobody can tell whom it would have erased."""


@dataclass(frozen=True)
class Entry:
    """One person in one asset. `erased_at` is when they were erased at the source; of a canary, when it was planted.
    `withdraws`: the id of an entry that was wrong, and is replayed no more; it names nobody itself. `person`: a keyed
    digest of what the owner calls them by, which their entries in other assets have too."""

    id: str
    asset: str
    what: str
    canary: bool
    erased_at: Instant
    added_at: Instant
    pseudonym: str
    selector_sha256: str
    rule_version: int
    withdraws: str | None = None
    person: str | None = None

    def line(self, prev: str) -> str:
        return _line(plain(self) | {"prev": prev})


class RegisterOpening(msgspec.Struct, frozen=True):
    """The first line of the chain."""

    register: str
    plan: str
    key_sha256: str
    prev: str = NO_HASH
    format: int = FORMAT


class Apart(StateFile, frozen=True):
    """SELECTORS: the key of the pseudonyms; by the entry's id the salt of its selector's digest, and the selector."""

    key: str
    selectors: dict[str, tuple[str, Selector]]


@dataclass(frozen=True)
class Register:
    """`heads` has the head after each entry: `heads[0]` is that of an empty one."""

    plan: str
    name: str
    key: str = field(repr=False)
    lines: tuple[str, ...]
    entries: tuple[Entry, ...]
    selectors: Mapping[str, tuple[str, Selector]] = field(repr=False)  # by the entry's id: salt, selector

    @classmethod
    def begin(cls, plan: str) -> Register:
        name, key = secrets.token_hex(8), secrets.token_hex(32)
        return cls(plan, name, key, (_line(plain(RegisterOpening(name, plan, _key_digest(key)))),), (), {})

    @property
    def head(self) -> RegisterHead:
        return RegisterHead(self.name, len(self.entries), _hash(self.lines[-1]))

    def agrees(self, head: RegisterHead) -> bool:
        """Is it that register, and did it look so when it had as many entries?"""
        if head.register != self.name or head.entries >= len(self.lines):
            return False
        return _hash(self.lines[head.entries]) == head.hash

    def added(
        self, selector: Selector, erased_at: datetime, now: datetime, *, canary: bool, person: str | None = None
    ) -> Register:
        salt = secrets.token_hex(16)
        entry = Entry(
            f"e-{len(self.entries) + 1:06}",
            selector.asset,
            selector.what,
            canary,
            erased_at,
            now,
            pseudonym(self.key, selector),
            _salted(salt, selector),
            RULE_VERSION,
            person=None if person is None else person_called(self.key, person),
        )
        return Register(
            self.plan,
            self.name,
            self.key,
            (*self.lines, entry.line(_hash(self.lines[-1]))),
            (*self.entries, entry),
            {**self.selectors, entry.id: (salt, selector)},
        )

    def withdrawn(self, entry: Entry, now: datetime) -> Register:
        """The same without this entry: it stays in the chain, and by what it finds somebody is taken out."""
        number = len(self.entries) + 1
        note = replace(entry, id=f"e-{number:06}", added_at=now, withdraws=entry.id)
        selectors = {one: kept for one, kept in self.selectors.items() if one != entry.id}
        lines = (*self.lines, note.line(_hash(self.lines[-1])))
        return Register(self.plan, self.name, self.key, lines, (*self.entries, note), selectors)

    @property
    def standing(self) -> list[Entry]:
        """Those that are replayed."""
        withdrawn = {one.withdraws for one in self.entries}
        return [one for one in self.entries if one.withdraws is None and one.id not in withdrawn]

    def standing_one(self, entry: str) -> Entry | None:
        return next((one for one in self.standing if one.id == entry), None)

    def same(self, selector: Selector) -> Entry | None:
        """An entry of the same person."""
        digest = pseudonym(self.key, selector)
        return next((one for one in self.standing if one.pseudonym == digest), None)

    def of_person(self, entry: Entry) -> list[Entry]:
        """The entry, and those of the same person in other assets, as far as the owner has said so."""
        return [one for one in self.standing if one == entry or (entry.person and one.person == entry.person)]

    def of(self, asset: str) -> list[Entry]:
        return [one for one in self.standing if one.asset == asset]

    def wanted(self, entries: Iterable[Entry], *, canaries_stay: bool = False) -> list[Wanted]:
        """By what they are found. RegisterBad where one needs a newer ccdr."""
        newer = next((one for one in entries if one.rule_version > RULE_VERSION), None)
        if newer is not None:
            raise RegisterBad(
                f"entry {newer.id} of the register of erasures was written by a newer ccdr", hint="upgrade ccdr here"
            )
        return [Wanted(one.id, self.selectors[one.id][1], canaries_stay and one.canary) for one in entries]

    # --- as files -------------------------------------------------------------------------------------

    def write(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(directory / CHAIN, "".join(self.lines))
        write_state(directory / SELECTORS, Apart(self.key, dict(self.selectors)))

    @classmethod
    def read(cls, plan: str, chain: str, selectors: str) -> Register:
        """RegisterBad where it is not as ccdr writes one, to the last byte."""
        try:
            return cls._read(plan, chain, selectors)
        except (ValueError, RecursionError) as error:
            raise RegisterBad(
                f"the register of erasures of {plan} does not verify ({type(error).__name__})", hint=FROM_ELSEWHERE
            ) from None

    @classmethod
    def _read(cls, plan: str, chain: str, selectors: str) -> Register:
        *whole, torn = chain.split("\n")
        if torn:
            raise ValueError("its last line is torn")
        lines = tuple(f"{line}\n" for line in whole)
        head, *rest = [made_of(json.loads(line), dict[str, Any]) for line in lines]
        prev = NO_HASH
        for line, body in zip(lines, (head, *rest), strict=True):
            if body.get("prev") != prev:
                raise ValueError("the chain is broken")
            prev = _hash(line)
        require_format(f"the register of erasures of {plan}", head.get("format"), FORMAT)
        first, apart = made_of(head, RegisterOpening), decoded(selectors, Apart)
        if (first.plan, first.key_sha256) != (plan, _key_digest(apart.key)):
            raise ValueError("it is another plan's")
        entries = tuple(made_of(body, Entry) for body in rest)
        made = cls(plan, first.register, apart.key, lines, entries, {})
        if any(one.id != f"e-{number:06}" for number, one in enumerate(entries, 1)):
            raise ValueError("an entry is not where it was")
        found = {one.id: apart.selectors[one.id] for one in made.standing if one.id in apart.selectors}
        for one in made.standing:
            if one.id not in found:
                raise ValueError("an entry has no selector")
            salt, selector = found[one.id]
            claimed = (selector.asset, selector.what, pseudonym(apart.key, selector))
            if claimed != (one.asset, one.what, one.pseudonym) or _salted(salt, selector) != one.selector_sha256:
                raise ValueError("a selector is not the entry's")
        return replace(made, selectors=found)


FROM_ELSEWHERE = (
    "look for it at a copy (`--from SITE`); where there is none, hand it over by --despite-erasures WHY, "
    "and erase by hand: docs/how-to/erase.md"
)


def head_of(snapshot: RepoSnapshot) -> RegisterHead | None:
    """What a snapshot's tags say of the register: that it holds it, or (of a backup) how far it went then."""
    try:
        return RegisterHead.read(snapshot.tag("erasures") or "")
    except ValueError:
        return None


def stored_in(listed: Sequence[RepoSnapshot], plan: str) -> list[RepoSnapshot]:
    """Snapshots that hold the plan's register, the one with most entries last."""
    ours = [s for s in listed if s.tag("kind") == ERASURES and s.tag("plan") == plan and head_of(s) is not None]
    return sorted(ours, key=lambda s: (_entries(s), s.time, s.id))


def _entries(snapshot: RepoSnapshot) -> int:
    head = head_of(snapshot)
    return head.entries if head is not None else -1


def stored_register(repo: Restic, listed: Sequence[RepoSnapshot], plan: str) -> Register | None:
    """The newest that the repository holds; None where it holds none. RegisterBad where that cannot be trusted;
    other errors where the repository does not answer."""
    there = stored_in(listed, plan)
    if not there:
        return None
    root = PurePosixPath(there[-1].paths[0]) if there[-1].paths else PurePosixPath("/")
    try:
        chain, selectors = (repo.read(there[-1].id, root / name) for name in (CHAIN, SELECTORS))
    except BackupBad:
        raise RegisterBad(
            f"the register of erasures of {plan} cannot be read from the repository", hint=FROM_ELSEWHERE
        ) from None
    register = Register.read(plan, chain, selectors)
    if register.head != head_of(there[-1]):
        raise RegisterBad(
            f"the register of erasures of {plan} is not the one that its snapshot is said to hold", hint=FROM_ELSEWHERE
        )
    return register


def store(register: Register, repo: Restic, directory: Path, told: Mapping[str, str]) -> str:
    """Its snapshot's id. `directory` is private, and removed by whoever made it."""
    register.write(directory)
    tags = [OURS, f"kind={ERASURES}", f"plan={register.plan}", f"erasures={register.head}"]
    tags += [f"{key}={value.replace(',', ' ')}" for key, value in told.items()]  # restic takes a comma for two tags
    return repo.backup([directory.absolute()], tags=tags).id


def _line(body: Mapping[str, object]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":")) + "\n"


def _hash(line: str) -> str:
    return sha256(line.encode()).hexdigest()


def _key_digest(key: str) -> str:
    return sha256(bytes.fromhex(key)).hexdigest()


def _salted(salt: str, selector: Selector) -> str:
    return sha256(f"{salt}\n{selector.canonical}".encode()).hexdigest()


# How far a plan's register of erasures went, by all that says so beside it: the ledger, the manifests and tags of
# backups. A register that is shorter, or another, is not the one.


def vouched_for(ledger: Ledger, repo: Restic, listed: Sequence[RepoSnapshot], plan: str) -> RegisterHead | None:
    """How far a backup says that the register went; None where there never was one. What neither this host's ledger nor
    an earlier backup tells of is looked at first: a withdrawal that nobody else tells of is not vouched for."""
    backups = [s for s in listed if s.tag("kind") != ERASURES]
    known = _furthest(anchored(ledger, backups, plan))
    there = _furthest(anchored(ledger, listed, plan))
    if there is None or (known is not None and known.entries >= there.entries):
        return known
    with contextlib.suppress(CcdrError):
        register = stored_register(repo, listed, plan)
        require_agreement(register, anchored(ledger, listed, plan), plan)
        require_known_withdrawals(register, ledger, listed, plan, None)
        return there
    return known


def _furthest(heads: Sequence[RegisterHead]) -> RegisterHead | None:
    return max(heads, key=lambda head: head.entries, default=None)


def recorded_heads(ledger: Ledger, plan: str) -> Iterator[RegisterHead]:
    """The newest that this host's ledger tells of. Searched for from its end."""
    for record in ledger.newest(ErasureAdd):
        if isinstance(record, ErasureAdd) and record.plan == plan:
            yield RegisterHead(record.head.register, record.head.entries, record.head.hash)
            return


def anchored(
    ledger: Ledger, listed: Sequence[RepoSnapshot], plan: str, manifest: Manifest | None = None
) -> list[RegisterHead]:
    """All heads that a register of the plan must agree with."""
    heads = [head for s in listed if s.tag("plan") == plan and (head := head_of(s)) is not None]
    heads += recorded_heads(ledger, plan)
    if manifest is not None and manifest.erasures is not None:
        heads.append(manifest.erasures)
    return list(dict.fromkeys(heads))


def require_known_withdrawals(
    register: Register | None, ledger: Ledger, listed: Sequence[RepoSnapshot], plan: str, manifest: Manifest | None
) -> None:
    """RegisterBad where an entry is withdrawn that nothing but the register itself says was: whoever holds the
    repository's password could bring people back so."""
    last = max((n for n, one in enumerate(register.entries, 1) if one.withdraws), default=0) if register else 0
    backups = [s for s in listed if s.tag("kind") != ERASURES]
    known = max((head.entries for head in anchored(ledger, backups, plan, manifest)), default=0)
    if last > known:
        raise RegisterBad(
            f"entries of the register of erasures of {plan} are withdrawn, and neither this host's ledger nor a backup "
            "tells of that",
            hint=f"restore on the host that withdrew them, or back up there first: `ccdr backup {plan}`",
        )


def require_agreement(register: Register | None, heads: Sequence[RegisterHead], plan: str) -> None:
    """RegisterBad where the register is missing, another, or older than its last anchored head."""
    most = max(heads, key=lambda head: head.entries, default=None)
    if most is None or not most.entries:
        return
    if register is None:
        raise RegisterBad(
            f"the register of erasures of {plan} is not in the repository, and had {most.entries} entries",
            hint=FROM_ELSEWHERE,
        )
    if len(register.entries) < most.entries:
        raise RegisterBad(
            f"the register of erasures of {plan} has {len(register.entries)} entries, and had {most.entries}: it is "
            "older than its last anchored head",
            hint=FROM_ELSEWHERE,
        )
    if not all(register.agrees(head) for head in heads):
        raise RegisterBad(
            f"the register of erasures of {plan} is another than the ledger or a backup tells of", hint=FROM_ELSEWHERE
        )


# What is shown of each entry of a register: that by its key somebody is found. An entry that finds nobody where they
# must be still proves nothing, whatever a canary shows: its key may be mistyped.


@dataclass(frozen=True)
class Shown:
    """By what is known here now: the records of replays, and what the repository and its copies hold, the oldest being
    true for `oldest`."""

    history: AssetHistory
    oldest: datetime | None

    @classmethod
    def of(cls, loaded: LoadedPlan, services: Services, asset: str) -> Shown:
        history = services.histories().get((loaded.plan.plan, asset), AssetHistory())
        return cls(history, min((one.consistent_point for one in snapshots(loaded, services, asset)), default=None))

    def state(self, entry: Entry) -> EntryState:
        if entry.canary:
            return EntryState.CANARY
        return self.looked(entry).state(held=self.oldest is not None and self.oldest < entry.erased_at)

    def looked(self, entry: Entry) -> Looked:
        return self.history.looked(entry.id)

    def last_there(self, entry: Entry) -> datetime:
        """The instant from which on the source held them no more, as far as is known: of what was taken before it, each
        snapshot may hold them."""
        return max(entry.erased_at, self.looked(entry).late or entry.erased_at)

    def after(self, entry: Entry, found: int, *, due: bool) -> EntryState:
        """The state once one more replay has found so many of it. `due`: in what was replayed on they must be, as far
        as its time tells; a person may have come to the source only later."""
        if found and not entry.canary:
            return EntryState.FOUND
        state = self.state(entry)
        return EntryState.NEVER_FOUND if due and state in _NOBODY_LOOKED else state


_NOBODY_LOOKED = (EntryState.NOT_LOOKED_FOR, EntryState.NOT_DUE)


def snapshots(loaded: LoadedPlan, services: Services, asset: str) -> list[Snapshot]:
    """Of the plan's own repository and of each copy, as far as this host knows them."""
    plan = as_in_file(loaded).plan
    home = services.catalogue if services.there is None else services.there.catalogue
    return [
        one
        for known in (home, *(services.catalogue_of(copy) for copy in plan.copies))
        for one in known.snapshots(plan.plan, asset)
    ]


def newest_from_before(services: Services, plan: str, asset: str, erased_at: datetime) -> str | None:
    """Of the snapshots here that must hold somebody who was erased then, the one that most surely does."""
    there = [one for one in services.catalogue.snapshots(plan, asset) if one.consistent_point < erased_at]
    return max(there, key=lambda one: one.consistent_point).id if there else None
