"""List, add and remove passwords of a plan's repository, one by one."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ccdr.evidence.approvals import Operation
from ccdr.evidence.records.repository_keys import KeyAdded, KeyChanged, KeyRemoved
from ccdr.evidence.records.repository_keys import Why as WhyChanged
from ccdr.evidence.records.values import recorded_user
from ccdr.host.secret_files import new_secret, write_secret
from ccdr.host.secrets import SHORTEST, password
from ccdr.host.strength import weak
from ccdr.jobs import in_force
from ccdr.jobs.approvals import Given, Wanted, allowed, block_of
from ccdr.jobs.repository_keys.opened import Opened, Stated, every_of
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.schema import WithPassword
from ccdr.plans import LoadedPlan, Repository
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


def known_keys(one: Opened, services: Services) -> dict[str, object]:
    """The keys of this plan's repositories whose adding is recorded here, and whose removal is not."""
    history = services.histories().get((one.plan, None))
    return {} if history is None else dict(history.repository_keys)


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
