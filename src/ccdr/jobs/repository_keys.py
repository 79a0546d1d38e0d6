"""The passwords of repositories: what a password opens; one is added or removed, or another is put in its place, so
that at no moment nobody can open the repository.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.records.repository_keys import KeyAdded, KeyChanged, KeyRemoved, KeySwitched, SwitchedKey
from ccdr.evidence.records.repository_keys import Why as WhyChanged
from ccdr.evidence.records.values import recorded_user
from ccdr.evidence.statements import Operation
from ccdr.host.files import sync_directory
from ccdr.host.secret_files import new_secret, write_secret
from ccdr.host.secrets import SHORTEST, password
from ccdr.host.strength import weak
from ccdr.jobs import in_force
from ccdr.jobs.approvals import NOTHING, Given, Wanted, allowed, block_of
from ccdr.jobs.services import Services, limits_of
from ccdr.jobs.shipping.log_archive import LOG
from ccdr.model.errors import CcdrError, RepositoryMissing, UsageProblem
from ccdr.model.schema import WithPassword
from ccdr.model.values import LEDGER_REPOSITORY, PRIMARY
from ccdr.plans import LoadedPlan, Repository
from ccdr.plans.copies import as_in_file
from ccdr.ports.place import Progress
from ccdr.storage.fast_keys import quicken
from ccdr.storage.repository_keys import (
    MOST_KEYS,
    RepositoryKey,
    add_key,
    current_key,
    keys_of,
    remove_key,
    with_twins,
)
from ccdr.storage.restic import Restic

# Which repositories a password opens: a plan's own, its copies', that of its ledger, and the log below each.

Stated = tuple[LoadedPlan, str, Repository]  # by its plan, and by what records call it


@dataclass(frozen=True)
class Opened:
    """One repository that is there. `repository` is what records call it, `of_log` the log's below it."""

    loaded: LoadedPlan
    repository: str
    settings: Repository
    repo: Restic
    of_log: bool = False

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def named(self) -> str:
        """For people."""
        return f"{self.repository}, the log's" if self.of_log else self.repository

    def by(self, password_file: Path, services: Services) -> Restic:
        """The same, opened by what another file holds. UsageProblem where that is no password."""
        settings = self.settings.model_copy(update={"password_file": password_file, "password_command": None})
        other = services.opened(settings, limits_of(self.loaded), named=self.repo.named)
        secrets = (*self.repo.host.secrets, *other.host.secrets)
        # What it opens changes with the next step; where it is, and whose, is this one's.
        hint = other.hint and replace(other.hint, kept=None, tenant=self.loaded.plan.tenant_of(None))
        return replace(self.repo, env=other.env, host=self.repo.host.with_(secrets=secrets), hint=hint)


def stated_in(loaded: LoadedPlan) -> dict[str, Repository]:
    """All repositories that a plan's file names, by what records call them."""
    plan = as_in_file(loaded).plan
    ledger = {LEDGER_REPOSITORY: plan.ledger_repository} if plan.ledger_repository is not None else {}
    return {PRIMARY: plan.repository, **plan.copies, **ledger}


def repositories_of(loaded: LoadedPlan, services: Services, name: str | None = None) -> list[Opened]:
    """The plan's own repository, or the copy `name`, and the log's below it where there is one. Raises as
    `Restic.probe`."""
    of = name or PRIMARY
    return list(_with_log(loaded, of, stated_in(loaded)[of], services))


def opened_by(path: Path, plans: Iterable[LoadedPlan], services: Services) -> list[Opened]:
    """All repositories whose password these plans take from this file, each once. Raises as `Restic.probe`: what a
    password opens must be known before another takes its place."""
    found: dict[str, Opened] = {}
    for loaded, name, settings in every_of(plans):
        if _by(settings, path) and settings.location.rstrip("/") not in found:
            found |= {one.repo.location.rstrip("/"): one for one in _with_log(loaded, name, settings, services)}
    return list(found.values())


def every_of(plans: Iterable[LoadedPlan]) -> Iterator[Stated]:
    """All repositories that these plans name."""
    for loaded in plans:
        for name, settings in stated_in(loaded).items():
            yield loaded, name, settings


def elsewhere(path: Path, plans: Iterable[LoadedPlan]) -> Iterator[Stated]:
    """Of these those whose password comes from another file, or from a command."""
    return (one for one in every_of(plans) if not _by(one[2], path))


def _by(settings: Repository, path: Path) -> bool:
    return settings.password_file is not None and settings.password_file.resolve() == path.resolve()


def log_below(repo: Restic) -> Restic:
    """Where the shipped log lies that belongs to this repository, if any is shipped."""
    return replace(repo, location=f"{repo.location.rstrip('/')}/{LOG}")


