"""`ccdr access test`: each role's credential is tried at the store of the plan's repository, and that is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from ccdr.evidence.records.access import AccessTested, TriedPromise
from ccdr.evidence.records.values import code, recorded_user
from ccdr.host.secrets import env_file
from ccdr.jobs.access.trials import Trials
from ccdr.jobs.recorded import document
from ccdr.jobs.services import Services
from ccdr.model.access import Held, Kept, Promise, RoleState
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import RecordRef
from ccdr.plans import LoadedPlan
from ccdr.plans.access import Role
from ccdr.storage.access_policies import Folder, Places
from ccdr.storage.s3 import UNKNOWN_CALL, Bucket, Refused
from ccdr.storage.s3_rights import Rights

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
            repository=_digest(plan.repository.location),
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


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
