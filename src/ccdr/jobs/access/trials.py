"""Each promise of the roles' credentials, tried on small objects of our own at the real store.

A refusal proves nothing where the credential does not work at all: each is tried beside something that the same
credential must be able to do. What is written lies in restic's own folders, under names that restic passes over.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from ccdr.model.access import Held, Kept, Promise, RoleState
from ccdr.plans.access import Role
from ccdr.storage.access_policies import Places
from ccdr.storage.s3_rights import NO_VERSION, Rights

CANARY = "ccdr-canary-"
FOLDERS = ("data", "index", "snapshots", "keys")  # what restic may never delete while it backs up
LOCKS = "locks"
FIRST, SECOND = b"first", b"second"
UNTOUCHED = "untouched"
OF_BACKUP = (Promise.OLD_VERSIONS_STAY, Promise.DELETES_ONLY_LOCKS, Promise.KEEPS_VERSIONING)
ONLY_READ = {Role.VERIFY: Promise.VERIFY_CANNOT_WRITE, Role.RESTORE: Promise.RESTORE_CANNOT_WRITE}


@dataclass(frozen=True)
class Canary:
    """An object that backup has put: `first` is the id of the version that must stay."""

    key: str
    first: str


@dataclass
class Tally:
    """What one promise came to so far."""

    promise: Promise
    tried: int = 0
    broken: list[str] = field(default_factory=list)

    def refuse(self, done: bool, otherwise: str) -> None:
        """It must not have been done."""
        self.tried += 1
        if done:
            self.broken.append(otherwise)

    def kept(self) -> Kept:
        result = Held.BROKEN if self.broken else Held.HELD
        return Kept(self.promise, result, self.tried, "; ".join(dict.fromkeys(self.broken)) or None)


@dataclass
class Trials:
    """All promises of one plan's roles. `rights` are those whose credential works, at the repository's bucket;
    `evidence` is the auditor's at the place of evidence. `versioning` is `Enabled` where the bucket keeps
    versions, None where nobody may ask."""

    places: Places
    rights: Mapping[Role, Rights]
    states: Mapping[Role, RoleState]
    evidence: Rights | None
    versioning: str | None
    token: str = field(default_factory=lambda: secrets.token_hex(6))
    written: list[tuple[str, str]] = field(default_factory=list)  # keys and versions of what is to be removed
    _canaries: list[Canary] = field(default_factory=list)  # that backup overwrites and deletes
    _untouched: list[Canary] = field(default_factory=list)  # and that it does not

    def key(self, folder: str, of: str = "") -> str:
        return f"{self.places.repository.prefix}{folder}/{CANARY}{self.token}{of and f'-{of}'}"

    def carry_out(self) -> Iterator[Kept]:
        """One promise after the other. `clean` removes what was written."""
        lacking = self._cannot_write()
        if lacking is None:
            yield from self._backup()
        else:
            yield from (Kept(promise, Held.NOT_SHOWN, why=lacking) for promise in OF_BACKUP)
        for role in (Role.VERIFY, Role.RESTORE):
            yield self._reads_alone(role)
        yield self._prune_alone()
        yield self._auditor()

    def _cannot_write(self) -> str | None:
        """Why nothing is written: what cannot be removed again is not put there."""
        for role in (Role.BACKUP, Role.PRUNE):
            if role not in self.rights:
                return f"{_state(role, self.states[role])}, and without it nothing can be tried that writes"
        return None

    # --- backup ---------------------------------------------------------------------------------------------------

    def _backup(self) -> Iterator[Kept]:
        backup = self.rights[Role.BACKUP]
        for folder in FOLDERS:
            for of, place in (("", self._canaries), (UNTOUCHED, self._untouched)):
                key = self.key(folder, of)
                if (first := self._put(backup, key, FIRST)) is not None:
                    place.append(Canary(key, first))
        if (why := self._nothing_to_attack()) is not None:
            yield from (Kept(promise, Held.NOT_SHOWN, why=why) for promise in OF_BACKUP)
            return
        stay, deletes = Tally(Promise.OLD_VERSIONS_STAY), Tally(Promise.DELETES_ONLY_LOCKS)
        for canary in self._canaries:
            self._put(backup, canary.key, SECOND)
            self._attack(backup, canary, stay, deletes)
        yield self._unless_nobody_may(stay.kept())
        yield self._unless_nobody_may(self._with_locks(backup, deletes))
        yield self._versioning(backup)

    def _unless_nobody_may(self, kept: Kept) -> Kept:
        """A bucket that locks what is put refuses everybody, until the lock is over: that shows no missing right."""
        if kept.result is not Held.HELD or self._prune_removes:
            return kept
        why = "prune cannot remove what was just put, either: it may not, or the bucket locks all of it for a while"
        return Kept(kept.promise, Held.NOT_SHOWN, kept.tried, why)

    @cached_property
    def _prune_removes(self) -> bool:
        """The control of each refusal to remove: prune puts one object, and removes it for good."""
        prune, key = self.rights[Role.PRUNE], self.key("data", Role.PRUNE)
        version = self._put(prune, key, FIRST)
        return version is not None and prune.delete(key, version) and prune.get(key, version) is None

    def _nothing_to_attack(self) -> str | None:
        """The control: backup puts everywhere, and somebody reads what must stay by its version."""
        if len(self._canaries) < len(FOLDERS):
            return "backup may not put everywhere in the repository: it cannot do its own work"
        if any(self._read(canary) != FIRST for canary in self._canaries):
            return "nobody may read a version by its id: allow s3:GetObjectVersion to restore"
        return None

    def _attack(self, backup: Rights, canary: Canary, stay: Tally, deletes: Tally) -> None:
        folder = canary.key.removeprefix(self.places.repository.prefix).partition("/")[0]
        backup.delete(canary.key)
        backup.delete(canary.key, canary.first)
        there = self._read(canary)
        stay.refuse(there != FIRST, f"what lay in {folder}/ is gone for good")
        deletes.refuse(there != FIRST, f"backup can delete in {folder}/ for good")

    def _read(self, canary: Canary) -> bytes | None:
        """The version that must stay, by whoever may read it."""
        for role in (Role.RESTORE, Role.PRUNE, Role.VERIFY, Role.BACKUP):
            if (one := self.rights.get(role)) is not None and (there := one.get(canary.key, canary.first)) is not None:
                return there
        return None

    def _with_locks(self, backup: Rights, deletes: Tally) -> Kept:
        """The control: below locks/ it deletes, so that it is a right that is missing elsewhere."""
        key = self.key(LOCKS)
        if self._put(backup, key, FIRST) is None or not backup.delete(key):
            why = "backup may not put and delete in locks/: each backup would leave a lock behind"
            return Kept(Promise.DELETES_ONLY_LOCKS, Held.NOT_SHOWN, deletes.tried, why)
        return deletes.kept()

    def _versioning(self, backup: Rights) -> Kept:
        promise = Promise.KEEPS_VERSIONING
        if self.versioning is None:
            return Kept(promise, Held.NOT_SHOWN, why="nobody may ask whether the bucket keeps versions")
        if self.versioning != "Enabled":
            why = "the bucket keeps no versions, so that each put destroys what was there"
            return Kept(promise, Held.BROKEN, 0, why)
        tally = Tally(promise)
        tally.refuse(backup.keep_versions(), "backup may change whether the bucket keeps versions")
        return tally.kept()

    def _put(self, rights: Rights, key: str, body: bytes) -> str | None:
        version = rights.put(key, body)
        if version is not None:
            self.written.append((key, version))
        return version

    # --- who only reads -------------------------------------------------------------------------------------------

    def _reads_alone(self, role: Role) -> Kept:
        promise, rights = ONLY_READ[role], self.rights.get(role)
        if rights is None:
            return Kept(promise, Held.NOT_SHOWN, why=_state(role, self.states[role]))
        if not self._untouched:
            return Kept(
                promise, Held.NOT_SHOWN, why="no canary could be written, so that there is nothing to try it on"
            )
        tally = Tally(promise)
        for canary in self._untouched:
            if rights.get(canary.key) is None and rights.get(canary.key, canary.first) is None:
                return Kept(promise, Held.NOT_SHOWN, tally.tried, f"{role} may not read all of the repository")
            tally.refuse(self._put(rights, canary.key, SECOND) is not None, f"{role} can overwrite")
            tally.refuse(rights.delete(canary.key), f"{role} can delete")
        for folder in (*FOLDERS, LOCKS):
            tally.refuse(self._put(rights, self.key(folder, role), FIRST) is not None, f"{role} can write")
        return tally.kept()

    # --- who removes ----------------------------------------------------------------------------------------------

    def _prune_alone(self) -> Kept:
        promise = Promise.PRUNE_ALONE_REMOVES
        if Role.PRUNE not in self.rights:
            return Kept(promise, Held.NOT_SHOWN, why=_state(Role.PRUNE, self.states[Role.PRUNE]))
        if not self._prune_removes:
            return Kept(promise, Held.NOT_SHOWN, why="prune may not put and remove: it cannot do its own work")
        tally = Tally(promise)
        for canary in self._canaries:  # which backup has tried to remove already
            tally.refuse(self._read(canary) != FIRST, "backup can remove versions")
        for role in [one for one in self.rights if one not in (Role.PRUNE, Role.BACKUP)]:
            for canary in self._untouched:
                tally.refuse(self._removed(role, canary), f"{role} can remove versions")
        if not tally.tried:
            return Kept(promise, Held.NOT_SHOWN, why="no other role could be tried")
        return tally.kept()

    def _removed(self, role: Role, canary: Canary) -> bool:
        there = self._read(canary) == FIRST
        self.rights[role].delete(canary.key, canary.first)
        return there and self._read(canary) != FIRST

    # --- who audits -----------------------------------------------------------------------------------------------

    def _auditor(self) -> Kept:
        promise, auditor = Promise.AUDITOR_READS_EVIDENCE_ALONE, self.rights.get(Role.AUDITOR)
        if auditor is None:
            return Kept(promise, Held.NOT_SHOWN, why=_state(Role.AUDITOR, self.states[Role.AUDITOR]))
        prefix, tally = self.places.repository.prefix, Tally(promise)
        tally.refuse(auditor.lists(prefix), "the auditor can list the repository")
        tally.refuse(auditor.get(f"{prefix}config") is not None, "the auditor can read the repository")
        for canary in self._untouched:
            read = auditor.get(canary.key) is not None or auditor.get(canary.key, canary.first) is not None
            tally.refuse(read, "the auditor can read the repository")
        put = self._put(auditor, self.key("data", Role.AUDITOR), FIRST) if Role.PRUNE in self.rights else None
        tally.refuse(put is not None, "the auditor can write into the repository")
        if tally.broken:
            return tally.kept()
        if self.evidence is None or self.places.evidence is None:
            why = "the plan names no place of evidence (`access: {auditor: {url: …}}`) for the auditor to read"
            return Kept(promise, Held.NOT_SHOWN, tally.tried, why)
        if not self.evidence.lists(self.places.evidence.prefix):
            return Kept(promise, Held.NOT_SHOWN, tally.tried, "the auditor may not list the evidence, either")
        return tally.kept()

    # --- at the end -----------------------------------------------------------------------------------------------

    def clean(self, before: datetime) -> int:
        """Remove all that was written, markers too, and what a trial that crashed has left `before`; how many versions
        could not be removed."""
        prune = self.rights.get(Role.PRUNE)
        if prune is None:
            return len(self.written)
        return sum(self._cleaned(prune, folder, before) for folder in (*FOLDERS, LOCKS))

    def _cleaned(self, prune: Rights, folder: str, before: datetime) -> int:
        """Of one folder: how many of ours are still there. It is asked again: a store may say that it did."""
        place = f"{self.places.repository.prefix}{folder}/{CANARY}"
        for one in prune.versions(place) or ():
            if self.token in one.key or one.written < before:
                if one.id == NO_VERSION:  # SeaweedFS lets a marker without a version go only with what takes its place
                    prune.put(one.key, FIRST)
                prune.delete(one.key, one.id)
        there = prune.versions(place)
        if there is None:
            return sum(key.startswith(place) for key, _ in self.written)
        return sum(self.token in one.key for one in there)


def _state(role: Role, state: RoleState) -> str:
    how = {
        RoleState.NOT_NAMED: f"the plan names no credential for {role}",
        RoleState.NOT_HERE: f"the credential for {role} is not on this host",
        RoleState.UNKNOWN: f"the store does not know the credential for {role}",
        RoleState.REFUSED: f"the credential for {role} may not even list what it must read",
    }
    return how.get(state, f"the credential for {role} was not tried")