def _with_log(loaded: LoadedPlan, name: str, settings: Repository, services: Services) -> Iterator[Opened]:
    named = "repository" if name == PRIMARY else name if name == LEDGER_REPOSITORY else f"copies: {name}"
    repo = services.opened(settings, limits_of(loaded), named=named)
    repo = replace(repo, plan=loaded.plan.plan, hint=repo.hint and replace(repo.hint, kept=None))
    own = Opened(loaded, name, settings, repo)
    repo.probe()
    yield own
    log = log_below(repo)
    try:
        log.probe()
    except RepositoryMissing:
        return
    yield replace(own, repo=log, of_log=True)


# List, add and remove passwords of a plan's repository, one by one.

KEYS = "keys"  # what is locked while passwords are changed
_GUESSED = "`ccdr repository key add PLAN --generate FILE` makes one that nobody can guess"


def keys_listed(places: Iterable[Opened], services: Services) -> list[tuple[Opened, list[RepositoryKey]]]:
    """The keys of each of these, oldest first. Raises as `Restic.probe`."""
    return [(one, keys_of(one.repo, services.twins(one.plan))) for one in places]


def key_named(listed: Sequence[tuple[Opened, list[RepositoryKey]]], text: str) -> tuple[Opened, list[RepositoryKey]]:
    """Which key a person means: the repository, and the key first of all of its keys. UsageProblem where it is none, or
    several."""
    found = [(one, key, keys) for one, keys in listed for key in keys if key.id.startswith(text.lower())]
    if len(found) != 1 or len(text) < 6:
        known = ", ".join(key.short for _, keys in listed for key in keys)
        which = "no key" if not found else "more than one key, or is shorter than 6 characters"
        raise UsageProblem(f"{text[:64]!a} names {which} of this repository", hint=f"there are {known}")
    one, key, keys = found[0]
    return one, [key, *(other for other in keys if other is not key)]


def checked_secret_file(path: Path, services: Services) -> str:
    """The new password. UsageProblem where it is not there, may be guessed, or others than its owner may read it."""
    settings = WithPassword(password_file=path, password_command=None)
    secret = password(settings, services.host, what="the new password", shortest=SHORTEST) or ""
    if weak(secret, of_repository=True):
        raise UsageProblem(f"{path} holds a password that may be guessed", hint=_GUESSED)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageProblem(f"others than its owner may read {path}", hint=f"chmod 600 {path}; a new password is better")
    return secret


def add(
    places: Sequence[Opened], path: Path, services: Services, *, generate: bool = False
) -> list[tuple[Opened, str]]:
    """Have what this file holds open these repositories, too; what it opens already stays as it is. The key that it
    opens at each. Every one was tried when this returns. `generate`: the file is made first."""
    plan = places[0].loaded
    with services.state.lock(plan.plan.plan, "", KEYS):
        in_force.record(plan, services)
        if generate:
            write_secret(path, made_secret([plan], services))
        checked_secret_file(path, services)
        return [(one, opened_also(one, path, services, "command")) for one in places]


def made_secret(plans: Iterable[LoadedPlan], services: Services) -> str:
    """A new password of these plans' repositories. That ccdr made it is recorded: it may have fast keys."""
    secret = new_secret()
    for loaded in plans:
        services.record_made(secret, loaded.plan.plan, loaded.plan.tenant_of(None))
    return secret


def opened_also(one: Opened, path: Path, services: Services, why: WhyChanged) -> str:
    """The key of this repository that the file's password opens: it is added where there is none, tried, recorded."""
    by_it = one.by(path, services)
    twins = services.twins(one.plan)
    key, count = current_key(by_it, twins), None
    if key is None:
        count = len(keys_of(one.repo, twins, times=False)) + 1
        if count > MOST_KEYS:
            raise UsageProblem(
                f"{one.named} of {one.plan} has {MOST_KEYS} keys: restic tries no more of them",
                hint=f"`ccdr repository key list {one.plan}` shows them; remove those that nobody needs",
            )
        add_key(one.repo, path)
        key = current_key(by_it, twins)
    if key is None:
        raise CcdrError(
            f"restic added a key to {one.named} of {one.plan}, and the new password does not open it",
            hint="the old password still does; look at the store, then try again",
        )
    if key not in known_keys(one, services):
        record(KeyAdded, one, key, why, services, count=count)
    if quicken(by_it, key) is not None:
        services.forget_key_hints()
    return key


