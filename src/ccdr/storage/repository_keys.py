"""A repository's passwords: restic keeps a key file for each, and each of them opens the same master key.

A password is given to restic as a file, never as an argument. What a repository's keys are is asked with the password
that is in use, so that restic itself says which of them that is.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccdr.model.errors import RepositoryClosed, RepositoryUnavailable
from ccdr.model.values import utc
from ccdr.storage.fast_keys import MOST_KEYS as MOST_KEYS
from ccdr.storage.restic import Restic

MOST_TIMES = 50  # of which the time is read: each costs a call
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class RepositoryKey:
    """One password's key file. `current`: the password in use opens it. `user` and `host` are what restic noted of who
    added it; `created` is None where that cannot be read. A fast key is beside the one that it is a `twin_of`."""

    id: str
    current: bool
    created: datetime | None
    user: str
    host: str
    twin_of: str | None = None

    @property
    def short(self) -> str:
        return self.id[:8]


def keys_of(repo: Restic, twins: Mapping[str, str], *, times: bool = True) -> list[RepositoryKey]:
    """All keys, oldest first; `times`: with when each was set, and by whom, which costs a call each. `twins`: by the id
    of each fast key that ccdr has made, as records tell, that of restic's own for the same password. What a key file
    says of itself nobody believes: whoever may add one may write anything into it. Raises as `Restic.probe`,
    RepositoryClosed where the password in use opens none."""
    # Whatever restic does it opens the repository first: the password in use opens a key, and that decrypts the config.
    ids = repo.ask(["list", "keys", "--no-lock"], what="listing keys").split()
    told = json.loads(repo.ask(["key", "list", "--json", "--no-lock"], what="listing keys"))
    current = tuple(str(one["id"]) for one in told if one.get("current"))  # an old restic shortens them here
    if not current:
        raise RepositoryUnavailable(f"restic does not say which key opens the repository at {repo.location}")
    own = {twins.get(key, key) for key in ids if key.startswith(current)}
    keys = [_key(repo, key, twins.get(key), own=own, asked=times and n < MOST_TIMES) for n, key in enumerate(ids)]
    return sorted(keys, key=lambda key: (key.created is None, key.created or _NEVER, key.id))


def _key(repo: Restic, key: str, twin_of: str | None, *, own: Collection[str], asked: bool) -> RepositoryKey:
    body: dict[str, object] = {}
    if asked:
        with contextlib.suppress(ValueError):
            body = json.loads(repo.ask(["cat", "key", key, "--no-lock"], what="a key"))
    created = None
    with contextlib.suppress(KeyError, ValueError, TypeError):
        created = utc(str(body["created"]))
    current, user, host = (twin_of or key) in own, str(body.get("username", "")), str(body.get("hostname", ""))
    return RepositoryKey(key, current, created, user, host, twin_of)


def with_twins(keys: Sequence[RepositoryKey], one: str) -> list[str]:
    """The ids of all key files of one password, whichever of them is named: the fast ones first."""
    own = next((key.twin_of for key in keys if key.id == one and key.twin_of), one)
    there = {key.id for key in keys}
    return [*(key.id for key in keys if key.twin_of == own), *([own] if own in there else [])]


def parted(keys: Sequence[RepositoryKey], twins: Mapping[str, str]) -> list[str]:
    """Of the pairs that ccdr knows to stand there, what is left where one was removed past it: somebody believes that
    the password opens nothing any more, and it does."""
    there = {key.id for key in keys}
    return [key for pair in twins.items() for key in pair if key in there and not there.issuperset(pair)]


def passwords(keys: Sequence[RepositoryKey]) -> int:
    """How many passwords open it."""
    return len({key.twin_of or key.id for key in keys})


def current_key(repo: Restic, twins: Mapping[str, str]) -> str | None:
    """The full id of restic's own key that the password in use opens (of the fast one, where that alone is left); None
    where it opens none. Raises as `Restic.probe` for all else."""
    with contextlib.suppress(RepositoryClosed):
        return with_twins(keys := keys_of(repo, twins, times=False), next(key.id for key in keys if key.current))[-1]
    return None


def add_key(repo: Restic, password_file: Path) -> None:
    """Have what this file holds open the repository, too."""
    repo.change(["key", "add", "--new-password-file", str(password_file.absolute())], what="adding a key")


def remove_key(repo: Restic, key: str) -> None:
    """Remove one key by its full id; restic refuses to remove the one in use."""
    repo.change(["key", "remove", key], what="removing a key")
