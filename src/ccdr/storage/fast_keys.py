"""Key files that open in a tenth of a second, for passwords that nobody can guess (docs/decisions/12-fast-key.md).

restic makes each guess of a password cost half a second of a processor, and with it each of its calls. A password of
256 random bits needs no such cost: it gets a second key file, beside restic's own, which asks for a fifth of it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.host.files import write_durably
from ccdr.model.errors import CcdrError
from ccdr.storage import key_file
from ccdr.storage.remains import Store, store_at

if TYPE_CHECKING:
    from ccdr.storage.restic import Restic

TRIAL = "keys/ccdr-trial"  # restic passes over what has no id for a name
LOOKED = 86400.0  # seconds for which an answer holds: another host may have changed the password meanwhile


@dataclass(frozen=True)
class KeyHint:
    """Which key file a password opens fast, by the repository's location. `kept` is a directory for the answers,
    `source` says where the password comes from, by which an answer is kept. Without `kept` it is asked each time."""

    password: str = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    source: str
    kept: Path | None = None
    wanted: Callable[[], bool] = field(default=lambda: False, repr=False)  # may the password get such a file?
    _unanswered: set[str] = field(default_factory=set, repr=False, compare=False)  # by this process: asked once

    def of(self, location: str) -> str | None:
        """The id of such a file; None where there is none, or nobody can look."""
        answer = self._answer(location)
        with contextlib.suppress(OSError, TypeError):
            if answer is not None and 0 <= time.time() - answer.stat().st_mtime < LOOKED:
                return answer.read_text("ascii") or None
        if location in self._unanswered:
            return None
        try:
            store = store_at(location, self.env)
            names = [] if store is None else [name for name in store.below("keys") if name != TRIAL]
        except (OSError, CcdrError):
            self._unanswered.add(location)
            return None
        found = next((name for name in names if store is not None and self._opens(store, name)), None)
        if names or store is None:  # a repository that is not there yet may have one soon
            self.keep(location, found)
        return found and found.removeprefix("keys/")

    def _opens(self, store: Store, name: str) -> bool:
        with contextlib.suppress(OSError, CcdrError):
            key = key_file.read(store.contents(name) or b"")
            return key is not None and key.fast and key.opened(self.password) is not None
        return False

    def keep(self, location: str, found: str | None) -> None:
        answer = self._answer(location)
        if answer is not None:
            with contextlib.suppress(CcdrError):  # what is lost is asked again
                write_durably(answer, (found or "").removeprefix("keys/"))

    def forget(self, location: str) -> None:
        """Its keys have changed."""
        if (answer := self._answer(location)) is not None:
            answer.unlink(missing_ok=True)

    def _answer(self, location: str) -> Path | None:
        name = sha256(f"{location}\n{self.source}".encode()).hexdigest()[:32]
        return self.kept and self.kept / name


def may_be_taken_back(store: Store) -> bool:
    """Does this credential delete below keys/, too? A key that nobody could remove would open for ever."""
    with contextlib.suppress(OSError, CcdrError):
        store.put(TRIAL, b"trial\n")
        store.remove(TRIAL)
        return TRIAL not in store.below("keys")
    return False


def quicken(repo: Restic, sibling: str | None = None) -> str | None:
    """A fast key file for the password in use, beside `sibling`, which is restic's own for it (in a new repository the
    only one). Its id; None where the password may have none, has one, or where it could not be taken back, or does not
    open: then none is left."""
    hint, store, name = repo.hint, store_at(repo.location, repo.env), None
    if hint is None or store is None or not hint.wanted() or hint.of(repo.location) or not may_be_taken_back(store):
        return None
    try:
        if (own := sibling or _only_key(store)) is None:
            return None
        name = _put(store, repo.ask(["cat", "masterkey"], what="the master key").encode(), hint.password, own)
        hint.keep(repo.location, name)
        told = json.loads(repo.ask(["key", "list", "--json", "--no-lock"], what="trying the fast key"))
        if any(one["current"] and name.startswith(one["id"]) for one in told):
            return name
    except (OSError, CcdrError):
        pass  # the repository opens as before
    hint.forget(repo.location)
    if name is not None:
        with contextlib.suppress(OSError, CcdrError):
            store.remove(f"keys/{name}")
    return None


def _only_key(store: Store) -> str | None:
    """The id of the one key file of a repository that was made just now; None where it is not alone."""
    names = [one for one in store.below("keys") if one != TRIAL]
    return names[0].removeprefix("keys/") if len(names) == 1 else None


def _put(store: Store, master: bytes, password: str, sibling: str) -> str:
    name, text = key_file.contents_of(key_file.KeyFile.sealed(master, password, sibling=sibling))
    store.put(f"keys/{name}", text)
    return name