def remove(
    listed: Sequence[tuple[Opened, list[RepositoryKey]]],
    text: str,
    plans: Sequence[LoadedPlan],
    services: Services,
    given: Given,
) -> tuple[Opened, RepositoryKey]:
    """Remove the key that a person names. UsageProblem where it is in use, or the last one; ApprovalRefused where the
    plan wants an approval, and there is none that holds."""
    one, (key, *others) = key_named(listed, text)
    own = with_twins([key, *others], key.id)
    if not any(other.id not in own for other in others):
        raise UsageProblem(
            f"{key.short} is the last key of {one.named}: without it nobody opens the repository",
            hint=f"`ccdr repository key add {one.plan}` adds another first",
        )
    if key.current:
        raise UsageProblem(
            f"{key.short} is the key that the plan's own password opens",
            hint=f"`ccdr repository key rotate {one.plan}` puts another in its place",
        )
    if user := used_elsewhere(one, own[-1], every_of(plans), services):
        raise UsageProblem(f"{key.short} is the key that the plan {user} opens it by", hint="change that plan first")
    refuse_past_approval(one, plans, services)
    with services.state.lock(one.plan, "", KEYS):
        allowed(Wanted(Operation.KEY_REMOVE, one.loaded, key.id), services, given)
        in_force.record(one.loaded, services)
        removed(one, key.id, services, "command")
    return one, key


def removed(one: Opened, key: str, services: Services, why: WhyChanged) -> None:
    """Remove a password's key files, its fast one first, see that they are gone and that the password in use still
    opens all, and record it."""
    twins = services.twins(one.plan)
    for file in with_twins(keys_of(one.repo, twins, times=False), key):
        remove_key(one.repo, file)
        left = keys_of(one.repo, twins, times=False)
        if file in {other.id for other in left}:
            raise CcdrError(
                f"restic removed key {file[:8]} of {one.named}, and it is still there",
                hint="check that this host's credential may delete below keys/: an append-only one may not",
            )
        record(KeyRemoved, one, file, why, services, count=len(left))
    services.forget_key_hints()


def refuse_past_approval(one: Opened, plans: Iterable[LoadedPlan], services: Services) -> None:
    """UsageProblem where the repository is another plan's too, whose passwords go by an approval, and this plan wants
    none: it would be the way past the other one's."""
    if block_of(one.loaded, services) is not None:
        return
    for loaded, _, settings in every_of(plans):
        other = loaded.plan.plan
        if other != one.plan and _same_place(settings, one) and block_of(loaded, services) is not None:
            raise UsageProblem(
                f"{one.named} of {one.plan} is a repository of the plan {other} too, which wants an approval of this",
                hint=f"do it for {other}, with its approval; or give each plan a repository of its own",
            )


def _same_place(settings: Repository, one: Opened) -> bool:
    return settings.location.rstrip("/") == one.settings.location.rstrip("/")


def used_elsewhere(one: Opened, key: str, others: Iterable[Stated], services: Services) -> str | None:
    """The plan of those that name the same place, and open it by this key."""
    for loaded, name, settings in others:
        own = (loaded.plan.plan, name) == (one.plan, one.repository)
        if own or not _same_place(settings, one):
            continue
        other = replace(services.opened(settings, limits_of(loaded)), location=one.repo.location)
        if current_key(other, services.twins(one.plan)) == key:
            return loaded.plan.plan
    return None


def known_keys(one: Opened, services: Services) -> list[str]:
    """The keys of this plan's repositories whose adding is recorded here, and whose removal is not."""
    history = services.histories().get((one.plan, None))
    return [] if history is None else history.repository_keys


def record(
    change: type[KeyChanged], one: Opened, key: str, why: WhyChanged, services: Services, *, count: int | None = None
) -> None:
    changed = change(
        plan=one.plan,
        repository=one.repository,
        of_log=one.of_log,
        key=key,
        why=why,
        keys=len(keys_of(one.repo, {}, times=False)) if count is None else count,
        tenant=one.loaded.plan.tenant_of(None),
        who=recorded_user(),
    )
    services.ledger.write(changed)


# What was done is seen from the files beside the password file, and from the repository itself, so that it goes on
# from wherever it was killed:
#
# | beside PASSWORD | it stands | |---|---| | nothing | it begins: a new password is written to PASSWORD.next | |
# PASSWORD.next | it is added to each repository that the old one opens, and tried there; then the old one is kept | |
# PASSWORD.next and PASSWORD.previous | both open all: PASSWORD.next takes the place of PASSWORD | | PASSWORD.previous
# | the new one is in use: the old one's key is removed from each, then PASSWORD.previous |


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
        newest = history.key_switched
        return {of.new: of.old for of in newest.opens} if newest is not None else {}

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
