"""Put another password in the place of the one in use, so that at no moment nobody can open the repository.

What was done is seen from the files beside the password file, and from the repository itself, so that it goes on from
wherever it was killed:

| beside PASSWORD | it stands |
|---|---|
| nothing | it begins: a new password is written to PASSWORD.next |
| PASSWORD.next | it is added to each repository that the old one opens, and tried there; then the old one is kept |
| PASSWORD.next and PASSWORD.previous | both open all: PASSWORD.next takes the place of PASSWORD |
| PASSWORD.previous | the new one is in use: the old one's key is removed from each, then PASSWORD.previous |
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.approvals import Operation
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import KEY_SWITCHED
from ccdr.evidence.records.repository_keys import KeyRemoved, KeySwitched, SwitchedKey
from ccdr.evidence.records.values import recorded_user
from ccdr.host.files import sync_directory
from ccdr.host.secret_files import write_secret
from ccdr.jobs import in_force
from ccdr.jobs.approvals import NOTHING, Given, Wanted, allowed
from ccdr.jobs.approvals.plans import block_of
from ccdr.jobs.repository_keys.changing import (
    KEYS,
    checked_secret_file,
    made_secret,
    opened_also,
    record,
    refuse_past_approval,
    removed,
    used_elsewhere,
)
from ccdr.jobs.repository_keys.opened import Opened, Stated, elsewhere, opened_by, stated_in
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import PRIMARY
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Progress
from ccdr.storage.repository_keys import current_key, keys_of


@dataclass
class Rotation:
    """What was done, over all calls that it took. `old` and `new` are keys by repository."""

    plan: str
    password_file: Path
    new: dict[str, str] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    previous: Path | None = None  # where the old password still lies, which still opens all


@dataclass(frozen=True)
class _Files:
    """The password file, and what lies beside it while another takes its place."""

    password: Path

    @property
    def next(self) -> Path:
        return self.password.with_name(f"{self.password.name}.next")

    @property
    def previous(self) -> Path:
        return self.password.with_name(f"{self.password.name}.previous")


def rotate(
    loaded: LoadedPlan,
    plans: Sequence[LoadedPlan],
    services: Services,
    progress: Progress,
    *,
    name: str | None = None,
    new_password_file: Path | None = None,
    keep_old: bool = False,
    given: Given = NOTHING,
) -> Rotation:
    """Rotate the password of the plan's repository (`name`: of that copy), and of all others that the same file opens:
    `plans` are all plans of this host. Goes on where an earlier call was killed. `keep_old`: up to the switch, so that
    other hosts can be given the new file while both passwords open all.

    UsageProblem and ApprovalRefused are raised before anything is done.
    """
    files = _Files(_password_file(loaded, name))
    plans = [loaded, *(one for one in plans if one.plan.plan != loaded.plan.plan)]  # it is the first that is named
    with services.state.lock(loaded.plan.plan, "", KEYS), services.state.turn(f"password.{_word(files)}") as mine:
        if not mine:
            raise CcdrError("another process is changing this password", hint="wait for it, then run this again")
        progress.step("opening every repository that this password opens")
        places = opened_by(files.password, plans, services)
        for one in () if keep_old else places:
            refuse_past_approval(one, plans, services)
        work = _Rotating(files, loaded, places, services, progress)
        work.may_begin(keep_old, given, new_password_file)
        in_force.record(loaded, services)
        work.switch(new_password_file, elsewhere(files.password, plans))
        if not keep_old:
            work.remove_old(given)
        return work.done


def _word(files: _Files) -> str:
    return sha256(os.fsencode(files.password.resolve())).hexdigest()[:12]


def _password_file(loaded: LoadedPlan, name: str | None) -> Path:
    settings = stated_in(loaded)[name or PRIMARY]
    path, plan = settings.password_file, loaded.plan.plan
    if path is None:
        raise UsageProblem(
            f"{plan} takes this password from a command, which ccdr cannot change",
            hint=f"`ccdr repository key add {plan} --generate FILE` adds a new one; put it where the command finds it, "
            f"then `ccdr repository key remove {plan} OLD`",
        )
    if path.is_symlink():
        raise UsageProblem(
            f"{path} is a link: ccdr does not change what it leads to",
            hint="name the file itself in the plan; or add a password, put it there by hand, and remove the old key",
        )
    return path


class _Rotating:
    """One rotation, from whatever stands to its end. `places` are all that the password opens."""

    def __init__(
        self, files: _Files, loaded: LoadedPlan, places: Sequence[Opened], services: Services, progress: Progress
    ) -> None:
        self._files, self._loaded, self._places = files, loaded, places
        self._services, self._progress = services, progress
        self.done = Rotation(loaded.plan.plan, files.password)
        self._known: dict[tuple[str, Path], str | None] = {}  # by repository and password file: the key that it opens

    def _key(self, one: Opened, password: Path) -> str | None:
        """What this file's password opens there. Asked once, until something is changed."""
        asked = (one.repo.location, password)
        if asked not in self._known:
            self._known[asked] = current_key(one.by(password, self._services), self._services.twins(one.plan))
        return self._known[asked]

    @property
    def _locations(self) -> list[str]:
        return [one.repo.location for one in self._places]

    def may_begin(self, keep_old: bool, given: Given, new: Path | None) -> None:
        """UsageProblem, ApprovalRefused: where what comes last would be refused, nothing is begun."""
        files, services = self._files, self._services
        if new is not None and (files.next.exists() or files.previous.exists()):
            raise UsageProblem(
                "a rotation of this password is under way, by another new one",
                hint="leave --new-password-file out: it goes on where it was",
            )
        if keep_old and given != NOTHING:
            raise UsageProblem("--keep-old removes nothing: it needs no approval", hint="give it when all is removed")
        for plan in (one.loaded for one in self._places if one.plan != self._loaded.plan.plan):
            if not keep_old and block_of(plan, services) is not None:
                raise UsageProblem(
                    f"the plan {plan.plan.plan} takes its password from the same file, and wants its own approval",
                    hint="give each of the two plans a password file of its own",
                )
        wants = block_of(self._loaded, services) is not None and not keep_old
        if wants != (given != NOTHING):
            by = files.previous if files.previous.exists() and not files.next.exists() else files.password
            if (about := self._first_key(by)) is not None:
                allowed(self._wanted(about), services, given)

    def _wanted(self, about: str) -> Wanted:
        return Wanted(Operation.KEY_REMOVE, self._loaded, about)

    def _first_key(self, password: Path) -> str | None:
        """Of the plan's repositories: the first that this file still opens. A request to remove names that."""
        own = (one for one in self._places if one.plan == self._loaded.plan.plan)
        return next((key for one in own if (key := self._key(one, password))), None)

    # --- up to the switch -------------------------------------------------------------------------------------

    def switch(self, given: Path | None, others: Iterable[Stated]) -> None:
        """The new password is in use, and the old one lies in PASSWORD.previous; both open all."""
        files = self._files
        if files.previous.exists() and not files.next.exists():
            self._tell_new()
            return
        if not files.next.exists():
            self._begin(given, list(others))
        for one in self._places:
            self._progress.step(f"adding the new password to {one.named} of {one.plan}, and trying it")
            self._known[one.repo.location, files.next] = opened_also(one, files.next, self._services, "rotation")
        if not files.previous.exists():
            self._progress.step("keeping the old password")
            os.link(files.password, files.previous)  # the very file: nothing of it is written anew
            sync_directory(files.password.parent)
        self._progress.step("putting the new password in its place")
        before = {location: self._known.pop((location, files.password), None) for location in self._locations}
        files.next.replace(files.password)
        sync_directory(files.password.parent)
        self._services.forget_key_hints()
        for location, old in before.items():
            self._known[location, files.password] = self._known.pop((location, files.next))
            if old is not None:
                self._known[location, files.previous] = old
        self._tell_new()

    def _begin(self, given: Path | None, others: Sequence[Stated]) -> None:
        """UsageProblem where another plan opens one of these by the same password from elsewhere."""
        files, services = self._files, self._services
        for one in self._places:
            key = self._key(one, files.password) if others else None
            if key is not None and (user := used_elsewhere(one, key, others, services)):
                raise UsageProblem(
                    f"the plan {user} opens {one.named} of {one.plan} by the same password, from another place",
                    hint="name the same file in both plans, or give that plan a password of its own first",
                )
        self._progress.step("writing the new password")
        plans = {one.plan: one.loaded for one in self._places}.values()
        secret = made_secret(plans, services) if given is None else checked_secret_file(given, services)
        write_secret(files.next, secret, like=files.password.stat())

    def _tell_new(self) -> None:
        """Record that another password is in use, where that is not recorded yet."""
        self._progress.step("recording the new password's keys")
        by_plan: dict[str, list[SwitchedKey]] = {}
        for one in self._places:
            new, old = self._key(one, self._files.password), self._key(one, self._files.previous)
            if new is None:
                raise CcdrError(
                    f"the new password does not open {one.named} of {one.plan}",
                    hint=f"nothing was removed: {self._files.previous} holds the old one, which does",
                )
            self.done.new[f"{one.plan}: {one.named}"] = new
            by_plan.setdefault(one.plan, []).append(
                SwitchedKey(repository=one.repository, of_log=one.of_log, old=old, new=new)
            )
        for plan, opens in by_plan.items():
            if {of.new for of in opens} - self._recorded(plan).keys():
                tenant = next(one.loaded.plan.tenant_of(None) for one in self._places if one.plan == plan)
                self._services.ledger.write(KeySwitched(plan=plan, opens=opens, tenant=tenant, who=recorded_user()))
        self.done.previous = self._files.previous

    def _recorded(self, plan: str) -> dict[str, str | None]:
        """By the newest record of a switch: the new keys, and the old one of each."""
        history = self._services.histories().get((plan, None), AssetHistory())
        newest = history.newest.get(KEY_SWITCHED) or {}
        return {str(of["new"]): of.get("old") for of in newest.get("opens") or ()}

    # --- the old one ------------------------------------------------------------------------------------------

    def remove_old(self, given: Given) -> None:
        """The old password opens nothing any more, and its file is gone."""
        files, services = self._files, self._services
        if (about := self._first_key(files.previous)) is not None:
            allowed(self._wanted(about), services, given)
        for one in self._places:
            while (key := self._old_key(one)) is not None:  # several, where a restic that nobody waited for added one
                self._progress.step(f"removing the old password's key of {one.named} of {one.plan}")
                removed(one, key, services, "rotation")
                del self._known[one.repo.location, files.previous]
                self.done.removed.setdefault(f"{one.plan}: {one.named}", []).append(key)
            if f"{one.plan}: {one.named}" not in self.done.removed:
                self._record_what_was_removed(one)
        self._progress.step("removing the old password's file")
        files.previous.unlink()
        sync_directory(files.password.parent)
        self.done.previous = None

    def _old_key(self, one: Opened) -> str | None:
        """What the old password still opens there."""
        old = self._key(one, self._files.previous)
        if old is not None and old == self._key(one, self._files.password):
            raise UsageProblem(
                f"{self._files.previous} holds the password that is in use",
                hint="remove that file, if nobody needs it; nothing was removed from the repository",
            )
        return old

    def _record_what_was_removed(self, one: Opened) -> None:
        """By a call that was killed before it could record it."""
        keys = keys_of(one.repo, self._services.twins(one.plan), times=False)
        there, new = {key.id for key in keys}, next(key.id for key in keys if key.current)
        old = self._recorded(one.plan).get(new)
        known = self._services.histories().get((one.plan, None), AssetHistory()).removed_keys
        if old is not None and old not in there and old not in known:
            record(KeyRemoved, one, old, "rotation", self._services)
