"""`ccdr access test`: each promise of the roles' credentials, tried on small objects of our own at the real store, and
recorded.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from ccdr.evidence.records.access import AccessTested, TriedPromise
from ccdr.evidence.records.values import code, recorded_user
from ccdr.host.secrets import env_file
from ccdr.jobs.recorded import document
from ccdr.jobs.services import Services
from ccdr.model.access import Held, Kept, Promise, RoleState
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import RecordRef
from ccdr.plans import LoadedPlan
from ccdr.plans.access import Role
from ccdr.storage.access_policies import Folder, Places
from ccdr.storage.manifest import text_digest
from ccdr.storage.s3 import UNKNOWN_CALL, Bucket, Refused
from ccdr.storage.s3_rights import NO_VERSION, Rights

# A refusal proves nothing where the credential does not work at all: each is tried beside something that the same
# credential must be able to do. What is written lies in restic's own folders, under names that restic passes over.

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


# `ccdr access test`: each role's credential is tried at the store of the plan's repository, and that is recorded.

LEFT_BEFORE = timedelta(minutes=10)  # what a trial has left that is no longer at work
NO_BUCKET = "its repository lies in no S3 bucket: ccdr can try no rights of roles there"
NO_VERSIONS = "the store keeps no versions of objects: a put, or a delete, of what is there cannot be undone"
NO_POLICIES = "the store knows no policies: whoever may put there may delete"
_OF_VERSIONS = (Promise.OLD_VERSIONS_STAY, Promise.KEEPS_VERSIONING, Promise.PRUNE_ALONE_REMOVES)


@dataclass
class AccessTest:
    """What came of it. `left`: versions of canaries that could not be removed."""

    loaded: LoadedPlan
    states: Mapping[Role, RoleState]
    kept: Sequence[Kept] = ()
    versioning: str | None = None
    left: int = 0
    record: RecordRef | None = None

    @property
    def exit_code(self) -> Exit:
        if any(one.result is Held.BROKEN for one in self.kept):
            return Exit.FINDING
        if {RoleState.UNKNOWN, RoleState.REFUSED} & set(self.states.values()):
            return Exit.FINDING
        return Exit.LEFT_BEHIND if self.left else Exit.OK

    def ended(self) -> AccessTested:
        plan = self.loaded.plan
        return AccessTested(
            plan=plan.plan,
            repository=text_digest(plan.repository.location),
            versioning=code(self.versioning),
            roles={role.value: code(state) for role, state in self.states.items()},
            promises=[
                TriedPromise(promise=code(one.promise), result=code(one.result), tried=one.tried, why=one.why)
                for one in self.kept
            ],
            named_sha256=plan.access.digest,
            left=self.left,
            tenant=plan.tenant_of(None),
            who=recorded_user(),
        )

    def as_json(self) -> dict[str, object]:
        return document(self.ended(), self.record)


def test_access(loaded: LoadedPlan, services: Services) -> AccessTest:
    """Try each promise by the credentials that lie here, and record it. UsageProblem where the plan names none;
    RepositoryUnavailable where the store does not answer: then nothing is recorded."""
    plan = loaded.plan
    if not any(plan.access.named()):
        raise UsageProblem(
            f"the plan {plan.plan} names no role's credential: there is nothing to try",
            hint="write `access: {backup: {env_file: …}, verify: {env_file: …}, …}` into it: docs/how-to/access.md",
        )
    with services.state.lock(plan.plan, "", "access"):
        keys = _Keys.here(loaded)
        if (stored_in := Bucket.of(plan.repository.url, {})) is None:
            kept = [Kept(promise, Held.CANNOT_SEPARATE, why=NO_BUCKET) for promise in Promise]
            done = AccessTest(loaded, keys.states, kept)
        else:
            done = _tried(loaded, services, keys, Folder(stored_in[0].name, stored_in[1]))
        done.record = services.ledger.write(done.ended())
    return done


@dataclass
class _Keys:
    """The credentials that lie here, as environments."""

    states: dict[Role, RoleState] = field(default_factory=dict)
    envs: dict[Role, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def here(cls, loaded: LoadedPlan) -> _Keys:
        """UsageProblem where one lies here and cannot be read."""
        keys = cls()
        for role in Role:
            one = loaded.plan.access.of(role)
            if one is None:
                keys.states[role] = RoleState.NOT_NAMED
            elif not one.here:
                keys.states[role] = RoleState.NOT_HERE
            else:
                keys.envs[role], keys.states[role] = env_file(one.env_file), RoleState.WORKS
        return keys

    def differ(self) -> Kept:
        """Of those that lie here: has each a key of its own?"""
        owners: dict[str, list[str]] = {}
        for role, env in self.envs.items():
            owners.setdefault(env.get("AWS_ACCESS_KEY_ID", ""), []).append(role.value)
        shared = [" and ".join(roles) for roles in owners.values() if len(roles) > 1]
        promise, count = Promise.CREDENTIALS_DIFFER, len(self.envs)
        if shared:
            return Kept(promise, Held.BROKEN, count, f"{'; '.join(shared)} have the same credential")
        if count < 2:
            return Kept(promise, Held.NOT_SHOWN, count, "fewer than two of the roles' credentials lie on this host")
        return Kept(promise, Held.HELD, count)


def _tried(loaded: LoadedPlan, services: Services, keys: _Keys, repository: Folder) -> AccessTest:
    plan = loaded.plan
    places = Places.of(plan)
    rights = dict(_working(loaded, keys, places))
    versioning, unable = _store(rights)
    evidence = None
    if plan.access.auditor is not None and plan.access.auditor.url is not None and Role.AUDITOR in rights:
        there = Bucket.of(plan.access.auditor.url, keys.envs[Role.AUDITOR])
        evidence = Rights(there[0]) if there else None
    trials = Trials(places, rights, keys.states, evidence, versioning)
    left = 0
    kept: list[Kept] = []
    try:
        kept = [keys.differ(), *trials.carry_out()]
    finally:
        left = trials.clean(services.clock.now() - LEFT_BEFORE)
    return AccessTest(loaded, keys.states, [_separable(one, unable) for one in kept], versioning, left)


def _working(loaded: LoadedPlan, keys: _Keys, places: Places) -> Iterator[tuple[Role, Rights]]:
    """Those that the store knows, and that may do what their role begins with; the state of the others is noted."""
    for role, env in keys.envs.items():
        there = Bucket.of(loaded.plan.repository.url, env)
        assert there is not None
        rights = Rights(there[0])
        try:
            listed = rights.lists(places.repository.prefix)
        except Refused as refused:
            if not refused.unknown_credential:
                raise
            keys.states[role] = RoleState.UNKNOWN
            continue
        if listed or role is Role.AUDITOR:
            yield role, rights
        else:
            keys.states[role] = RoleState.REFUSED


def _store(rights: Mapping[Role, Rights]) -> tuple[str | None, dict[Promise, str]]:
    """Does the bucket keep versions, as far as anybody may ask; and what the store has no means for, and why."""
    versioning, unable = None, dict[Promise, str]()
    for one in rights.values():
        try:
            versioning = versioning or one.versioning()
        except Refused as refused:
            if refused.code not in UNKNOWN_CALL:
                raise
            unable |= dict.fromkeys(_OF_VERSIONS, NO_VERSIONS)
        if not one.knows_policies():
            unable |= dict.fromkeys((Promise.DELETES_ONLY_LOCKS, Promise.PRUNE_ALONE_REMOVES), NO_POLICIES)
    return versioning, unable


def _separable(one: Kept, unable: Mapping[Promise, str]) -> Kept:
    if one.result is Held.BROKEN and one.promise in unable:
        return Kept(one.promise, Held.CANNOT_SEPARATE, one.tried, unable[one.promise])
    return one
